//! Exit codes and error messages.

use std::process::ExitCode;

use latentbit_codec::Error as CodecError;
use latentbit_container::{Error as ContainerError, ErrorKind};

use latentbit_media::{MediaError, MediaErrorKind};

/// What users are told of exit codes.
pub const EXIT_CODES: &[(&str, &str)] = &[
    ("0", "done"),
    ("1", "error (reading, writing, a feature that is missing)"),
    ("2", "wrong usage"),
    (
        "3",
        "the input is damaged or not what it should be; what could be read was written",
    ),
    ("4", "the input is cut off; what there was of it was written"),
    (
        "5",
        "chunks are lost and their frames were concealed (decode; not with --allow-conceal)",
    ),
    ("6", "the model is missing, or another one is needed"),
    (
        "129, 130, 143",
        "ended by SIGHUP, SIGINT (Ctrl-C), SIGTERM; encode, latents encode and archive finish what they have first",
    ),
];

/// How the command ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Exit {
    /// All is done.
    Success = 0,
    /// Reading, writing, a feature that is missing.
    Error = 1,
    /// The command line asks for something impossible.
    Usage = 2,
    /// The input is damaged or not what it should be.
    Damaged = 3,
    /// The input is cut off; what there was of it was written.
    Truncated = 4,
    /// Frames were concealed: all of the video is there, and some of it is made up.
    Concealed = 5,
    /// The model is missing, or another one is needed.
    Model = 6,
    /// Ended by SIGHUP. These are what shells report of a program that a signal ended.
    HungUp = 129,
    /// Ended by SIGINT.
    Interrupted = 130,
    /// Ended by SIGTERM.
    Terminated = 143,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// The command line asks for something impossible.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct UsageError(pub String);

/// A model that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// There is none of that name.
    #[error("{0}")]
    Missing(String),
    /// It is damaged, or no model at all.
    #[error("{0}")]
    Invalid(String),
}

/// Fails for wrong usage.
pub fn usage<T>(message: impl Into<String>) -> anyhow::Result<T> {
    Err(UsageError(message.into()).into())
}

impl Exit {
    /// The code for a signal that ended the command.
    pub const fn by_signal(signal: i32) -> Self {
        match signal {
            1 => Self::HungUp,
            15 => Self::Terminated,
            _ => Self::Interrupted,
        }
    }

    /// The code for an error.
    pub fn of(error: &anyhow::Error) -> Self {
        for cause in error.chain() {
            if cause.is::<UsageError>() {
                return Self::Usage;
            }
            if let Some(error) = cause.downcast_ref::<MediaError>() {
                return Self::of_media(error);
            }
            if let Some(error) = cause.downcast_ref::<ModelError>() {
                return match error {
                    ModelError::Missing(_) => Self::Model,
                    ModelError::Invalid(_) => Self::Damaged,
                };
            }
            if let Some(error) = cause.downcast_ref::<CodecError>() {
                return match error {
                    CodecError::Container(error) => Self::of_container(error),
                    CodecError::Bundle { .. }
                    | CodecError::Predictor { .. }
                    | CodecError::WrongBundle { .. }
                    | CodecError::Io { .. } => Self::Model,
                    CodecError::Parameter { .. } => Self::Usage,
                    CodecError::Chunk { .. } => Self::Damaged,
                    _ => Self::Error,
                };
            }
            if let Some(error) = cause.downcast_ref::<ContainerError>() {
                return Self::of_container(error);
            }
        }
        Self::Error
    }

    fn of_media(error: &MediaError) -> Self {
        match error.kind() {
            MediaErrorKind::Truncated { .. } => Self::Truncated,
            MediaErrorKind::Invalid => Self::Damaged,
            MediaErrorKind::Usage => Self::Usage,
            _ => Self::Error,
        }
    }

    fn of_container(error: &ContainerError) -> Self {
        match error.kind() {
            ErrorKind::Format => Self::Damaged,
            ErrorKind::Truncated => Self::Truncated,
            _ => Self::Error,
        }
    }
}

/// The error and what caused it, without repeating what a message already contains.
pub fn message(error: &anyhow::Error) -> String {
    let mut text = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if text.is_empty() {
            text = cause;
        } else if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use anyhow::Context;

    use super::*;

    #[test]
    fn errors_have_codes() {
        let io = |kind: std::io::ErrorKind| MediaError::io("stdout", "write", kind.into());
        let cases = [
            (anyhow::Error::from(UsageError("x".into())), Exit::Usage),
            (io(std::io::ErrorKind::BrokenPipe).into(), Exit::Error),
            (io(std::io::ErrorKind::StorageFull).into(), Exit::Error),
            (
                MediaError::new(MediaErrorKind::Truncated { frames: 3 }, "a", "b").into(),
                Exit::Truncated,
            ),
            (
                MediaError::new(MediaErrorKind::Invalid, "a", "b").into(),
                Exit::Damaged,
            ),
            (CodecError::Bundle { reason: "x".into() }.into(), Exit::Model),
            (anyhow::anyhow!("other"), Exit::Error),
        ];
        for (error, exit) in cases {
            let error: anyhow::Result<()> = Err(error);
            assert_eq!(Exit::of(&error.context("around it").unwrap_err()), exit);
        }
    }

    #[test]
    fn messages_do_not_repeat() {
        let cause = std::io::Error::other("the cause");
        let error = anyhow::Error::from(MediaError::io("clip.mp4", "read", cause)).context("while encoding");
        assert_eq!(
            message(&error),
            "while encoding: clip.mp4: cannot read: the cause"
        );
    }
}

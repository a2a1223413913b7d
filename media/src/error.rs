//! What can go wrong while reading or writing media.

use std::io;

/// The class of a [`MediaError`], for callers that act on it (exit codes, quiet ends).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum MediaErrorKind {
    /// Reading or writing failed in the operating system.
    Io,
    /// The reader of our output went away before it had all of it.
    BrokenPipe,
    /// The input ends in the middle of a frame.
    Truncated {
        /// Complete frames that came before the end, all of them already handed out.
        frames: u64,
    },
    /// The bytes are not what their name or header says.
    Invalid,
    /// Well-formed, but nothing here can read or write it.
    Unsupported,
    /// The caller asked for something impossible (a bad option, a mismatched frame).
    Usage,
}

/// An error with the place it happened in and, where there is one, the way out.
#[derive(Debug, thiserror::Error)]
#[error("{place}: {message}")]
pub struct MediaError {
    kind: MediaErrorKind,
    place: String,
    message: String,
    #[source]
    source: Option<io::Error>,
}

impl MediaError {
    /// An error at `place` (a file name, or a name such as "stdin").
    pub fn new(kind: MediaErrorKind, place: &str, message: impl Into<String>) -> Self {
        Self {
            kind,
            place: place.to_owned(),
            message: message.into(),
            source: None,
        }
    }

    /// Wraps an I/O error met while doing `action` ("write", "open").
    pub fn io(place: &str, action: &str, source: io::Error) -> Self {
        let (kind, message) = match source.kind() {
            io::ErrorKind::BrokenPipe => (
                MediaErrorKind::BrokenPipe,
                "the reader of this output closed it before all was written".to_owned(),
            ),
            io::ErrorKind::StorageFull => (
                MediaErrorKind::Io,
                format!("cannot {action}: the disk is full; free some space and run again"),
            ),
            io::ErrorKind::NotFound => (
                MediaErrorKind::Io,
                format!("cannot {action}: no such file or folder; check the path"),
            ),
            io::ErrorKind::PermissionDenied => {
                (MediaErrorKind::Io, format!("cannot {action}: permission denied"))
            }
            _ => (MediaErrorKind::Io, format!("cannot {action}: {source}")),
        };
        Self {
            kind,
            place: place.to_owned(),
            message,
            source: Some(source),
        }
    }

    /// The class of the error.
    pub fn kind(&self) -> MediaErrorKind {
        self.kind
    }

    /// The file name, or "stdin" / "stdout".
    pub fn place(&self) -> &str {
        &self.place
    }
}

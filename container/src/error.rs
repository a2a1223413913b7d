//! What can go wrong, in classes that a program can act on.

use std::io;

/// The result of this crate's functions.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The class of an [`Error`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// Reading or writing failed below the format.
    Io,
    /// The bytes are not a valid `.lbit` stream.
    Format,
    /// The stream stops before its end record.
    Truncated,
    /// The stream is valid, but made for a newer reader.
    Unsupported,
    /// The stream asks for more than the caller allows.
    Limits,
    /// The caller gave something that the format cannot hold.
    Parameter,
}

/// An error of this crate; the message says what was expected, what was found, where, and what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Reading or writing failed below the format.
    #[error("cannot {action} at byte {offset}: {source}")]
    Io {
        /// "read" or "write".
        action: &'static str,
        /// Byte offset from the start of the stream.
        offset: u64,
        /// The cause.
        source: io::Error,
    },
    /// The bytes are not a valid `.lbit` stream.
    #[error("{}bad {what} at byte {offset}: expected {expected}, found {found}", in_chunk(.chunk))]
    Format {
        /// Byte offset from the start of the stream.
        offset: u64,
        /// The chunk that is damaged, where known.
        chunk: Option<u64>,
        /// The field or structure that is wrong.
        what: &'static str,
        /// What the format asks for.
        expected: String,
        /// What is there.
        found: String,
    },
    /// The stream stops before its end record.
    #[error(
        "the stream is cut off at byte {offset}, in {inside}: expected more until the end record, found the end \
         of input after {chunks} complete chunks ({frames} frames); fetch the file again, or keep what was read"
    )]
    Truncated {
        /// Where the input ended.
        offset: u64,
        /// What the input ended in.
        inside: &'static str,
        /// Complete chunks before that.
        chunks: u64,
        /// Frames in them.
        frames: u64,
    },
    /// The stream is valid, but made for a newer reader.
    #[error(
        "{}unsupported {what} at byte {offset}: this reader knows {expected}, found {found}; read it with a newer \
         version of LatentBit",
        in_chunk(.chunk)
    )]
    Unsupported {
        /// Byte offset from the start of the stream.
        offset: u64,
        /// The chunk that needs it, where known.
        chunk: Option<u64>,
        /// The feature.
        what: &'static str,
        /// What this reader knows.
        expected: String,
        /// What is there.
        found: String,
    },
    /// The stream asks for more than the caller allows.
    #[error(
        "{}{what} at byte {offset} is over the limit: expected at most {limit}, found {found}; if the file is \
         trusted, raise Limits::{name} (--trusted)",
        in_chunk(.chunk)
    )]
    Limits {
        /// Byte offset from the start of the stream.
        offset: u64,
        /// The chunk that asks for it, where known.
        chunk: Option<u64>,
        /// What is too large.
        what: &'static str,
        /// The field of [`Limits`](crate::Limits).
        name: &'static str,
        /// Its value.
        limit: u64,
        /// What is there.
        found: u64,
    },
    /// The caller gave something that the format cannot hold.
    #[error("bad {what}: expected {expected}, found {found}")]
    Parameter {
        /// The parameter or field.
        what: &'static str,
        /// What the format can hold.
        expected: String,
        /// What was given.
        found: String,
    },
}

impl Error {
    /// The class of the error.
    #[must_use]
    pub const fn kind(&self) -> ErrorKind {
        match self {
            Self::Io { .. } => ErrorKind::Io,
            Self::Format { .. } => ErrorKind::Format,
            Self::Truncated { .. } => ErrorKind::Truncated,
            Self::Unsupported { .. } => ErrorKind::Unsupported,
            Self::Limits { .. } => ErrorKind::Limits,
            Self::Parameter { .. } => ErrorKind::Parameter,
        }
    }

    /// Byte offset from the start of the stream, where the error has one.
    #[must_use]
    pub const fn offset(&self) -> Option<u64> {
        match self {
            Self::Io { offset, .. }
            | Self::Format { offset, .. }
            | Self::Truncated { offset, .. }
            | Self::Unsupported { offset, .. }
            | Self::Limits { offset, .. } => Some(*offset),
            Self::Parameter { .. } => None,
        }
    }

    /// Number of the chunk that the error is about, where it is about one and that is known.
    #[must_use]
    pub const fn chunk(&self) -> Option<u64> {
        match self {
            Self::Format { chunk, .. } | Self::Unsupported { chunk, .. } | Self::Limits { chunk, .. } => {
                *chunk
            }
            _ => None,
        }
    }

    pub(crate) fn parameter(what: &'static str, expected: impl ToString, found: impl ToString) -> Self {
        Self::Parameter {
            what,
            expected: expected.to_string(),
            found: found.to_string(),
        }
    }
}

fn in_chunk(chunk: &Option<u64>) -> String {
    chunk.map_or_else(String::new, |number| format!("chunk {number}: "))
}

/// A broken rule before it is known whose fault it is: the file's (with an offset) or the caller's.
#[derive(Debug)]
pub(crate) struct Broken {
    pub what: &'static str,
    pub expected: String,
    pub found: String,
}

impl Broken {
    pub fn new(what: &'static str, expected: impl ToString, found: impl ToString) -> Self {
        Self {
            what,
            expected: expected.to_string(),
            found: found.to_string(),
        }
    }

    pub fn in_file(self, offset: u64, chunk: Option<u64>) -> Error {
        Error::Format {
            offset,
            chunk,
            what: self.what,
            expected: self.expected,
            found: self.found,
        }
    }

    pub fn by_caller(self) -> Error {
        Error::Parameter {
            what: self.what,
            expected: self.expected,
            found: self.found,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_whole_sentences() {
        let error = Broken::new("token grid", "4x2x2", "4x2x3").in_file(123, Some(7));
        assert_eq!(
            error.to_string(),
            "chunk 7: bad token grid at byte 123: expected 4x2x2, found 4x2x3"
        );
        assert_eq!((error.kind(), error.offset()), (ErrorKind::Format, Some(123)));
        let error = Broken::new("patch", "three sizes of at least 1", "[0, 1, 1]").by_caller();
        assert_eq!(
            error.to_string(),
            "bad patch: expected three sizes of at least 1, found [0, 1, 1]"
        );
        assert_eq!((error.kind(), error.offset()), (ErrorKind::Parameter, None));
    }
}

//! What can go wrong in this crate.

use std::path::PathBuf;

use latentbit_container::BundleId;

/// Shorthand for results of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What can go wrong in this crate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file could not be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A bundle is damaged, of another format, or does not hold what its config asks for.
    #[error("not a usable bundle: {reason}")]
    Bundle {
        /// What is wrong with it.
        reason: String,
    },
    /// A predictor is damaged, of another format, or for another bundle.
    #[error("not a usable predictor: {reason}")]
    Predictor {
        /// What is wrong with it.
        reason: String,
    },
    /// A tensor does not have a shape that the operation takes.
    #[error("{what} has shape {found:?}, but must be {expected}")]
    Shape {
        /// Which tensor.
        what: &'static str,
        /// Its shape.
        found: Vec<usize>,
        /// The shape that was wanted, in words.
        expected: String,
    },
    /// A value given by the caller is out of range.
    #[error("{name}: {reason}")]
    Parameter {
        /// Which value.
        name: &'static str,
        /// Why it will not do.
        reason: String,
    },
    /// A GPU, or a library that it needs, is missing or failed.
    #[error("GPU: {reason}")]
    Device {
        /// What is missing, or what failed.
        reason: String,
    },
    /// A stream was made with another bundle.
    #[error(
        "made with the bundle {:?} (SHA-256 {}), but {:?} (SHA-256 {}) was given; use the bundle that it was made with",
        needed.name, needed.sha256_hex(), given.name, given.sha256_hex()
    )]
    WrongBundle {
        /// The bundle that the stream names.
        needed: Box<BundleId>,
        /// The bundle at hand.
        given: Box<BundleId>,
    },
    /// A stream asks for more than is allowed.
    #[error("{what} is over the limit: expected at most {limit}, found {found}")]
    Limits {
        /// What is too large.
        what: &'static str,
        /// The limit.
        limit: u64,
        /// What was found.
        found: u64,
    },
    /// What is to be done takes more memory than there is.
    #[error(
        "it takes about {} MB of memory in whole frames, and there are {} MB in all; with a limit (--max-memory) it is done \
         in tiles, which take less",
        needed / 1_000_000, there / 1_000_000
    )]
    Memory {
        /// Bytes that it takes.
        needed: u64,
        /// Bytes that this process can have.
        there: u64,
    },
    /// A chunk cannot be decoded.
    #[error("chunk {sequence}: {reason}")]
    Chunk {
        /// Its number in the stream.
        sequence: u64,
        /// Why not.
        reason: String,
    },
    /// The pipeline takes no more input: a stage failed, and the output half says why, or the output half was dropped.
    #[error("the pipeline has ended early and takes no more input")]
    Closed,
    /// A stage of the pipeline ended without saying why: the input half was dropped before it was flushed, or there is
    /// a fault in this library.
    #[error("a stage of the pipeline stopped without a reason: this is a bug, please report it")]
    Stopped,
    /// A tensor of candle could not be read.
    #[cfg(feature = "candle")]
    #[error(transparent)]
    Candle(#[from] candle_core::Error),
    /// The container failed.
    #[error(transparent)]
    Container(#[from] latentbit_container::Error),
}

impl Error {
    pub(crate) fn bundle(reason: impl Into<String>) -> Self {
        Self::Bundle {
            reason: reason.into(),
        }
    }

    pub(crate) fn predictor(reason: impl Into<String>) -> Self {
        Self::Predictor {
            reason: reason.into(),
        }
    }

    pub(crate) fn device(reason: impl Into<String>) -> Self {
        Self::Device {
            reason: reason.into(),
        }
    }

    /// The same error for so many callers.
    pub(crate) fn for_each<T>(self, count: usize) -> Vec<Result<T>> {
        let reason = match &self {
            Self::Device { reason } => reason.clone(),
            other => other.to_string(),
        };
        let others = (1..count).map(|_| Err(Self::device(reason.clone())));
        std::iter::once(Err(self)).chain(others).collect()
    }

    pub(crate) fn parameter(name: &'static str, reason: impl Into<String>) -> Self {
        Self::Parameter {
            name,
            reason: reason.into(),
        }
    }

    pub(crate) fn shape(what: &'static str, found: &[usize], expected: impl Into<String>) -> Self {
        Self::Shape {
            what,
            found: found.to_vec(),
            expected: expected.into(),
        }
    }
}

/// The error for buffers that another device has filled.
pub(crate) fn elsewhere() -> Error {
    Error::device("a state of a network belongs to the device that it was first used on")
}

//! Errors as exceptions that a program can tell apart.

use std::io;

use latentbit_container::{Error, ErrorKind};
use pyo3::create_exception;
use pyo3::exceptions::{PyException, PyMemoryError, PyValueError};
use pyo3::prelude::*;

create_exception!(
    latentbit,
    LatentBitError,
    PyException,
    "What goes wrong with .lbit files and models."
);
create_exception!(
    latentbit,
    FormatError,
    LatentBitError,
    "The bytes are damaged, or no .lbit file."
);
create_exception!(
    latentbit,
    TruncatedError,
    LatentBitError,
    "The file stops before its end."
);
create_exception!(
    latentbit,
    UnsupportedError,
    LatentBitError,
    "The file is made for a newer reader."
);
create_exception!(
    latentbit,
    LimitsError,
    LatentBitError,
    "The file asks for more memory than a reader allows."
);
create_exception!(
    latentbit,
    LostChunkError,
    LatentBitError,
    "The tokens of this chunk are lost; other chunks are not."
);
create_exception!(
    latentbit,
    BundleError,
    LatentBitError,
    "The model cannot be used, or the file needs another one."
);

/// Adds the exceptions to the module.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let py = module.py();
    module.add("LatentBitError", py.get_type::<LatentBitError>())?;
    module.add("FormatError", py.get_type::<FormatError>())?;
    module.add("TruncatedError", py.get_type::<TruncatedError>())?;
    module.add("UnsupportedError", py.get_type::<UnsupportedError>())?;
    module.add("LimitsError", py.get_type::<LimitsError>())?;
    module.add("LostChunkError", py.get_type::<LostChunkError>())?;
    module.add("BundleError", py.get_type::<BundleError>())
}

/// An error of the container, in the file `place`.
pub fn container(error: Error, place: &str) -> PyErr {
    match error {
        Error::Io {
            action,
            offset,
            source,
        } => failed(source, place, &format!("cannot {action} at byte {offset}")),
        error => {
            let text = format!("{place}: {error}");
            match error.kind() {
                ErrorKind::Truncated => TruncatedError::new_err(text),
                ErrorKind::Unsupported => UnsupportedError::new_err(text),
                ErrorKind::Limits => LimitsError::new_err(text),
                ErrorKind::Parameter => PyValueError::new_err(text),
                _ => FormatError::new_err(text),
            }
        }
    }
}

/// An error of the codec, with the file or model `place`.
pub fn codec(error: latentbit_codec::Error, place: &str) -> PyErr {
    use latentbit_codec::Error as Codec;
    match error {
        Codec::Container(error) => container(error, place),
        Codec::Io { path, source } => failed(source, &path.display().to_string(), "cannot read"),
        error @ (Codec::Bundle { .. } | Codec::WrongBundle { .. }) => {
            BundleError::new_err(format!("{place}: {error}"))
        }
        error @ (Codec::Shape { .. } | Codec::Parameter { .. }) => {
            PyValueError::new_err(format!("{place}: {error}"))
        }
        error @ Codec::Limits { .. } => LimitsError::new_err(format!("{place}: {error}")),
        error @ Codec::Memory { .. } => PyMemoryError::new_err(format!("{place}: {error}")),
        error => LatentBitError::new_err(format!("{place}: {error}")),
    }
}

/// An error of the system, or of the caller's own file object, at `place`. An exception of the latter comes back unchanged.
pub fn failed(error: io::Error, place: &str, what: &str) -> PyErr {
    match error.downcast::<PyErr>() {
        Ok(error) => error,
        Err(error) => io::Error::new(error.kind(), format!("{place}: {what}: {error}")).into(),
    }
}

//! Where a written file goes.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use pyo3::prelude::*;
use pyo3::types::PyBytes;
use tempfile::NamedTempFile;

use crate::error::failed;

/// A file that appears under its name only when it is complete, or an object of Python with `write`.
pub enum Sink {
    File { file: NamedTempFile, target: PathBuf },
    Object(Py<PyAny>),
}

impl Sink {
    /// Opens what a caller gave as output; the second result is a name for messages.
    pub fn open(given: &Bound<'_, PyAny>) -> PyResult<(Self, String)> {
        if given.hasattr("write")? {
            let place = match given.getattr("name") {
                Ok(name) => name.str()?.to_string(),
                Err(_) => given.get_type().name()?.to_string(),
            };
            return Ok((Self::Object(given.clone().unbind()), place));
        }
        let given: PathBuf = given.extract()?;
        let place = given.display().to_string();
        // Renaming must replace the file behind a symbolic link, not the link.
        let target = given.canonicalize().unwrap_or(given);
        let folder = match target.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder.to_owned(),
            _ => PathBuf::from("."),
        };
        let file = temporary(&folder, &target).map_err(|error| failed(error, &place, "cannot write"))?;
        Ok((Self::File { file, target }, place))
    }

    /// Gives the file its name.
    pub fn commit(self) -> io::Result<()> {
        match self {
            Self::Object(_) => Ok(()),
            Self::File { file, target } => {
                file.as_file().sync_all()?;
                file.persist(target).map(drop).map_err(|error| error.error)
            }
        }
    }
}

/// A hidden file beside `target`, by whose name people see what it was to be if the process is killed.
fn temporary(folder: &Path, target: &Path) -> io::Result<NamedTempFile> {
    let name = target.file_name().unwrap_or_default().to_string_lossy();
    let prefix = format!(".{name}-");
    let mut builder = tempfile::Builder::new();
    builder.prefix(&prefix).suffix(".part");
    // As any new file: what the user's mask leaves of it.
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    builder.tempfile_in(folder)
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::File { file, .. } => file.write(bytes),
            Self::Object(object) => Python::attach(|py| {
                let written = object
                    .bind(py)
                    .call_method1("write", (PyBytes::new(py, bytes),))?;
                // Some say nothing, which means all.
                Ok::<usize, PyErr>(written.extract().unwrap_or(bytes.len()))
            })
            .map_err(io::Error::from),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::File { file, .. } => file.flush(),
            Self::Object(_) => Ok(()),
        }
    }
}

//! Where the bytes of a file come from (a path, bytes in memory, or a Python object), and a cursor over them.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::{PyByteArray, PyMemoryView};

use crate::error::failed;

/// Bytes that can be read at any offset. Except for file objects, reading moves no position that threads or forked
/// processes would share.
pub enum Source {
    /// A part of a file.
    File { file: File, base: u64, len: u64 },
    /// Bytes in memory, not copied.
    Bytes(PyBackedBytes),
    /// An object with `read` and `seek`. The lock keeps a seek and its reads together.
    Seekable {
        object: Py<PyAny>,
        len: u64,
        lock: Mutex<()>,
    },
    /// An object with `size` and `read_range(offset, length)`.
    Ranges { object: Py<PyAny>, len: u64 },
}

impl Source {
    /// Opens what `latentbit.open` was given; the second result is a name for messages. `part` is the offset and length
    /// of the `.lbit` file inside a file that was named by path.
    pub fn open(given: &Bound<'_, PyAny>, part: Option<(u64, u64)>) -> PyResult<(Self, String)> {
        let (source, place) = Self::open_whole(given)?;
        match (part, source) {
            (None, source) => Ok((source, place)),
            (Some((base, len)), Self::File { file, len: all, .. }) => {
                let place = format!("{place} from byte {base}");
                match base.checked_add(len).is_some_and(|end| end <= all) {
                    true => Ok((Self::File { file, base, len }, place)),
                    false => Err(PyValueError::new_err(format!(
                        "{place}: expected a part within the {all} bytes of the file, found {len} bytes"
                    ))),
                }
            }
            (Some(_), _) => Err(PyValueError::new_err(format!(
                "{place}: offset and length are for paths only; give a part of anything else by itself"
            ))),
        }
    }

    fn open_whole(given: &Bound<'_, PyAny>) -> PyResult<(Self, String)> {
        let py = given.py();
        if let Ok(bytes) = given.extract::<PyBackedBytes>() {
            return Ok((Self::Bytes(bytes), "bytes".to_owned()));
        }
        if given.is_instance_of::<PyByteArray>() || given.is_instance_of::<PyMemoryView>() {
            // They may change while they are read, so they are copied.
            let bytes = py.get_type::<pyo3::types::PyBytes>().call1((given,))?;
            return Ok((Self::Bytes(bytes.extract()?), "bytes".to_owned()));
        }
        if let Ok(path) = given.extract::<PathBuf>() {
            let place = path.display().to_string();
            let opened = py.detach(|| {
                let file = File::open(&path)?;
                let about = file.metadata()?;
                match about.is_file() {
                    true => Ok((file, about.len())),
                    false => Err(io::Error::other(
                        "it is no regular file; read a pipe into bytes first",
                    )),
                }
            });
            let (file, len) = opened.map_err(|error| failed(error, &place, "cannot open"))?;
            return Ok((Self::File { file, base: 0, len }, place));
        }
        let place = match given.getattr("name") {
            Ok(name) => name.str()?.to_string(),
            Err(_) => given.get_type().name()?.to_string(),
        };
        if given.hasattr("read_range")? && given.hasattr("size")? {
            let len = given.getattr("size")?.extract()?;
            let object = given.clone().unbind();
            return Ok((Self::Ranges { object, len }, place));
        }
        if given.hasattr("read")? && given.hasattr("seek")? {
            let len = given.call_method1("seek", (0, 2))?;
            // Some return nothing from seek, but tell when asked.
            let len = match len.extract() {
                Ok(len) => len,
                Err(_) => given.call_method0("tell")?.extract()?,
            };
            let object = given.clone().unbind();
            let lock = Mutex::new(());
            return Ok((Self::Seekable { object, len, lock }, place));
        }
        Err(PyTypeError::new_err(format!(
            "expected a path, bytes, a file that can seek, or an object with size and read_range(offset, length), found {}",
            given.get_type().name()?
        )))
    }

    /// Length in bytes.
    pub fn len(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::File { len, .. } | Self::Seekable { len, .. } | Self::Ranges { len, .. } => *len,
        }
    }

    /// The bytes in memory, if that is where they are.
    pub fn in_memory(&self) -> Option<&[u8]> {
        match self {
            Self::Bytes(bytes) => Some(bytes),
            _ => None,
        }
    }

    /// Up to `want` bytes from `offset` on; fewer only at the end. Never allocates more than there are.
    ///
    /// The caller must be detached from the interpreter.
    pub fn fetch(&self, offset: u64, want: usize) -> io::Result<Vec<u8>> {
        let left = self.len().saturating_sub(offset);
        let want = want.min(usize::try_from(left).unwrap_or(usize::MAX));
        match self {
            Self::File { file, base, .. } => {
                let mut bytes = vec![0; want];
                let len = read_from(file, base.saturating_add(offset), &mut bytes)?;
                bytes.truncate(len);
                Ok(bytes)
            }
            Self::Bytes(bytes) => {
                let from = usize::try_from(offset).unwrap_or(usize::MAX);
                let part = bytes.get(from..from.saturating_add(want));
                Ok(part.unwrap_or_default().to_vec())
            }
            Self::Seekable { object, lock, .. } => {
                // Taken while detached, so that waiting for it does not block the interpreter.
                let _one_at_a_time = lock.lock().unwrap_or_else(PoisonError::into_inner);
                Python::attach(|py| -> PyResult<Vec<u8>> {
                    let object = object.bind(py);
                    object.call_method1("seek", (offset,))?;
                    let mut all = Vec::new();
                    while all.len() < want {
                        let part: PyBackedBytes =
                            object.call_method1("read", (want - all.len(),))?.extract()?;
                        if part.is_empty() {
                            break;
                        }
                        all.extend_from_slice(part.get(..want - all.len()).unwrap_or(&part));
                    }
                    Ok(all)
                })
                .map_err(io::Error::from)
            }
            Self::Ranges { object, .. } => Python::attach(|py| -> PyResult<Vec<u8>> {
                let bytes: PyBackedBytes = object
                    .bind(py)
                    .call_method1("read_range", (offset, want))?
                    .extract()?;
                if bytes.len() == want {
                    return Ok(bytes.to_vec());
                }
                Err(PyValueError::new_err(format!(
                    "read_range({offset}, {want}): expected {want} bytes, found {}",
                    bytes.len()
                )))
            })
            .map_err(io::Error::from),
        }
    }
}

/// Bytes to request at a time when it is unknown how many will be needed.
pub const BLOCK: usize = 1 << 16;

/// A position in a [`Source`], and the last block read: what a far-away source costs is requests.
pub struct Cursor {
    source: Arc<Source>,
    position: u64,
    block: Vec<u8>,
    block_at: u64,
    block_len: usize,
}

impl Cursor {
    /// A cursor at the start that requests `block_len` bytes at a time.
    pub fn new(source: Arc<Source>, block_len: usize) -> Self {
        Self {
            source,
            position: 0,
            block: Vec::new(),
            block_at: 0,
            block_len: block_len.max(1),
        }
    }

    /// The part of the block from the position on.
    fn held(&self) -> &[u8] {
        let from = self.position.checked_sub(self.block_at);
        let from = from.and_then(|from| usize::try_from(from).ok());
        from.and_then(|from| self.block.get(from..)).unwrap_or_default()
    }
}

impl Read for Cursor {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut bytes = match self.source.in_memory() {
            Some(all) => usize::try_from(self.position)
                .ok()
                .and_then(|from| all.get(from..))
                .unwrap_or_default(),
            None => {
                if self.held().is_empty() && self.position < self.source.len() {
                    self.block = self.source.fetch(self.position, self.block_len)?;
                    self.block_at = self.position;
                }
                self.held()
            }
        };
        let len = bytes.read(buffer)?;
        self.position += len as u64;
        Ok(len)
    }
}

impl Seek for Cursor {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let position = match to {
            SeekFrom::Start(position) => Some(position),
            SeekFrom::End(by) => self.source.len().checked_add_signed(by),
            SeekFrom::Current(by) => self.position.checked_add_signed(by),
        };
        self.position = position.ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
        Ok(self.position)
    }
}

/// Reads from an offset until `bytes` is full or the file ends. On systems that can, the file's position stays as it is.
fn read_from(file: &File, offset: u64, bytes: &mut [u8]) -> io::Result<usize> {
    #[cfg(unix)]
    use std::os::unix::fs::FileExt;
    #[cfg(windows)]
    use std::os::windows::fs::FileExt;
    let mut done = 0;
    while let Some(rest) = bytes.get_mut(done..).filter(|rest| !rest.is_empty()) {
        let at = offset.saturating_add(done as u64);
        #[cfg(unix)]
        let read = file.read_at(rest, at);
        #[cfg(windows)]
        let read = file.seek_read(rest, at);
        match read {
            Ok(0) => break,
            Ok(len) => done += len,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(done)
}

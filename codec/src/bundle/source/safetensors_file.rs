//! Safetensors, in memory or on disk.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::Mutex;

use safetensors::SafeTensors;
use safetensors::tensor::{Metadata, TensorInfo};

use super::{Source, Stored, byte_len};
use crate::error::{Error, Result};

/// The most bytes that a header may have: the library of safetensors refuses more.
const MAX_HEADER: u64 = 100_000_000;

fn broken(error: impl std::fmt::Display) -> Error {
    Error::bundle(format!("not a safetensors file: {error}"))
}

/// A file of safetensors in memory.
pub(crate) struct SafetensorsBytes<'a> {
    tensors: SafeTensors<'a>,
    metadata: HashMap<String, String>,
}

impl<'a> SafetensorsBytes<'a> {
    /// # Errors
    /// [`Error::Bundle`] if the bytes are no such file.
    pub(crate) fn new(bytes: &'a [u8]) -> Result<Self> {
        let (_, header) = SafeTensors::read_metadata(bytes).map_err(broken)?;
        Ok(Self {
            metadata: header.metadata().clone().unwrap_or_default(),
            tensors: SafeTensors::deserialize(bytes).map_err(broken)?,
        })
    }

    /// A value of the file's own metadata.
    pub(crate) fn metadata(&self, key: &str) -> Option<&str> {
        self.metadata.get(key).map(String::as_str)
    }
}

impl Source for SafetensorsBytes<'_> {
    fn names(&self) -> Vec<String> {
        self.tensors.names().into_iter().map(str::to_owned).collect()
    }

    fn shape(&self, name: &str) -> Option<Vec<usize>> {
        self.tensors.tensor(name).ok().map(|view| view.shape().to_vec())
    }

    fn tensor(&self, name: &str) -> Result<Option<Stored<'_>>, String> {
        Ok(self.tensors.tensor(name).ok().map(|view| Stored {
            number_type: view.dtype(),
            shape: view.shape().to_vec(),
            data: Cow::Borrowed(view.data()),
        }))
    }
}

/// A file of safetensors on disk.
#[derive(Debug)]
pub(crate) struct SafetensorsFile {
    file: Mutex<File>,
    /// Where the data of the first tensor begins.
    start: u64,
    tensors: HashMap<String, TensorInfo>,
}

impl SafetensorsFile {
    /// # Errors
    /// [`Error::Bundle`] if it is no such file, [`Error::Io`] if it cannot be read.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let io = |source| Error::Io {
            path: path.to_owned(),
            source,
        };
        let mut file = File::open(path).map_err(io)?;
        let len = file.metadata().map_err(io)?.len();
        let mut size = [0; 8];
        if len < 8 {
            return Err(broken(format!("it has {len} bytes")));
        }
        file.read_exact(&mut size).map_err(io)?;
        let header_len = u64::from_le_bytes(size);
        if header_len > MAX_HEADER.min(len - 8) {
            return Err(broken(format!(
                "its header would take {header_len} bytes of {len}"
            )));
        }
        let mut header = Vec::new();
        (&mut file)
            .take(header_len)
            .read_to_end(&mut header)
            .map_err(io)?;
        let header: Metadata = serde_json::from_slice(&header).map_err(broken)?;
        let tensors = header.tensors().into_iter();
        let tensors: HashMap<String, TensorInfo> = tensors.map(|(name, info)| (name, info.clone())).collect();
        let start = 8 + header_len;
        for (name, info) in &tensors {
            let (from, to) = info.data_offsets;
            let bytes = byte_len(info.dtype, &info.shape);
            let fits = bytes.is_some_and(|bytes| from.checked_add(bytes) == Some(to));
            if !fits || to as u64 > len - start {
                return Err(broken(format!(
                    "{name}: expected its data within the {} bytes after the header, found {from} to {to}; \
                     fetch the file again",
                    len - start
                )));
            }
        }
        Ok(Self {
            file: Mutex::new(file),
            start,
            tensors,
        })
    }
}

impl Source for SafetensorsFile {
    fn names(&self) -> Vec<String> {
        self.tensors.keys().cloned().collect()
    }

    fn shape(&self, name: &str) -> Option<Vec<usize>> {
        self.tensors.get(name).map(|info| info.shape.clone())
    }

    fn tensor(&self, name: &str) -> Result<Option<Stored<'_>>, String> {
        let Some(info) = self.tensors.get(name) else {
            return Ok(None);
        };
        let (from, to) = info.data_offsets;
        let failed = |error: &dyn std::fmt::Display| format!("{name} cannot be read: {error}");
        let mut file = self.file.lock().map_err(|error| failed(&error))?;
        file.seek(SeekFrom::Start(self.start + from as u64))
            .map_err(|error| failed(&error))?;
        let mut data = vec![0; to - from];
        file.read_exact(&mut data).map_err(|error| failed(&error))?;
        Ok(Some(Stored {
            number_type: info.dtype,
            shape: info.shape.clone(),
            data: Cow::Owned(data),
        }))
    }
}

#[cfg(test)]
mod tests {
    use safetensors::tensor::TensorView;

    use super::super::NumberType;
    use super::*;

    fn file(bytes: &[u8]) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), bytes).unwrap();
        file
    }

    #[test]
    fn a_file_gives_what_its_bytes_give() {
        let data: Vec<u8> = (0..24).collect();
        let view = |shape: &[usize], data| TensorView::new(NumberType::F32, shape.to_vec(), data).unwrap();
        let views = [
            ("a", view(&[2, 2], &data[..16])),
            ("b", view(&[2, 1], &data[16..])),
        ];
        let bytes = safetensors::serialize(views, None).unwrap();
        let on_disk = file(&bytes);
        let (file, memory) = (
            SafetensorsFile::open(on_disk.path()).unwrap(),
            SafetensorsBytes::new(&bytes).unwrap(),
        );
        for source in [&file as &dyn Source, &memory] {
            let mut names = source.names();
            names.sort();
            assert_eq!(names, ["a", "b"]);
            assert_eq!(source.shape("b"), Some(vec![2, 1]));
            assert_eq!(&*source.tensor("b").unwrap().unwrap().data, &data[16..]);
            assert!(source.tensor("c").unwrap().is_none());
        }
    }

    #[test]
    fn broken_files_are_refused() {
        let data = [0; 16];
        let view = TensorView::new(NumberType::F32, vec![4], &data).unwrap();
        let bytes = safetensors::serialize([("a", view)], None).unwrap();
        for len in 0..bytes.len() {
            let error = SafetensorsFile::open(file(&bytes[..len]).path()).unwrap_err();
            assert!(matches!(error, Error::Bundle { .. }), "{len}: {error}");
        }
    }
}

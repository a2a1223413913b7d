//! What `torch.save` writes: a zip archive with a pickled list of tensors and their numbers.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use zip::ZipArchive;

use super::pickle::{self, TensorEntry};
use super::{Source, Stored, byte_len};
use crate::error::{Error, Result};

/// The most bytes of the list of tensors; that of the largest models has some hundred thousand.
const MAX_LIST: u64 = 64 << 20;

/// A state dict that PyTorch saved.
pub(crate) struct PthFile {
    path: PathBuf,
    archive: Mutex<ZipArchive<BufReader<File>>>,
    /// Name of the archive's only folder, with a slash.
    folder: String,
    tensors: BTreeMap<String, TensorEntry>,
}

impl PthFile {
    /// # Errors
    /// [`Error::Bundle`] if it is no such file, [`Error::Io`] if it cannot be opened.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let io = |source| Error::Io {
            path: path.to_owned(),
            source,
        };
        let broken = |reason: String| Error::bundle(format!("not a file of torch.save: {reason}"));
        let file = File::open(path).map_err(io)?;
        let mut archive = ZipArchive::new(BufReader::new(file)).map_err(|error| broken(error.to_string()))?;
        let list = (0..archive.len())
            .filter_map(|index| archive.name_for_index(index)?.ok())
            .find(|name| name.ends_with("/data.pkl") || name == "data.pkl")
            .map(Cow::into_owned);
        let Some(list) = list else {
            return Err(broken(
                "there is no data.pkl in the archive; TorchScript and older formats are not read: save the weights by \
                 torch.save(model.state_dict(), ...)"
                    .to_owned(),
            ));
        };
        let folder = list.strip_suffix("data.pkl").unwrap_or_default().to_owned();
        let mut bytes = Vec::new();
        {
            let entry = archive
                .by_name(&list)
                .map_err(|error| broken(error.to_string()))?;
            entry
                .take(MAX_LIST + 1)
                .read_to_end(&mut bytes)
                .map_err(|error| broken(error.to_string()))?;
        }
        if bytes.len() as u64 > MAX_LIST {
            return Err(broken(format!(
                "its list of tensors has more than {MAX_LIST} bytes"
            )));
        }
        let tensors = pickle::read(&bytes).map_err(broken)?;
        Ok(Self {
            path: path.to_owned(),
            archive: Mutex::new(archive),
            folder,
            tensors,
        })
    }

    /// The numbers of a tensor in row-major order.
    fn read(&self, entry: &TensorEntry) -> Result<Vec<u8>, String> {
        let TensorEntry {
            number_type,
            storage,
            offset,
            shape,
            stride,
        } = entry;
        let size = number_type.bitsize() / 8;
        let len = byte_len(*number_type, shape).ok_or("its shape makes no sense")?;
        if shape.len() != stride.len() {
            return Err("it has as many sides as strides".to_owned());
        }
        if len == 0 {
            return Ok(Vec::new());
        }
        let mut archive = self.archive.lock().map_err(|error| error.to_string())?;
        let name = format!("{}data/{storage}", self.folder);
        let file = archive
            .by_name(&name)
            .map_err(|error| format!("{name}: {error}"))?;
        let mut expected = 1;
        let row_major = shape.iter().zip(stride).rev().all(|(&side, &stride)| {
            let fits = side <= 1 || stride == expected;
            expected *= side;
            fits
        });
        let reach = shape
            .iter()
            .zip(stride)
            .try_fold(0usize, |reach, (&side, &stride)| {
                reach.checked_add(side.saturating_sub(1).checked_mul(stride)?)
            });
        let bytes = reach
            .and_then(|reach| reach.checked_add(1))
            .and_then(|numbers| numbers.checked_mul(size));
        let start = offset.checked_mul(size).ok_or("its offset makes no sense")?;
        let bytes = bytes.ok_or("its strides make no sense")?;
        let end = start.checked_add(bytes).ok_or("its strides make no sense")?;
        if len > bytes {
            // A few bytes could be repeated to any size.
            return Err(format!(
                "it repeats {bytes} bytes to fill {len}; save it after .contiguous()"
            ));
        }
        if end as u64 > file.size() {
            return Err(format!("expected {end} bytes in {name}, found {}", file.size()));
        }
        let failed = |error: std::io::Error| format!("{name}: {error}");
        let mut file = file;
        std::io::copy(&mut (&mut file).take(start as u64), &mut std::io::sink()).map_err(failed)?;
        // Only what really comes is given room, whatever the archive says of its size.
        let mut data = Vec::new();
        (&mut file)
            .take(bytes as u64)
            .read_to_end(&mut data)
            .map_err(failed)?;
        // The archive's checksum is looked at where the file ends.
        std::io::copy(&mut file, &mut std::io::sink()).map_err(failed)?;
        if data.len() != bytes {
            return Err(format!("{name} is cut off"));
        }
        if row_major {
            return Ok(data);
        }
        let mut out = Vec::with_capacity(len);
        let mut index = vec![0; shape.len()];
        for _ in 0..len / size {
            let at: usize = index.iter().zip(stride).map(|(&i, &s)| i * s).sum();
            out.extend_from_slice(&data[at * size..(at + 1) * size]);
            for (i, &side) in index.iter_mut().zip(shape).rev() {
                *i += 1;
                if *i < side {
                    break;
                }
                *i = 0;
            }
        }
        Ok(out)
    }
}

impl std::fmt::Debug for PthFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PthFile")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

impl Source for PthFile {
    fn names(&self) -> Vec<String> {
        self.tensors.keys().cloned().collect()
    }

    fn shape(&self, name: &str) -> Option<Vec<usize>> {
        self.tensors.get(name).map(|entry| entry.shape.clone())
    }

    fn tensor(&self, name: &str) -> Result<Option<Stored<'_>>, String> {
        let Some(entry) = self.tensors.get(name) else {
            return Ok(None);
        };
        let data = self
            .read(entry)
            .map_err(|reason| format!("{name} cannot be read: {reason}"))?;
        Ok(Some(Stored {
            number_type: entry.number_type,
            shape: entry.shape.clone(),
            data: Cow::Owned(data),
        }))
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::super::NumberType;
    use super::*;

    /// A checkpoint whose only storage holds the bytes 0 to 15.
    fn checkpoint() -> (tempfile::NamedTempFile, PthFile) {
        let on_disk = tempfile::NamedTempFile::new().unwrap();
        let mut archive = zip::ZipWriter::new(on_disk.reopen().unwrap());
        let options =
            zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
        archive.start_file("a/data/0", options).unwrap();
        archive
            .write_all(&std::array::from_fn::<u8, 16, _>(|n| n as u8))
            .unwrap();
        archive.finish().unwrap();
        let archive = ZipArchive::new(BufReader::new(on_disk.reopen().unwrap())).unwrap();
        let file = PthFile {
            path: on_disk.path().to_owned(),
            archive: Mutex::new(archive),
            folder: "a/".to_owned(),
            tensors: BTreeMap::new(),
        };
        (on_disk, file)
    }

    fn entry(shape: &[usize], stride: &[usize]) -> TensorEntry {
        TensorEntry {
            number_type: NumberType::U8,
            storage: "0".into(),
            offset: 0,
            shape: shape.to_vec(),
            stride: stride.to_vec(),
        }
    }

    #[test]
    fn strides_are_followed() {
        let (_on_disk, file) = checkpoint();
        assert_eq!(file.read(&entry(&[2, 3], &[3, 1])).unwrap(), [0, 1, 2, 3, 4, 5]);
        assert_eq!(file.read(&entry(&[3, 2], &[1, 3])).unwrap(), [0, 3, 1, 4, 2, 5]);
        assert_eq!(file.read(&entry(&[], &[])).unwrap(), [0]);
    }

    #[test]
    fn a_few_bytes_do_not_become_many() {
        let (_on_disk, file) = checkpoint();
        let large = usize::MAX / 2;
        for (shape, stride) in [
            (vec![large], vec![0]),
            (vec![1 << 20, 1 << 20], vec![0, 0]),
            (vec![17], vec![1]),
            (vec![9, 2], vec![1, 1]),
            (vec![2, large], vec![large, 1]),
            (vec![large, large], vec![1, 1]),
        ] {
            assert!(file.read(&entry(&shape, &stride)).is_err(), "{shape:?}");
        }
        // Nothing of any shape is nothing.
        assert!(file.read(&entry(&[0, large, 4], &[1, 1, 1])).unwrap().is_empty());
    }
}

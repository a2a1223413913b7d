//! Where tensors come from: files of safetensors, and what PyTorch saves.

mod pickle;
mod pth;
mod safetensors_file;

use std::borrow::Cow;

pub(crate) use pth::PthFile;
pub(crate) use safetensors_file::{SafetensorsBytes, SafetensorsFile};

/// Type of the numbers of a tensor.
pub(crate) type NumberType = safetensors::Dtype;

/// A tensor as it is stored.
#[derive(Debug)]
pub(crate) struct Stored<'a> {
    pub(crate) number_type: NumberType,
    pub(crate) shape: Vec<usize>,
    /// Row-major, little endian; of the length that type and shape ask for.
    pub(crate) data: Cow<'a, [u8]>,
}

/// Tensors by name. A tensor's bytes are read when it is asked for, so that a model's file need not fit into memory
/// beside the model.
pub(crate) trait Source {
    /// Names of all tensors.
    fn names(&self) -> Vec<String>;

    /// The shape of a tensor, if there is one of this name.
    fn shape(&self, name: &str) -> Option<Vec<usize>>;

    /// A tensor; none if there is none of this name, and the reason if it cannot be read.
    fn tensor(&self, name: &str) -> Result<Option<Stored<'_>>, String>;
}

/// Bytes of a tensor; none if they cannot be counted.
fn byte_len(number_type: NumberType, shape: &[usize]) -> Option<usize> {
    let count = shape.iter().try_fold(1usize, |n, &side| n.checked_mul(side))?;
    Some(count.checked_mul(number_type.bitsize())?.div_ceil(8))
}

/// What fuzz targets reach of the readers that are private.
#[cfg(fuzzing)]
pub mod fuzzing {
    use std::path::Path;

    use super::{PthFile, SafetensorsBytes, SafetensorsFile, Source, pickle};

    /// Reads a pickled list of tensors.
    pub fn pickled(bytes: &[u8]) {
        let _ = pickle::read(bytes);
    }

    /// Reads a checkpoint of PyTorch with all of its tensors.
    pub fn checkpoint(path: &Path) {
        if let Ok(file) = PthFile::open(path) {
            read_all(&file);
        }
    }

    /// Reads safetensors in memory and on disk, which must agree.
    pub fn safetensors(bytes: &[u8], path: &Path) {
        let (memory, disk) = (SafetensorsBytes::new(bytes), SafetensorsFile::open(path));
        if let Ok(memory) = &memory {
            read_all(memory);
        }
        if let Ok(disk) = &disk {
            read_all(disk);
        }
        if let (Ok(memory), Ok(disk)) = (&memory, &disk) {
            let sorted = |source: &dyn Source| {
                let mut names = source.names();
                names.sort();
                names
            };
            assert_eq!(sorted(memory), sorted(disk));
        }
    }

    fn read_all(source: &dyn Source) {
        for name in source.names() {
            if let Ok(Some(tensor)) = source.tensor(&name) {
                let expected = super::byte_len(tensor.number_type, &tensor.shape);
                assert_eq!(Some(tensor.data.len()), expected, "{name}");
            }
        }
    }
}

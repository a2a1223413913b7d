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

//! The number types of the networks.

use std::fmt;
use std::str::FromStr;

use half::{bf16, f16};

use crate::error::{Error, Result};

/// The type of the operands of products. Sums, the residual stream, norms and softmax are f32 with all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Dtype {
    /// 32-bit floats.
    F32,
    /// bfloat16: the upper half of an f32. Faster where the CPU has instructions for it, else half the memory.
    Bf16,
    /// IEEE half precision: more digits than bfloat16, but values end at 65504. On GPUs only.
    F16,
}

impl Dtype {
    /// Bytes of a value.
    pub(crate) fn bytes(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::Bf16 | Self::F16 => 2,
        }
    }

    /// The bytes of values of this type that are nearest to `values`.
    pub(crate) fn round(self, values: &[f32]) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(values.len() * self.bytes());
        match self {
            Self::F32 => values.iter().for_each(|v| bytes.extend(v.to_ne_bytes())),
            Self::Bf16 => values
                .iter()
                .for_each(|&v| bytes.extend(bf16::from_f32(v).to_ne_bytes())),
            Self::F16 => values
                .iter()
                .for_each(|&v| bytes.extend(f16::from_f32(v).to_ne_bytes())),
        }
        bytes
    }

    /// The values of these bytes.
    pub(crate) fn widen(self, bytes: &[u8]) -> Vec<f32> {
        let pairs = bytes.as_chunks::<2>().0.iter().copied();
        match self {
            Self::F32 => bytes
                .as_chunks::<4>()
                .0
                .iter()
                .map(|&b| f32::from_ne_bytes(b))
                .collect(),
            Self::Bf16 => pairs.map(|b| bf16::from_ne_bytes(b).to_f32()).collect(),
            Self::F16 => pairs.map(|b| f16::from_ne_bytes(b).to_f32()).collect(),
        }
    }
}

impl fmt::Display for Dtype {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::F32 => "f32",
            Self::Bf16 => "bf16",
            Self::F16 => "f16",
        })
    }
}

impl FromStr for Dtype {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        match name {
            "f32" => Ok(Self::F32),
            "bf16" => Ok(Self::Bf16),
            "f16" => Ok(Self::F16),
            _ => Err(Error::parameter(
                "dtype",
                format!("is {name:?}, but must be f32, bf16 or f16"),
            )),
        }
    }
}

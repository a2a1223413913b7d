//! The number types of the networks.

use std::fmt;
use std::str::FromStr;

use super::cpu::kind::Kind;
use crate::error::{Error, Result};

/// The type of the operands of products. Sums, the residual stream, norms and softmax are f32 with either.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Dtype {
    /// 32-bit floats.
    F32,
    /// bfloat16: the upper half of an f32. Faster where the CPU has instructions for it, else half the memory.
    Bf16,
}

impl Dtype {
    /// The faster one on this machine's CPU.
    ///
    /// # Errors
    /// [`Error::Parameter`] if `LATENTBIT_CPU` asks for what this machine lacks.
    pub fn auto() -> Result<Self> {
        Ok(if Kind::current()?.has_bf16() {
            Self::Bf16
        } else {
            Self::F32
        })
    }
}

impl fmt::Display for Dtype {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::F32 => "f32",
            Self::Bf16 => "bf16",
        })
    }
}

impl FromStr for Dtype {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        match name {
            "f32" => Ok(Self::F32),
            "bf16" => Ok(Self::Bf16),
            _ => Err(Error::parameter(
                "dtype",
                format!("is {name:?}, but must be f32 or bf16"),
            )),
        }
    }
}

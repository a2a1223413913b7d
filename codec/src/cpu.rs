//! What this machine's CPU computes with.

use crate::error::Result;
use crate::kernels::{Dtype, Kind};

/// The operators of this library on this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CpuInfo {
    /// The kernels in use: the best ones, or those that `LATENTBIT_CPU` (amx, avx512, avx2 or portable) asks for.
    pub kernels: String,
    /// All kernels that this machine can run, the fastest first.
    pub available: Vec<String>,
    /// The faster number type.
    pub dtype: Dtype,
    /// Threads that a pipeline uses unless told otherwise.
    pub threads: usize,
}

impl CpuInfo {
    /// Asks the CPU and the operating system.
    ///
    /// # Errors
    /// [`Error::Parameter`](crate::Error::Parameter) if `LATENTBIT_CPU` asks for what this machine lacks.
    pub fn detect() -> Result<Self> {
        Ok(Self {
            kernels: Kind::current()?.to_string(),
            available: Kind::available().iter().map(ToString::to_string).collect(),
            dtype: Dtype::auto()?,
            threads: std::thread::available_parallelism().map_or(1, usize::from),
        })
    }
}

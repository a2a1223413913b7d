//! Where networks run.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use crate::error::{Error, Result};
use crate::kernels::{Backend, Driver, Dtype, Gpu, Kind, OperatorTime, Profiler};

/// Where networks run. A clone is the same device.
#[derive(Clone, Debug)]
pub enum Device {
    /// This machine's CPU.
    Cpu,
    /// An NVIDIA GPU.
    Cuda(Cuda),
}

impl Device {
    /// Clips that a GPU computes together, at most, where their frames are small.
    pub const CLIPS_TOGETHER: usize = 32;

    /// The first GPU if this build can use one and there is one that works, else the CPU. Says which at the level of
    /// information.
    #[must_use]
    pub fn auto() -> Self {
        match Self::cuda(0) {
            Ok(device) => {
                tracing::info!("computing on {device}");
                device
            }
            Err(error) => {
                tracing::info!("computing on the CPU ({error})");
                Self::Cpu
            }
        }
    }

    /// GPU number `index` of this machine, counted from 0. Opening it takes a while: libraries are loaded.
    ///
    /// # Errors
    /// [`Error::Device`] that says what is missing: a part of this build, the driver, a library or the GPU.
    pub fn cuda(index: usize) -> Result<Self> {
        #[cfg(feature = "cuda")]
        return Ok(Self::Cuda(Cuda::new(crate::kernels::Nvidia::open(index)?)));
        #[cfg(not(feature = "cuda"))]
        Err(Error::device(format!(
            "number {index} cannot be used: this build computes on the CPU only; build it with `--features cuda`"
        )))
    }

    /// The faster number type of the device.
    ///
    /// # Errors
    /// As for [`Dtype::auto`].
    pub fn dtype(&self) -> Result<Dtype> {
        match self {
            Self::Cpu => Dtype::auto(),
            Self::Cuda(_) => Ok(Dtype::Bf16),
        }
    }

    /// A GPU that is emulated on the CPU.
    #[cfg(test)]
    pub(crate) fn emulated() -> Self {
        Self::Cuda(Cuda::new(crate::kernels::Emulator::right()))
    }

    /// Runs `f`, and tells how long each operator took that it ran on this GPU, whichever thread ran it: the longest
    /// first. Nothing else should use the device meanwhile. On the CPU there is nothing to tell.
    ///
    /// # Errors
    /// [`Error::Device`] if the GPU failed.
    pub fn profile<R>(&self, f: impl FnOnce() -> R) -> Result<(R, Vec<OperatorTime>)> {
        match self {
            Self::Cpu => Ok((f(), Vec::new())),
            Self::Cuda(Cuda(profiler)) => profiler.profile(f),
        }
    }

    /// Its kind, as in its name: `cpu` or `cuda`.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Cuda(_) => "cuda",
        }
    }

    pub(crate) fn backend(&self, dtype: Dtype) -> Result<Backend> {
        match self {
            Self::Cpu => Backend::cpu(dtype),
            Self::Cuda(Cuda(profiler)) => {
                let driver: Arc<dyn Driver> = profiler.clone();
                Ok(Backend::Gpu(Gpu::new(driver, dtype)?))
            }
        }
    }
}

/// An NVIDIA GPU that is ready to compute.
#[derive(Clone)]
pub struct Cuda(Arc<Profiler>);

#[cfg_attr(not(any(test, feature = "cuda")), expect(dead_code))]
impl Cuda {
    fn new(driver: Arc<dyn Driver>) -> Self {
        Self(Profiler::around(driver))
    }
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cpu => f.write_str("the CPU"),
            Self::Cuda(Cuda(profiler)) => f.write_str(&profiler.name()),
        }
    }
}

impl FromStr for Device {
    type Err = Error;

    /// `auto`, `cpu`, `cuda` or `cuda:N`.
    fn from_str(text: &str) -> Result<Self> {
        match text.split_once(':') {
            None if text == "auto" => Ok(Self::auto()),
            None if text == "cpu" => Ok(Self::Cpu),
            None if text == "cuda" => Self::cuda(0),
            Some(("cuda", index)) if index.bytes().all(|b| b.is_ascii_digit()) && !index.is_empty() => {
                Self::cuda(index.parse().unwrap_or(usize::MAX))
            }
            _ => Err(Error::parameter(
                "device",
                format!("is {text:?}, but must be auto, cpu, cuda or cuda:N"),
            )),
        }
    }
}

impl fmt::Debug for Cuda {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.name())
    }
}

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

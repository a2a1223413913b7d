//! The operators on an NVIDIA GPU.
//!
//! Products are the vendor's: convolutions are cuDNN's, matrices are cuBLAS's. A kernel of our own follows each of them
//! and does all the rest at once: bias, activation, stream, norm, and the operands of the operators that follow. What a
//! GPU must be able to do is the trait [`Driver`]; all code beside its implementations is the same for a GPU and for the
//! emulator that the tests run.

mod arguments;
mod attention;
mod conv;
mod driver;
#[cfg(test)]
mod emulator;
mod finish;
mod folded;
mod kept;
mod memory;
#[cfg(feature = "cuda")]
mod nvidia;
mod operand;
mod products;
mod profile;
mod selftest;
mod shuffle;
mod source;
#[cfg(test)]
mod tests;

use std::collections::HashSet;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub(crate) use attention::{Tables, attention, frame_bytes};
pub(crate) use conv::Conv;
pub(crate) use driver::{Download, Driver};
#[cfg(test)]
pub(crate) use emulator::Emulator;
pub(crate) use finish::{Norm, add};
pub(crate) use kept::{Copies, Kept};
pub(crate) use memory::Memory;
#[cfg(feature = "cuda")]
pub(crate) use nvidia::Nvidia;
pub(crate) use operand::{Operand, Values};
pub use profile::OperatorTime;
pub(crate) use profile::Profiler;
pub(crate) use shuffle::{fill, fill_clip, shortcut, unpatchify};

use super::spec::{self, Buffers, Dtype};
use crate::error::{Error, Result};
use driver::{Convolution, Kernel, Launch, THREADS, Variant};
use memory::at_least;

/// Buffers on a GPU.
pub(crate) struct Device;

impl Buffers for Device {
    type Values = Values;
    type Norm = Norm;
    type Operand = Operand;
}

pub(crate) type Target<'a> = spec::Target<'a, Device>;
pub(crate) type Sink<'a> = spec::Sink<'a, Device>;

/// A device and the number type of the operands on it.
#[derive(Clone)]
pub(crate) struct Gpu(Arc<Inner>);

struct Inner {
    driver: Arc<dyn Driver>,
    dtype: Dtype,
    /// Whether the vendor's convolutions are right.
    vendor: bool,
    /// Those that the vendor has not.
    missing: Mutex<HashSet<Convolution>>,
    /// Sums between a product and what follows it. Locked until both are queued.
    sums: Mutex<Option<Memory>>,
}

impl fmt::Debug for Gpu {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Gpu({:?}, {})", self.0.driver, self.0.dtype)
    }
}

impl Gpu {
    /// Checks the device's convolutions first, and does without the vendor's where they are wrong.
    ///
    /// # Errors
    /// [`Error::Device`] if the device fails.
    pub(crate) fn new(driver: Arc<dyn Driver>, dtype: Dtype) -> Result<Self> {
        let vendor = match selftest::run(&driver, dtype) {
            Ok(()) => true,
            Err(selftest::Failure::Device(error)) => return Err(error),
            Err(selftest::Failure::Wrong(what)) => {
                tracing::warn!(
                    "{}: convolutions in {dtype} fail their test ({what}): products of matrices take their place",
                    driver.name()
                );
                false
            }
        };
        Ok(Self(Arc::new(Inner {
            driver,
            dtype,
            vendor,
            missing: Mutex::default(),
            sums: Mutex::default(),
        })))
    }

    /// Whether the vendor has such a convolution, as far as is known.
    fn has(&self, convolution: &Convolution) -> bool {
        let missing = self.0.missing.lock().unwrap_or_else(PoisonError::into_inner);
        self.0.vendor && !missing.contains(convolution)
    }

    /// Says that the vendor has it not.
    fn misses(&self, convolution: Convolution) {
        let mut missing = self.0.missing.lock().unwrap_or_else(PoisonError::into_inner);
        missing.insert(convolution);
    }

    #[cfg(test)]
    pub(super) fn trusts_its_library(&self) -> bool {
        self.0.vendor
    }

    pub(crate) fn dtype(&self) -> Dtype {
        self.0.dtype
    }

    /// The device and the libraries that it computes with.
    pub(crate) fn name(&self) -> String {
        self.0.driver.name()
    }

    pub(in crate::kernels) fn driver(&self) -> &Arc<dyn Driver> {
        &self.0.driver
    }

    /// Bytes of a value of an operand.
    pub(in crate::kernels) fn element(&self) -> usize {
        self.0.dtype.bytes()
    }

    /// Values of a position of so many channels: tensor cores and wide loads take 16 bytes at a time.
    pub(in crate::kernels) fn position(&self, channels: usize) -> usize {
        channels.next_multiple_of(16 / self.element())
    }

    /// Memory that holds values in the number type of operands.
    fn rounded(&self, values: &[f32]) -> Result<Memory> {
        Memory::holding(self.driver(), &self.0.dtype.round(values))
    }

    /// Memory that holds values as they are.
    pub(in crate::kernels) fn exact(&self, values: &[f32]) -> Result<Memory> {
        Memory::holding(self.driver(), bytemuck::cast_slice(values))
    }

    /// Room for sums, which nobody else uses until the guard goes.
    fn sums(&self, bytes: usize) -> Result<Room<'_>> {
        let mut guard = self.0.sums.lock().unwrap_or_else(PoisonError::into_inner);
        let address = at_least(&mut guard, self.driver(), bytes, false)?.address();
        Ok(Room {
            address,
            _guard: guard,
        })
    }

    /// Runs a kernel with a thread for each of `count` things.
    fn each(&self, kernel: Kernel, arguments: &impl bytemuck::Pod, count: usize) -> Result<()> {
        let blocks = count.div_ceil(THREADS as usize);
        let blocks = u32::try_from(blocks)
            .ok()
            .filter(|&blocks| blocks <= i32::MAX as u32);
        let blocks =
            blocks.ok_or_else(|| Error::device("frames are too large for it; compute them in tiles"))?;
        if blocks == 0 {
            return Ok(());
        }
        self.launch(kernel, 0, [blocks, 1, 1], THREADS, arguments)
    }

    fn launch(
        &self,
        kernel: Kernel,
        head: usize,
        blocks: [u32; 3],
        threads: u32,
        arguments: &impl bytemuck::Pod,
    ) -> Result<()> {
        self.driver().launch(&Launch {
            kernel,
            variant: Variant {
                dtype: self.0.dtype,
                head,
            },
            blocks,
            threads,
            arguments: bytemuck::bytes_of(arguments),
        })
    }
}

/// Room for sums.
struct Room<'a> {
    address: u64,
    _guard: MutexGuard<'a, Option<Memory>>,
}

/// The error for a buffer that was lost to an error before.
fn lost() -> Error {
    Error::device("a buffer was lost to an error before; reset the state")
}

/// The largest power of two that is at most 32 and gives each lane work on so many pieces of a row.
fn lanes(pieces: usize) -> usize {
    pieces.next_power_of_two().clamp(1, 32)
}

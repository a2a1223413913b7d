//! A device for tests on machines without a GPU: memory of the host, our kernels compiled as C++, and products by plain
//! loops. Work is done at once.

mod compile;
mod products;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Instant;

use super::driver::{Convolution, Download, Driver, Launch, Mark, Product};
use crate::error::Result;

/// Bytes on either side of memory that nobody may touch.
const GUARD: usize = 256;
/// What is there, and in memory that was not written yet. As a number of any type it is no number.
const POISON: u8 = 0xff;

/// The emulated device.
#[derive(Debug, Default)]
pub(crate) struct Emulator {
    memory: Mutex<HashMap<u64, Vec<u128>>>,
    /// Whether convolutions are wrong, as those of some versions of cuDNN are.
    wrong: bool,
    /// Whether there is none with a depth.
    flat: bool,
    /// What marks count from.
    start: OnceLock<Instant>,
}

impl Emulator {
    pub(crate) fn right() -> Arc<dyn Driver> {
        Arc::new(Self::default())
    }

    /// One whose convolutions are wrong.
    pub(crate) fn wrong() -> Arc<dyn Driver> {
        Arc::new(Self {
            wrong: true,
            ..Self::default()
        })
    }

    /// One that has no convolutions with a depth.
    pub(crate) fn flat() -> Arc<dyn Driver> {
        Arc::new(Self {
            flat: true,
            ..Self::default()
        })
    }
}

/// The memory behind an address that [`Emulator::allocate`] gave.
fn bytes(address: u64, len: usize) -> &'static mut [u8] {
    if len == 0 {
        return &mut [];
    }
    // SAFETY: tests hand over only what they allocated before and did not free, and use it from one thread at a time; what
    // they write beyond its end is found when it is freed.
    unsafe { std::slice::from_raw_parts_mut(address as *mut u8, len) }
}

impl Driver for Emulator {
    fn name(&self) -> String {
        "an emulated GPU".to_owned()
    }

    fn allocate(&self, len: usize) -> Result<u64> {
        let words = (len.next_multiple_of(GUARD) + 2 * GUARD) / 16;
        let memory = vec![u128::from_ne_bytes([POISON; 16]); words];
        let address = memory.as_ptr() as u64 + GUARD as u64;
        let mut all = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        all.insert(address, memory);
        Ok(address)
    }

    fn free(&self, address: u64) {
        let mut all = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        let memory = all.remove(&address).expect("memory of this device");
        let (guard, poison) = (GUARD / 16, u128::from_ne_bytes([POISON; 16]));
        let whole = memory[..guard].iter().chain(&memory[memory.len() - guard..]);
        assert!(
            whole.copied().all(|word| word == poison),
            "written beyond the end"
        );
    }

    fn copy(&self, from: u64, to: u64, len: usize) -> Result<()> {
        let apart = from + len as u64 <= to || to + len as u64 <= from;
        assert!(apart, "copies must not overlap");
        bytes(to, len).copy_from_slice(bytes(from, len));
        Ok(())
    }

    fn zero(&self, at: u64, len: usize) -> Result<()> {
        bytes(at, len).fill(0);
        Ok(())
    }

    fn launch(&self, launch: &Launch<'_>) -> Result<()> {
        let function = compile::function(launch.variant, launch.kernel);
        let blocks: u32 = launch.blocks.iter().product();
        // One after the other: a thread that helps others meanwhile could wait for a lock that its caller holds.
        (0..blocks).for_each(|block| {
            // SAFETY: the function is `run_…` of `host.h`, whose argument is the struct that the caller filled in.
            unsafe {
                function(
                    launch.arguments.as_ptr().cast(),
                    launch.blocks.as_ptr(),
                    launch.threads,
                    block,
                );
            }
        });
        Ok(())
    }

    fn convolve(&self, convolution: &Convolution, input: u64, weight: u64, output: u64) -> Result<bool> {
        if self.flat && convolution.input[1] > 1 {
            return Ok(false);
        }
        let [_, _, _, _, inputs] = convolution.input;
        let taps: usize = convolution.kernel.iter().product();
        let values = |address, count: usize| {
            let each = convolution.dtype.bytes();
            convolution.dtype.widen(bytes(address, count * each))
        };
        let x = values(input, convolution.input.iter().product());
        let w = values(weight, convolution.outputs * taps * inputs);
        let mut y = products::convolution(convolution, &x, &w);
        if self.wrong {
            y.iter_mut().step_by(7).for_each(|value| *value *= 1.5);
        }
        let y = convolution.dtype.round(&y);
        bytes(output, y.len()).copy_from_slice(&y);
        Ok(true)
    }

    fn multiply(&self, product: &Product, a: u64, b: u64, c: u64) -> Result<()> {
        let each = product.dtype.bytes();
        // Rows end where their values do, not where the next row would begin.
        let values = |address, rows: usize, columns: usize, stride: usize| {
            let count = (rows - 1) * stride + columns;
            product.dtype.widen(bytes(address, count * each))
        };
        let (b_rows, b_columns) = match product.transposed {
            true => (product.columns, product.depth),
            false => (product.depth, product.columns),
        };
        let b = values(b, b_rows, b_columns, product.b_stride);
        for index in 0..product.count {
            let a = a + (index * product.a_step * each) as u64;
            let a = values(a, product.rows, product.depth, product.a_stride);
            let count = (product.rows - 1) * product.c_stride + product.columns;
            let c = c + (index * product.c_step * 4) as u64;
            let c: &mut [f32] = bytemuck::cast_slice_mut(bytes(c, 4 * count));
            products::product(product, &a, &b, c);
        }
        Ok(())
    }

    fn mark(&self) -> Result<Mark> {
        let now = self.start.get_or_init(Instant::now).elapsed();
        Ok(u64::try_from(now.as_nanos()).unwrap_or(u64::MAX))
    }

    fn seconds(&self, [from, to]: [Mark; 2]) -> Result<f64> {
        Ok((to - from) as f64 / 1e9)
    }

    fn upload(&self, from: &[u8], read: &mut dyn FnMut(u64) -> Result<()>) -> Result<()> {
        let at = self.allocate(from.len())?;
        bytes(at, from.len()).copy_from_slice(from);
        let result = read(at);
        // Whoever reads it later reads what it must not.
        bytes(at, from.len()).fill(POISON);
        self.free(at);
        result
    }

    fn download(&self, len: usize, write: &mut dyn FnMut(u64) -> Result<()>) -> Result<Box<dyn Download>> {
        let at = self.allocate(len)?;
        write(at)?;
        let found = bytes(at, len).to_vec();
        self.free(at);
        Ok(Box::new(Done(found)))
    }
}

/// Bytes that have arrived.
struct Done(Vec<u8>);

impl Download for Done {
    fn wait(self: Box<Self>, read: &mut dyn FnMut(&[u8])) -> Result<()> {
        read(&self.0);
        Ok(())
    }
}

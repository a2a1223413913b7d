//! Whether the vendor's convolutions are right: some versions of cuDNN compute those of bf16 in three dimensions wrongly.

use std::sync::Arc;

use super::arguments;
use super::driver::{Convolution, Driver, Kernel, Launch, THREADS, Variant};
use super::memory::Memory;
use crate::error::Error;
use crate::kernels::spec::Dtype;

/// Why the vendor's convolutions are not used.
pub(super) enum Failure {
    /// The device does not work at all.
    Device(Error),
    /// They are wrong.
    Wrong(String),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Device(error)
    }
}

/// Small ones of every form that networks have.
fn cases(dtype: Dtype) -> [Convolution; 5] {
    let full = Convolution {
        dtype,
        input: [1, 5, 10, 14, 96],
        outputs: 64,
        kernel: [3, 3, 3],
        stride: [1; 3],
    };
    let flat = Convolution {
        input: [3, 1, 10, 14, 96],
        kernel: [1, 3, 3],
        ..full
    };
    [
        full,
        flat,
        Convolution {
            stride: [1, 2, 2],
            input: [3, 1, 11, 15, 96],
            ..flat
        },
        Convolution {
            kernel: [1, 2, 2],
            outputs: 4 * 48,
            ..flat
        },
        Convolution {
            input: [1, 1, 5, 140, 96],
            kernel: [1, 3, 1],
            stride: [1, 2, 1],
            ..full
        },
    ]
}

/// Compares the vendor's convolutions with our own slow ones.
pub(super) fn run(driver: &Arc<dyn Driver>, dtype: Dtype) -> Result<(), Failure> {
    for case in cases(dtype) {
        let taps: usize = case.kernel.iter().product();
        let inputs = case.input.iter().product();
        let weights = case.outputs * taps * case.input[4];
        let outputs: usize = case.output().iter().product();
        let (input, weight) = (numbers(inputs, 1.0), numbers(weights, 0.1));
        let input = Memory::holding(driver, &dtype.round(&input))?;
        let weight = Memory::holding(driver, &dtype.round(&weight))?;
        let found = Memory::new(driver, outputs * dtype.bytes())?;
        let expected = Memory::new(driver, outputs * dtype.bytes())?;
        match driver.convolve(&case, input.address(), weight.address(), found.address()) {
            Ok(true) => {}
            // There is none that could be wrong.
            Ok(false) => continue,
            Err(error) => return Err(Failure::Wrong(error.to_string())),
        }
        let (arguments, count) = direct(&case, input.address(), weight.address(), expected.address());
        driver.launch(&Launch {
            kernel: Kernel::Direct,
            variant: Variant { dtype, head: 0 },
            blocks: [count.div_ceil(THREADS as usize) as u32, 1, 1],
            threads: THREADS,
            arguments: bytemuck::bytes_of(&arguments),
        })?;
        let found = read(driver, dtype, &found, outputs)?;
        let expected = read(driver, dtype, &expected, outputs)?;
        let largest = expected.iter().fold(0.0f32, |most, v| most.max(v.abs()));
        let worst = found
            .iter()
            .zip(&expected)
            .fold(0.0f32, |most, (a, b)| most.max((a - b).abs()));
        let tolerance = match dtype {
            Dtype::F32 => 1e-4,
            Dtype::Bf16 => 2e-2,
            Dtype::F16 => 4e-3,
        };
        if worst > tolerance * largest || !found.iter().all(|value| value.is_finite()) {
            let [kt, kh, kw] = case.kernel;
            let share = worst / largest;
            return Err(Failure::Wrong(format!(
                "a {kt}x{kh}x{kw} one is off by {share:.1e} of its largest value"
            )));
        }
    }
    Ok(())
}

/// Numbers between -scale and scale that follow no pattern.
fn numbers(count: usize, scale: f32) -> Vec<f32> {
    let number = |i: usize| ((i * 7919 + i / 13) % 1009) as f32 / 504.0 - 1.0;
    (0..count).map(|i| number(i) * scale).collect()
}

fn read(driver: &Arc<dyn Driver>, dtype: Dtype, memory: &Memory, count: usize) -> Result<Vec<f32>, Error> {
    let bytes = count * dtype.bytes();
    let mut values = Vec::new();
    let download = driver.download(bytes, &mut |to| driver.copy(memory.address(), to, bytes))?;
    download.wait(&mut |found| values = dtype.widen(found))?;
    Ok(values)
}

/// A convolution by our own slow kernel: what it is told, and for how many values.
fn direct(convolution: &Convolution, input: u64, weight: u64, out: u64) -> (arguments::Direct, usize) {
    let [_, depth, height, width, inputs] = convolution.input.map(|side| side as u64);
    let output = convolution.output();
    let [_, out_depth, out_height, out_width, outputs] = output.map(|side| side as u64);
    let [kernel_depth, kernel_height, kernel_width] = convolution.kernel.map(|side| side as u64);
    let [stride_depth, stride_height, stride_width] = convolution.stride.map(|side| side as u64);
    let count = output.iter().product();
    let arguments = arguments::Direct {
        input,
        weight,
        out,
        count: count as u64,
        inputs,
        outputs,
        depth,
        height,
        width,
        out_depth,
        out_height,
        out_width,
        kernel_depth,
        kernel_height,
        kernel_width,
        stride_depth,
        stride_height,
        stride_width,
    };
    (arguments, count)
}

//! Operators against plain loops in f64, and against PyTorch, on every kind of kernels that this machine can run.

mod attention;
mod conv;
mod shuffle;

use super::kind::Kind;
use super::words::Number;
use super::{AttentionBuffers, Conv, Format, Operand, Sink, Stream, Target, fill, fill_patches, unpatchify};
use crate::kernels::{Activation, AttentionSpec, ConvSpec, Epsilon, RmsNorm, RotaryTables};

/// A small generator of reproducible numbers (Knuth's MMIX constants).
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        self.0 >> 33
    }

    pub(crate) fn below(&mut self, end: usize) -> usize {
        self.next() as usize % end
    }

    /// Between -1 and 1.
    pub(crate) fn value(&mut self) -> f32 {
        self.next() as f32 / (1u64 << 30) as f32 - 1.0
    }

    pub(crate) fn values_f32(&mut self, count: usize) -> Vec<f32> {
        (0..count).map(|_| self.value()).collect()
    }

    /// Values that the number type holds exactly.
    pub(crate) fn values(&mut self, dtype: Number, count: usize) -> Vec<f32> {
        let exact = |value: f32| match dtype {
            Number::F32 => value,
            Number::Bf16 => f32::from_bits(super::words::round(value) & 0xffff_0000),
        };
        (0..count).map(|_| exact(self.value())).collect()
    }
}

/// All formats of this machine. AMX is among them wherever AVX-512 is: tests run it on a model of its tiles if need be.
fn formats() -> Vec<Format> {
    let mut kinds = Kind::available();
    if kinds.contains(&Kind::Avx512Bf16) && !kinds.contains(&Kind::Amx) {
        kinds.push(Kind::Amx);
    }
    let both = |kind| [Number::F32, Number::Bf16].map(|dtype| Format { kind, dtype });
    kinds.into_iter().flat_map(both).collect()
}

/// An operand whose memory is full of NaNs.
fn poisoned() -> Operand {
    Operand::full_of(0x7fc1_7fc1)
}

/// The values within the border of an operand.
fn read(format: Format, operand: &Operand, channels: usize) -> Vec<f32> {
    let extent = operand.extent().unwrap();
    let layout = operand.layout();
    let mut values = Vec::new();
    for t in 0..extent.frames {
        for y in 0..extent.height {
            for x in 0..extent.width {
                let words = &operand.frame(t)[layout.inner(y, x)..][..layout.position];
                let all = words.iter().flat_map(|&word| match format.dtype {
                    Number::F32 => vec![f32::from_bits(word)],
                    Number::Bf16 => vec![f32::from_bits(word << 16), f32::from_bits(word & 0xffff_0000)],
                });
                let mut all: Vec<f32> = all.collect();
                assert!(all[channels..].iter().all(|&v| v == 0.0));
                all.truncate(channels);
                values.extend(all);
            }
        }
    }
    values
}

fn assert_close(found: &[f32], expected: &[f64], tolerance: f64, what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    let largest = expected.iter().fold(1e-9, |m: f64, v| m.max(v.abs()));
    for (i, (&f, &e)) in found.iter().zip(expected).enumerate() {
        assert!(
            (f64::from(f) - e).abs() <= tolerance * largest,
            "{what}: value {i} is {f}, but should be {e}"
        );
    }
}

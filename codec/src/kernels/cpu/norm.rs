//! RMS norm, and SiLU in the same pass.

use rayon::prelude::*;

use super::math;
use super::simd::vectorize;
use crate::kernels::Epsilon;

/// Values that one task normalises.
const BLOCK: usize = 1 << 15;

pub(in crate::kernels) fn rms_norm(x: &[f32], gamma: &[f32], epsilon: Epsilon, silu: bool, out: &mut [f32]) {
    let channels = gamma.len();
    if channels == 0 {
        return;
    }
    let block = (BLOCK / channels).max(1) * channels;
    out.par_chunks_mut(block)
        .zip(x.par_chunks(block))
        .for_each(|(out, x)| {
            vectorize(
                #[inline(always)]
                || {
                    for (out, x) in out.chunks_exact_mut(channels).zip(x.chunks_exact(channels)) {
                        position(x, gamma, epsilon, silu, out);
                    }
                },
            );
        });
}

#[inline(always)]
fn position(x: &[f32], gamma: &[f32], epsilon: Epsilon, silu: bool, out: &mut [f32]) {
    let channels = gamma.len() as f32;
    let square = math::sum(x, |v| v * v);
    let factor = match epsilon {
        Epsilon::Clamp => channels.sqrt() / square.max(1e-24).sqrt(),
        Epsilon::Add => 1.0 / (square / channels + 1e-6).sqrt(),
    };
    let scaled = out.iter_mut().zip(x.iter().zip(gamma));
    if silu {
        scaled.for_each(|(o, (x, g))| *o = math::silu(x * factor * g));
    } else {
        scaled.for_each(|(o, (x, g))| *o = x * factor * g);
    }
}

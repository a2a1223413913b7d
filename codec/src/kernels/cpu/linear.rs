//! Linear layers, a block of rows for each task.

use rayon::prelude::*;

use super::gemm::{View, gemm};
use super::simd::vectorize;
use super::{math, rows_per_task};
use crate::kernels::Activation;

/// `out = activation(x · weight + bias) + residual`; `weight` is (inputs, outputs).
pub(in crate::kernels) fn linear(
    x: &[f32],
    weight: &[f32],
    bias: &[f32],
    activation: Activation,
    residual: Option<&[f32]>,
    out: &mut [f32],
) {
    let outputs = bias.len();
    if outputs == 0 || out.is_empty() {
        return;
    }
    let inputs = weight.len() / outputs;
    let block = rows_per_task(out.len() / outputs, 256);
    out.par_chunks_mut(block * outputs)
        .enumerate()
        .for_each(|(index, out)| {
            let rows = out.len() / outputs;
            let x = &x[index * block * inputs..];
            gemm(
                [rows, outputs, inputs],
                View::rows(x, inputs),
                View::rows(weight, outputs),
                out,
                outputs,
                false,
            );
            let residual = residual.map(|r| &r[index * block * outputs..]);
            vectorize(
                #[inline(always)]
                || finish(out, bias, activation, residual),
            );
        });
}

#[inline(always)]
fn finish(out: &mut [f32], bias: &[f32], activation: Activation, residual: Option<&[f32]>) {
    for out in out.chunks_exact_mut(bias.len()) {
        match activation {
            Activation::None => out.iter_mut().zip(bias).for_each(|(o, b)| *o += b),
            Activation::Gelu => out
                .iter_mut()
                .zip(bias)
                .for_each(|(o, b)| *o = math::gelu(*o + b)),
        }
    }
    if let Some(residual) = residual {
        out.iter_mut().zip(residual).for_each(|(o, r)| *o += r);
    }
}

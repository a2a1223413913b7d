//! Convolutions and matrix products by their definition.

use super::super::driver::{Convolution, Product};

fn dot(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

pub(super) fn convolution(convolution: &Convolution, x: &[f32], w: &[f32]) -> Vec<f32> {
    let [_, depth, height, width, inputs] = convolution.input;
    let [n, out_depth, out_height, out_width, outputs] = convolution.output();
    let [kd, kh, kw] = convolution.kernel;
    let [sd, sh, sw] = convolution.stride;
    let mut y = vec![0.0; n * out_depth * out_height * out_width * outputs];
    for (at, y) in y.chunks_exact_mut(outputs).enumerate() {
        let (rest, column) = (at / out_width, at % out_width);
        let (rest, row) = (rest / out_height, rest % out_height);
        let (batch, frame) = (rest / out_depth, rest % out_depth);
        for i in 0..kd {
            for j in 0..kh {
                let line = (batch * depth + frame * sd + i) * height + row * sh + j;
                // Taps of a row, and their weights, lie side by side.
                let from = (line * width + column * sw) * inputs;
                let x = &x[from..from + kw * inputs];
                for (output, y) in y.iter_mut().enumerate() {
                    let from = ((output * kd + i) * kh + j) * kw * inputs;
                    *y += dot(x, &w[from..from + kw * inputs]);
                }
            }
        }
    }
    y
}

/// One of the products that are asked for.
pub(super) fn product(product: &Product, a: &[f32], b: &[f32], c: &mut [f32]) {
    for (row, c) in c.chunks_mut(product.c_stride).enumerate() {
        let a = &a[row * product.a_stride..][..product.depth];
        for (column, c) in c[..product.columns].iter_mut().enumerate() {
            let sum: f32 = match product.transposed {
                true => dot(a, &b[column * product.b_stride..][..product.depth]),
                false => (0..product.depth)
                    .map(|k| a[k] * b[k * product.b_stride + column])
                    .sum(),
            };
            *c = if product.add { *c + sum } else { sum };
        }
    }
}

//! Convolutions as products of matrices, where the vendor's library has none or is wrong: one for each tap, summed in f32.

use super::driver::{Convolution, Driver, Product};
use crate::error::Result;

/// Whether a tap is one product. Without strides it reads positions that follow each other, and skips those between the
/// rows of the output by computing them too.
pub(super) fn in_one(convolution: &Convolution) -> bool {
    convolution.stride == [1; 3]
}

/// Extents of the sums of [`in_one`]: those of the output, but with frames and rows as long as the input's.
pub(super) fn rows(convolution: &Convolution) -> [usize; 5] {
    let [n, _, height, width, _] = convolution.input;
    let [_, depth, _, _, channels] = convolution.output();
    [n, depth, height, width, channels]
}

/// How many sums there are.
pub(super) fn values(convolution: &Convolution) -> usize {
    let extents = match in_one(convolution) {
        true => rows(convolution),
        false => convolution.output(),
    };
    extents.iter().product()
}

/// Queues them: f32, with the extents of [`rows`] if it is [`in_one`], else those of the output.
pub(super) fn convolve(
    driver: &dyn Driver,
    convolution: &Convolution,
    input: u64,
    weight: u64,
    sums: u64,
) -> Result<()> {
    let [n, depth, height, width, inputs] = convolution.input;
    let [_, out_depth, out_height, out_width, outputs] = convolution.output();
    let [kd, kh, kw] = convolution.kernel;
    let [sd, sh, sw] = convolution.stride;
    let taps = kd * kh * kw;
    let base = Product {
        dtype: convolution.dtype,
        rows: out_width,
        columns: outputs,
        depth: inputs,
        transposed: true,
        add: false,
        count: 1,
        a_step: 0,
        c_step: 0,
        a_stride: sw * inputs,
        b_stride: taps * inputs,
        c_stride: outputs,
    };
    let frame = height * width;
    // Where products begin, in positions of the input and of the sums.
    let mut starts = Vec::new();
    let product = if in_one(convolution) {
        // From the first output to the last one. Batches have the depth of the input, which only one of them may exceed.
        let rows = ((out_depth - 1) * height + out_height - 1) * width + out_width;
        let (count, a_step, c_step) = (n, depth * frame, out_depth * frame);
        starts.push([0, 0]);
        Product {
            rows,
            count,
            a_step: a_step * inputs,
            c_step: c_step * outputs,
            ..base
        }
    } else {
        for batch in 0..n {
            for t in 0..out_depth {
                let from = (batch * depth + t * sd) * frame;
                let to = (batch * out_depth + t) * out_height * out_width;
                starts.push([from, to]);
            }
        }
        Product {
            count: out_height,
            a_step: sh * width * inputs,
            c_step: out_width * outputs,
            ..base
        }
    };
    let element = convolution.dtype.bytes();
    for tap in 0..taps {
        let (i, j, k) = (tap / (kh * kw), tap / kw % kh, tap % kw);
        let offset = i * frame + j * width + k;
        let weight = weight + (tap * inputs * element) as u64;
        for [from, to] in &starts {
            let a = input + ((from + offset) * inputs * element) as u64;
            let c = sums + (to * outputs * 4) as u64;
            let product = Product {
                add: tap > 0,
                ..product
            };
            driver.multiply(&product, a, weight, c)?;
        }
    }
    Ok(())
}

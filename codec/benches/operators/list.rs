//! Which operators are timed.

use latentbit_codec::Dtype;
use latentbit_codec::bench::{AttentionBench, ConvBench, ConvOptions};

pub type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// One operator: what it is, its operations, and how to run it.
pub struct Operator {
    pub name: String,
    pub flops: f64,
    pub run: Box<dyn FnMut() + Send>,
}

fn conv(
    dtype: Dtype,
    name: &str,
    sides: [usize; 2],
    kernel: [usize; 3],
    input: [usize; 3],
    options: ConvOptions,
) -> Result<Operator> {
    let mut bench = ConvBench::new(dtype, sides, kernel, input, options)?;
    let [a, b] = sides;
    let [kt, kh, kw] = kernel;
    let [t, h, w] = input;
    // What it is, then its extents, then what follows.
    let (kind, rest) = name.split_at(name.find([' ', ',']).unwrap_or(name.len()));
    Ok(Operator {
        name: format!("{kind} {kt}x{kh}x{kw} {a}-{b}{rest}, of {t}x{h}x{w}"),
        flops: bench.flops(),
        run: Box::new(move || bench.run()),
    })
}

/// Those of the shipped bundle at 256×256, of the Wan 2.1 VAE, and a large product as the measure of the others.
pub fn operators(dtype: Dtype) -> Result<Vec<Operator>> {
    let plain = ConvOptions::default();
    let fused = ConvOptions { fused: true, ..plain };
    let half = ConvOptions {
        stride_space: 2,
        ..plain
    };
    let up = ConvOptions {
        upsample: true,
        ..plain
    };
    let gelu = ConvOptions { gelu: true, ..plain };
    let merge = ConvOptions {
        stride_time: 2,
        ..plain
    };
    let split = ConvOptions { phases: 2, ..plain };
    let mut all = vec![conv(dtype, "product", [2048, 2048], [1; 3], [1, 1, 2048], plain)?];
    for (name, sides, kernel, input, options) in [
        ("conv", [48, 96], [1, 3, 3], [4, 64, 64], plain),
        ("conv", [96, 96], [1, 3, 3], [4, 64, 64], plain),
        (
            "conv + residual, norm, SiLU",
            [96, 96],
            [1, 3, 3],
            [4, 64, 64],
            fused,
        ),
        ("conv", [192, 192], [1, 3, 3], [2, 32, 32], plain),
        (
            "conv + residual, norm, SiLU",
            [192, 192],
            [1, 3, 3],
            [2, 32, 32],
            fused,
        ),
        ("conv", [192, 192], [3, 3, 3], [1, 32, 32], plain),
        ("conv, stride 2", [96, 96], [1, 3, 3], [4, 64, 64], half),
        (
            "conv, stride 2 in time",
            [192, 192],
            [3, 1, 1],
            [2, 32, 32],
            merge,
        ),
        ("conv, doubled in time", [192, 192], [3, 1, 1], [2, 32, 32], split),
        ("conv, doubled in space", [192, 96], [1, 3, 3], [4, 32, 32], up),
        ("conv", [96, 48], [1, 3, 3], [4, 64, 64], plain),
        ("conv", [96, 96], [3, 3, 3], [4, 64, 64], plain),
        ("conv", [384, 384], [3, 3, 3], [2, 32, 32], plain),
        ("conv", [64, 64], [1, 3, 3], [1, 128, 128], plain),
        ("linear", [256, 768], [1; 3], [1, 1, 4096], plain),
        ("linear + GELU", [256, 1024], [1; 3], [1, 1, 4096], gelu),
        (
            "linear + residual, norm",
            [1024, 256],
            [1; 3],
            [1, 1, 4096],
            fused,
        ),
    ] {
        all.push(conv(dtype, name, sides, kernel, input, options)?);
    }
    let mut attention = AttentionBench::new(dtype, [4, 32, 32], [4, 8, 8], 4, 256)?;
    all.push(Operator {
        name: "attention, 4 heads of 64, windows 4x8x8, of 4x32x32".to_owned(),
        flops: attention.flops(),
        run: Box::new(move || attention.run()),
    });
    Ok(all)
}

//! Times single operators: `cargo bench --bench operators -- [--dtype bf16|f32] [--threads N] [--json] [FILTER]`.

use std::time::Instant;

use latentbit_codec::Dtype;
use latentbit_codec::bench::{AttentionBench, ConvBench, ConvOptions};
use rayon::ThreadPoolBuilder;
use serde_json::json;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// One operator: what it is, its operations, and how to run it.
struct Operator {
    name: String,
    flops: f64,
    run: Box<dyn FnMut() + Send>,
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
    Ok(Operator {
        name: format!("{name} {kt}x{kh}x{kw} {a}-{b}, {t}x{h}x{w}"),
        flops: bench.flops(),
        run: Box::new(move || bench.run()),
    })
}

/// Those of the shipped bundle at 256×256, of the Wan 2.1 VAE, and a large product as the measure of the others.
fn operators(dtype: Dtype) -> Result<Vec<Operator>> {
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
    let mut all = vec![conv(
        dtype,
        "packed product",
        [2048, 2048],
        [1; 3],
        [1, 1, 2048],
        plain,
    )?];
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
        name: "attention, 4 heads of 64, windows 4x8x8, 4x32x32".to_owned(),
        flops: attention.flops(),
        run: Box::new(move || attention.run()),
    });
    Ok(all)
}

fn main() -> Result<()> {
    let (mut dtypes, mut threads, mut as_json, mut filter) =
        (vec![Dtype::Bf16, Dtype::F32], 0, false, String::new());
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or_else(|| format!("{word} needs a value"));
        match word.as_str() {
            "--dtype" => dtypes = vec![value()?.parse()?],
            "--threads" => threads = value()?.parse()?,
            "--json" => as_json = true,
            // What cargo bench adds.
            "--bench" => {}
            _ => filter = word,
        }
    }
    let pool = ThreadPoolBuilder::new().num_threads(threads).build()?;
    for dtype in dtypes {
        let mut measure = None;
        for mut operator in operators(dtype)? {
            let name = operator.name.clone();
            if measure.is_some() && !name.contains(&filter) {
                continue;
            }
            let seconds = pool.install(|| median(&mut *operator.run));
            let rate = operator.flops / seconds;
            let share = rate / *measure.get_or_insert(rate);
            if as_json {
                let line = json!({
                    "operator": name,
                    "dtype": dtype.to_string(),
                    "threads": pool.current_num_threads(),
                    "seconds": seconds,
                    "gflops": rate * 1e-9,
                    "share": share,
                });
                println!("{line}");
            } else {
                println!(
                    "{dtype:>4}  {name:<52} {:>8.3} ms {:>7.1} GFLOP/s {:>4.0} %",
                    seconds * 1e3,
                    rate * 1e-9,
                    share * 100.0
                );
            }
        }
    }
    Ok(())
}

/// The median of runs that together take half a second or so.
fn median(run: &mut (dyn FnMut() + Send)) -> f64 {
    let mut timed = || {
        let start = Instant::now();
        run();
        start.elapsed().as_secs_f64()
    };
    timed();
    let once = timed();
    let count = ((0.5 / once) as usize).clamp(5, 200);
    let mut seconds: Vec<f64> = (0..count).map(|_| timed()).collect();
    seconds.sort_by(f64::total_cmp);
    seconds[count / 2]
}

//! Times single operators on operands that were made up: `cargo bench --bench operators -- --help`.
//!
//! GFLOP/s count the operations of the definition, whatever way computes them. `make bench` puts them beside the rate of
//! PyTorch's matrix product.

use std::process::ExitCode;
use std::time::Instant;

use latentbit_codec::bench::{AttentionBench, ConvBench, ConvOptions};
use latentbit_codec::{CpuInfo, Dtype};
use rayon::ThreadPoolBuilder;
use serde_json::json;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

const USAGE: &str = "\
usage: cargo bench --bench operators -- [OPTION...] [FILTER]

FILTER    only operators whose names have this text in them; the large product, their measure, always runs
--dtype   bf16 or f32; both by default
--threads threads that compute; 0 (default) for one on each core
--seconds for each operator, about; default 0.5
--json    a line of JSON for each";

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
    // What it is, then its extents, then what follows.
    let (kind, rest) = name.split_at(name.find([' ', ',']).unwrap_or(name.len()));
    Ok(Operator {
        name: format!("{kind} {kt}x{kh}x{kw} {a}-{b}{rest}, of {t}x{h}x{w}"),
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

/// What the command line asks for.
struct Args {
    dtypes: Vec<Dtype>,
    threads: usize,
    seconds: f64,
    json: bool,
    filter: String,
}

impl Args {
    /// None if it asks for help.
    fn parse(words: impl IntoIterator<Item = String>) -> Result<Option<Self>> {
        let mut args = Self {
            dtypes: vec![Dtype::Bf16, Dtype::F32],
            threads: 0,
            seconds: 0.5,
            json: false,
            filter: String::new(),
        };
        let mut words = words.into_iter();
        while let Some(word) = words.next() {
            let mut value = || words.next().ok_or_else(|| format!("{word} needs a value"));
            match word.as_str() {
                "--help" => return Ok(None),
                "--dtype" => args.dtypes = vec![value()?.parse()?],
                "--threads" => args.threads = value()?.parse()?,
                "--seconds" => args.seconds = value()?.parse()?,
                "--json" => args.json = true,
                // cargo adds this one.
                "--bench" => {}
                _ if word.starts_with('-') => return Err(format!("what is {word:?}?\n\n{USAGE}").into()),
                _ => args.filter = word,
            }
        }
        Ok(Some(args))
    }
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("operators: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    let Some(args) = Args::parse(std::env::args().skip(1))? else {
        println!("{USAGE}");
        return Ok(());
    };
    let pool = ThreadPoolBuilder::new().num_threads(args.threads).build()?;
    let kernels = CpuInfo::detect()?.kernels;
    for &dtype in &args.dtypes {
        let mut measure = None;
        for mut operator in operators(dtype)? {
            let name = operator.name.clone();
            if measure.is_some() && !name.contains(&args.filter) {
                continue;
            }
            let seconds = pool.install(|| median(&mut *operator.run, args.seconds));
            let rate = operator.flops / seconds;
            let share = rate / *measure.get_or_insert(rate);
            if args.json {
                let line = json!({
                    "operator": name,
                    "dtype": dtype.to_string(),
                    "threads": pool.current_num_threads(),
                    "cpu": kernels,
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

/// The median of runs that together take so many seconds or so.
fn median(run: &mut (dyn FnMut() + Send), seconds: f64) -> f64 {
    let mut timed = || {
        let start = Instant::now();
        run();
        start.elapsed().as_secs_f64()
    };
    timed();
    let once = timed();
    let count = ((seconds / once) as usize).clamp(5, 200);
    let mut seconds: Vec<f64> = (0..count).map(|_| timed()).collect();
    seconds.sort_by(f64::total_cmp);
    seconds[count / 2]
}

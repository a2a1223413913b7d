//! Times single operators on operands that were made up: `cargo bench --bench operators -- --help`.
//!
//! GFLOP/s count the operations of the definition, whatever way computes them. `make bench` puts them beside the rate of
//! PyTorch's matrix product.

mod list;

use std::process::ExitCode;
use std::time::Instant;

use latentbit_codec::{CpuInfo, Dtype};
use rayon::ThreadPoolBuilder;
use serde_json::json;

use list::{Result, operators};

const USAGE: &str = "\
usage: cargo bench --bench operators -- [OPTION...] [FILTER]

FILTER    only operators whose names have this text in them; the large product, their measure, always runs
--dtype   bf16 or f32; both by default
--threads threads that compute; 0 (default) for one on each core
--seconds for each operator, about; default 0.5
--json    a line of JSON for each";

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

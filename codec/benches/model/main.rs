//! Runs a whole model through the public API in one warm process and tells how long it takes: `make bench` compares
//! this with PyTorch. For a single run: `cargo bench --bench model -- --help`.

mod args;
mod memory;
mod work;

use std::io;
use std::process::ExitCode;
use std::sync::Arc;
use std::thread;
use std::time::Instant;

use latentbit_codec::bundle::Halves;
use latentbit_codec::{Bundle, Device, Dtype, OperatorTime};
use serde_json::{Value, json};

use args::{Args, Result, Task, USAGE};
use work::{Output, Work};

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("model: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    // As the command does.
    latentbit_codec::return_large_blocks();
    let words: Vec<String> = std::env::args().skip(1).collect();
    if words.iter().any(|word| word == "--help") {
        println!("{USAGE}");
        return Ok(());
    }
    let Some(args) = Args::parse(words)? else {
        println!(
            "model: nothing to do without a task; `cargo bench --bench model -- --help` lists the options"
        );
        return Ok(());
    };
    let base = memory::megabytes("VmRSS");
    let bundle = Arc::new(open(&args)?);
    let described = Described {
        name: bundle.id.name.clone(),
        dtype: bundle.dtype().to_string(),
        device: bundle.device().kind(),
        kernels: bundle.kernels(),
    };
    let work = work::work(&args, bundle.clone(), std::fs::read(&args.input)?)?;
    let mut last = None;
    let measure = |repeats, last: &mut Option<Output>| measure(&*work, args.clips, repeats, last);
    measure(args.warmup, &mut last)?;
    let mut seconds = measure(args.repeats, &mut last)?;
    let operators = match args.operators {
        true => {
            let (run, operators) = bundle.device().profile(|| measure(1, &mut last))?;
            run?;
            operators
        }
        false => Vec::new(),
    };
    report(&args, &described, &seconds, &operators, base);
    if args.turns {
        let mut line = String::new();
        while io::stdin().read_line(&mut line)? > 0 {
            seconds = measure(args.repeats, &mut last)?;
            report(&args, &described, &seconds, &operators, base);
        }
    }
    if let (Some(path), Some(output)) = (&args.output, last) {
        std::fs::write(path, output.bytes())?;
    }
    Ok(())
}

fn open(args: &Args) -> Result<Bundle> {
    let device: Device = args.device.parse()?;
    let dtype: Dtype = match args.dtype.as_str() {
        "auto" => device.dtype()?,
        name => name.parse()?,
    };
    let halves = match args.task {
        Task::Encode | Task::VaeEncode => Halves::Encoder,
        Task::Decode | Task::VaeDecode => Halves::Decoder,
    };
    Ok(match &args.bundle {
        Some(path) => Bundle::open_with(path, halves, &device, dtype)?,
        #[cfg(feature = "embedded-bundle")]
        None => Bundle::embedded_with(halves, &device, dtype)?,
        #[cfg(not(feature = "embedded-bundle"))]
        None => return Err("there is no embedded bundle in this build".into()),
    })
}

/// Seconds of each run; `last` becomes the result of the last one.
fn measure(work: &dyn Work, clips: usize, repeats: usize, last: &mut Option<Output>) -> Result<Vec<f64>> {
    let timed = |_| {
        // No two results at once: that would add to the peak memory.
        *last = None;
        let start = Instant::now();
        *last = Some(thread::scope(|scope| {
            let run = || work.run().map_err(|error| error.to_string());
            let others: Vec<_> = (1..clips).map(|_| scope.spawn(run)).collect();
            let result = work.run();
            for other in others {
                other.join().map_err(|_| "a clip panicked")??;
            }
            result
        })?);
        Ok(start.elapsed().as_secs_f64())
    };
    (0..repeats).map(timed).collect()
}

/// What a bundle is and how it runs.
struct Described {
    name: String,
    dtype: String,
    device: &'static str,
    kernels: String,
}

fn report(args: &Args, bundle: &Described, seconds: &[f64], operators: &[OperatorTime], base: Option<f64>) {
    let fps = (args.clips * args.frames) as f64 / median(seconds);
    let size = format!("{}x{}", args.size.width, args.size.height);
    let peak = memory::megabytes("VmHWM");
    if args.json {
        let line: Value = json!({
            "implementation": "latentbit",
            "bundle": bundle.name,
            "task": args.task.name(),
            "size": size,
            "frames": args.frames,
            "clips": args.clips,
            "dtype": bundle.dtype,
            "threads": args.threads,
            "device": bundle.device,
            "cpu": bundle.kernels,
            "seconds": seconds,
            "fps": fps,
            "base_mb": base,
            "peak_mb": peak,
            "operators": operators.iter().map(operator).collect::<Vec<_>>(),
        });
        println!("{line}");
    } else {
        let peak = peak.map_or_else(String::new, |mb| format!(", peak {mb:.0} MB"));
        let name = args.task.name();
        println!(
            "{} {name} {size} {}, {} frames, {} at once: {fps:.2} frames/s{peak}",
            bundle.name, bundle.dtype, args.frames, args.clips
        );
        for time in operators {
            let ms = time.seconds * 1e3;
            println!("{ms:10.3} ms  {:6} x  {}", time.calls, time.name);
        }
    }
}

fn operator(time: &OperatorTime) -> Value {
    json!({ "name": time.name, "calls": time.calls, "seconds": time.seconds })
}

fn median(seconds: &[f64]) -> f64 {
    let mut sorted = seconds.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    if sorted.len() % 2 == 1 {
        sorted[middle]
    } else {
        f64::midpoint(sorted[middle - 1], sorted[middle])
    }
}

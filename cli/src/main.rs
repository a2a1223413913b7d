//! The command `latentbit`: video to `.lbit` tokens and back.

mod archive;
mod args;
mod commands;
mod digest;
mod escape;
mod exit;
mod hints;
mod interrupt;
mod latents;
mod limits;
mod manual;
mod model;
mod models;
mod overwrite;
mod progress;
mod report;
mod several;
mod streaming;
mod tokens;

use std::io::{IsTerminal, Write};
use std::process::ExitCode;

use latentbit_codec::EndingAllocator;

use commands::Arguments;
use escape::Escaping;
use exit::Exit;

#[global_allocator]
static ALLOCATOR: EndingAllocator = EndingAllocator;

fn main() -> ExitCode {
    latentbit_codec::return_large_blocks();
    EndingAllocator::at_the_end(latentbit_media::remove_unfinished);
    let arguments = match commands::parse() {
        Ok(arguments) => arguments,
        Err(other) => return told(&other).into(),
    };
    start_log(&arguments);
    if arguments.trusted {
        limits::trust();
    }
    latentbit_media::set_verbose(arguments.verbose > 1);
    latentbit_media::set_sync(!arguments.no_fsync);
    interrupt::watch();
    let run = || arguments.command.run(arguments.quiet);
    // What happened was printed; nothing is looked at afterwards that it may have left half-done.
    let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(run))
        .unwrap_or_else(|_| anyhow::bail!("this is a bug; please report it with what is printed above"));
    let exit = result.unwrap_or_else(|error| {
        tracing::error!("{}", exit::message(&error));
        Exit::of(&error)
    });
    let work = latentbit_container::work();
    if work > 0 {
        // `scripts/torture/tests/test_cost.py` reads it.
        tracing::debug!("{work} bytes of .lbit files were moved, checked, searched and unpacked");
    }
    exit.into()
}

/// Tells what clap has to say in the place of arguments: help and version on stdout, wrong usage on stderr.
fn told(other: &clap::Error) -> Exit {
    if other.use_stderr() {
        let _ = other.print();
        return Exit::Usage;
    }
    let printed = latentbit_media::stdout().and_then(|mut out| {
        let printed = other.print().and_then(|()| out.flush());
        printed.map_err(report::stdout_failed)
    });
    match printed {
        Ok(()) => Exit::Success,
        Err(error) => {
            report::tell(&format!("error: {error}"));
            Exit::Error
        }
    }
}

/// Messages go to stderr, so that stdout carries data only.
fn start_log(arguments: &Arguments) {
    use tracing_subscriber::filter::{LevelFilter, Targets};
    use tracing_subscriber::layer::SubscriberExt;
    use tracing_subscriber::util::SubscriberInitExt;
    let level = match (arguments.quiet, arguments.verbose) {
        (true, _) => LevelFilter::ERROR,
        (false, 0) => LevelFilter::WARN,
        (false, 1) => LevelFilter::INFO,
        (false, _) => LevelFilter::DEBUG,
    };
    let asked = std::env::var("LATENTBIT_LOG").ok();
    let filter = asked.and_then(|text| text.parse::<Targets>().ok());
    let unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let colours = std::io::stderr().is_terminal() && !unwanted;
    let output = tracing_subscriber::fmt::layer()
        .with_writer(move || Escaping::new(std::io::stderr(), colours))
        .with_ansi(colours)
        .without_time()
        // It would tell them on stderr, which is what failed.
        .log_internal_errors(false)
        .with_target(false);
    tracing_subscriber::registry()
        .with(filter.unwrap_or_else(|| Targets::new().with_default(level)))
        .with(output)
        .init();
}

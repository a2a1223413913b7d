//! The command `latentbit`: video to `.lbit` tokens and back.

mod along;
mod archive;
mod args;
mod chunk_feed;
mod commands;
mod conceal;
mod copied;
mod encoding;
mod exit;
mod frame_feed;
mod interrupt;
mod join;
mod latents;
mod lbit_input;
mod lbit_output;
mod losses;
mod memory;
mod model;
mod models;
mod overwrite;
mod predict;
mod progress;
mod report;
mod shown;
mod tokens;

use std::io::IsTerminal;
use std::process::ExitCode;

use clap::Parser;

use args::{Arguments, Command};
use exit::Exit;

fn main() -> ExitCode {
    latentbit_codec::return_large_blocks();
    let arguments = Arguments::parse_from(std::env::args_os().map(args::as_ffmpeg_has_it));
    start_log(&arguments);
    latentbit_media::set_verbose(arguments.verbose > 1);
    let quiet = arguments.quiet;
    let result = match &arguments.command {
        Command::Encode(args) => commands::encode::run(args, quiet),
        Command::Decode(args) => commands::decode::run(args, quiet),
        Command::Info(args) => commands::info::run(args),
        Command::Eval(args) => commands::eval::run(args, quiet),
        Command::Verify(args) => commands::verify::run(args),
        Command::Recover(args) => commands::recover::run(args),
        Command::Index(args) => commands::index::run(args),
        Command::Trim(args) => commands::trim::run(args),
        Command::Cut(args) => commands::cut::run(args),
        Command::Concat(args) => commands::concat::run(args),
        Command::Degrade(args) => commands::degrade::run(args),
        Command::Archive(args) => commands::archive::run(args, quiet),
        Command::Tokens(command) => commands::tokens::run(command),
        Command::Latents(command) => commands::latents::run(command, quiet),
        Command::Generate(args) => commands::generate::run(args, quiet),
        Command::Inpaint(args) => commands::inpaint::run(args),
        Command::Score(args) => commands::score::run(args),
        Command::Models(command) => commands::models::run(command, quiet),
    };
    let exit = result.unwrap_or_else(|error| {
        let exit = Exit::of(&error);
        // Whoever closed the pipe has seen enough.
        if exit != Exit::Success {
            tracing::error!("{}", exit::message(&error));
        }
        exit
    });
    exit.into()
}

/// Messages go to stderr, so that stdout carries data only.
fn start_log(arguments: &Arguments) {
    use tracing_subscriber::EnvFilter;
    let level = match (arguments.quiet, arguments.verbose) {
        (true, _) => "error",
        (false, 0) => "warn",
        (false, 1) => "info",
        (false, _) => "debug",
    };
    let filter = EnvFilter::try_from_env("LATENTBIT_LOG").unwrap_or_else(|_| EnvFilter::new(level));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .without_time()
        .with_target(false)
        .init();
}

//! `latentbit info`.

mod device;
mod report;

use std::sync::atomic::Ordering;

use anyhow::Context;
use clap::Args;
use latentbit_container::{ReadMode, Reader};

use crate::args::headings;
use crate::exit::Exit;
use crate::limits::limits;
use crate::report::{print, print_text};
use crate::several;
use crate::streaming::lbit_input::{self, Counted};

use report::{Contents, InfoReport, text};

/// Options of `info`.
#[derive(Debug, Args)]
pub struct InfoArgs {
    /// .lbit files, or - for stdin.
    #[arg(value_name = "FILE", required_unless_present = "device")]
    pub files: Vec<String>,

    /// Tell what a device computes with, instead of what a file holds: auto, cpu, cuda or cuda:N.
    #[arg(long, value_name = "DEVICE", conflicts_with = "files")]
    pub device: Option<String>,

    /// List every chunk too.
    #[arg(long, conflicts_with = "device")]
    pub chunks: bool,

    /// Print JSON: one line for each file.
    #[arg(long, help_heading = headings::GENERAL)]
    pub json: bool,
}

/// Runs the command.
pub fn run(args: &InfoArgs) -> anyhow::Result<Exit> {
    if let Some(device) = &args.device {
        return device::run(device, args.json);
    }
    let mut first = true;
    several::run_each(&args.files, |file| {
        // A line between those of two files.
        if !std::mem::take(&mut first) && !args.json {
            print_text("")?;
        }
        one(args, file)
    })
}

fn one(args: &InfoArgs, file: &str) -> anyhow::Result<Exit> {
    lbit_input::refuse_others(file)?;
    let (place, input) = lbit_input::open_bytes(file)?;
    let (input, bytes) = Counted::new(input);
    let reader = Reader::with_mode(input, limits(), ReadMode::Resync).with_context(|| place.clone())?;
    let contents = Contents::of(reader, args.chunks);
    let bytes = bytes.load(Ordering::Relaxed);
    let Some((report, exit)) = InfoReport::new(file, &contents, bytes) else {
        anyhow::bail!("{place}: there is no video in this file");
    };
    if args.json {
        print(&report, false)?;
    } else {
        print_text(&text(&report))?;
    }
    Ok(exit)
}

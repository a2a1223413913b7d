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
use crate::streaming::lbit_input::{self, Counted};

use report::{Contents, InfoReport, text};

/// Options of `info`.
#[derive(Debug, Args)]
pub struct InfoArgs {
    /// .lbit file, or - for stdin.
    #[arg(allow_hyphen_values = true, required_unless_present = "device")]
    pub file: Option<String>,

    /// Tell what a device computes with, instead of what a file holds: auto, cpu, cuda or cuda:N.
    #[arg(long, value_name = "DEVICE", conflicts_with = "file")]
    pub device: Option<String>,

    /// List every chunk too.
    #[arg(long, conflicts_with = "device")]
    pub chunks: bool,

    /// Print JSON.
    #[arg(long, help_heading = headings::GENERAL)]
    pub json: bool,
}

/// Runs the command.
pub fn run(args: &InfoArgs) -> anyhow::Result<Exit> {
    if let Some(device) = &args.device {
        return device::run(device, args.json);
    }
    let file = args.file.as_deref().unwrap_or("-");
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

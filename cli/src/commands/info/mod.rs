//! `latentbit info`.

mod gather;
mod report;
mod text;

use std::sync::atomic::Ordering;

use anyhow::Context;
use latentbit_container::{Limits, ReadMode, Reader};

use crate::args::InfoArgs;
use crate::commands::device_info;
use crate::exit::Exit;
use crate::lbit_input::{self, Counted};
use crate::report::{print, print_text};
use gather::Contents;
use report::Report;

/// Runs the command.
pub fn run(args: &InfoArgs) -> anyhow::Result<Exit> {
    if let Some(device) = &args.device {
        return device_info::run(device, args.json);
    }
    let file = args.file.as_deref().unwrap_or("-");
    let (place, input) = lbit_input::open_bytes(file)?;
    let (input, bytes) = Counted::new(input);
    let reader =
        Reader::with_mode(input, Limits::default(), ReadMode::Resync).with_context(|| place.clone())?;
    let contents = Contents::of(reader);
    let bytes = bytes.load(Ordering::Relaxed);
    let Some((report, exit)) = Report::new(file, &contents, bytes, args.chunks) else {
        anyhow::bail!("{place}: there is no video in this file");
    };
    if args.json {
        print(&report, false)?;
    } else {
        print_text(&text::text(&report))?;
    }
    Ok(exit)
}

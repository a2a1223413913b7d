//! `latentbit eval`.

mod damaged;
mod frame_table;
mod frames;
mod pictures;
mod plot;
mod tokens;

use latentbit_media::path_of;
use std::fs::File;
use std::io::Read;

use clap::{ArgGroup, Args};
use latentbit_container::MAGIC;

use crate::args::headings;
use crate::args::{ConcealArgs, ModelArgs, SourceArgs, bits};
use crate::exit::{Exit, usage};
use crate::report::QualityReport;
use crate::streaming::lbit_input::WantedFrames;
use latentbit_media::Start;

/// Options of `eval`.
#[derive(Debug, Args)]
#[command(group(ArgGroup::new("written").args(["frames_csv", "plot"]).multiple(true)))]
pub struct EvalArgs {
    /// The video that the file was made of, or - for stdin.
    #[arg(allow_hyphen_values = true)]
    pub reference: String,

    /// .lbit file, or - for one on stdin; or a video or picture that another codec made, to measure it in the same way.
    #[arg(allow_hyphen_values = true)]
    pub file: String,

    #[command(flatten)]
    pub source: SourceArgs,

    /// Where to start in FILE, if it holds more than the part that --start and --frames take of the reference: seconds (12.5),
    /// HH:MM:SS.ms or a number of frames (40f).
    #[arg(help_heading = headings::PART, long, value_name = "TIME")]
    pub file_start: Option<Start>,

    /// Bits to look at of each token, the most important ones; all by default.
    #[arg(long, value_name = "N", value_parser = bits)]
    pub bits: Option<u8>,

    /// Do not measure the VAE without quantization beside the tokens: twice as fast.
    #[arg(long)]
    pub no_vae: bool,

    #[command(flatten)]
    pub conceal: ConcealArgs,

    #[command(flatten)]
    pub model: ModelArgs,

    /// Write PSNR, SSIM and MS-SSIM of each frame to this file, as CSV.
    #[arg(long, value_name = "FILE")]
    pub frames_csv: Option<String>,

    /// Draw the PSNR of each frame into this file, .png or .svg; of a .lbit file also the bits that each frame takes.
    #[arg(long, value_name = "FILE")]
    pub plot: Option<String>,

    /// Overwrite these files if they exist.
    #[arg(short = 'y', long, requires = "written")]
    pub overwrite: bool,

    /// Print JSON.
    #[arg(long, help_heading = headings::GENERAL)]
    pub json: bool,
}

impl EvalArgs {
    /// The frames of FILE to measure: all, unless --file-start is given.
    fn of_file(&self) -> WantedFrames {
        match self.file_start {
            Some(start) => WantedFrames {
                start: Some(start),
                frames: self.source.range.frames,
            },
            None => WantedFrames::default(),
        }
    }
}

/// Runs the command.
pub fn run(args: &EvalArgs, quiet: bool) -> anyhow::Result<Exit> {
    if args.reference == "-" && args.file == "-" {
        return usage("only one of reference and file can be stdin");
    }
    refuse_tokens_as_reference(args)?;
    if args.conceal.low_delay && args.conceal.conceal.is_none() {
        return usage("--low-delay is for files that lost chunks: say with --conceal what to do about them");
    }
    if args.conceal.conceal.is_some() {
        damaged::run(args, quiet)
    } else if holds_tokens(&args.file) {
        tokens::run(args, quiet)
    } else {
        pictures::run(args, quiet)
    }
}

/// Fails if the reference, which comes first, holds tokens.
fn refuse_tokens_as_reference(args: &EvalArgs) -> anyhow::Result<()> {
    let (reference, file) = (&args.reference, &args.file);
    if !begins_like_tokens(reference) {
        return Ok(());
    }
    let better = match holds_tokens(file) {
        true => format!("VIDEO {file}"),
        false => format!("{file} {reference}"),
    };
    usage(format!(
        "{reference} holds tokens, and the video that they were made of comes first; type: latentbit eval {better}"
    ))
}

/// Whether to read a path as .lbit, by its name or its first bytes. Stdin and pipes are .lbit; a file that cannot be read
/// counts as .lbit too, so that reading it reports the error.
fn holds_tokens(path: &str) -> bool {
    let file = path_of(path);
    let named = file.extension().is_some_and(|e| e.eq_ignore_ascii_case("lbit"));
    if path == "-" || named || !file.is_file() {
        return true;
    }
    begins_like_tokens(path)
}

fn begins_like_tokens(path: &str) -> bool {
    let mut head = [0; MAGIC.len()];
    let file = path_of(path);
    // Looking into a pipe would take what is in it.
    file.is_file()
        && File::open(file).is_ok_and(|mut file| file.read_exact(&mut head).is_ok() && head == MAGIC)
}

/// The error for a file with fewer or more frames than its reference.
fn ends_early<T>(short: &str, frames: u64, long: &str) -> anyhow::Result<T> {
    usage(format!(
        "{short} ends after {frames} frames, {long} goes on; compare it with the video that it was made of"
    ))
}

/// The error for pictures of different sizes.
fn other_size<T>(reference: &str, size: (u32, u32), file: &str, found: (u32, u32)) -> anyhow::Result<T> {
    usage(format!(
        "{reference} has pictures of {}x{}, {file} of {}x{}; compare it with the video that it was made of",
        size.0, size.1, found.0, found.1
    ))
}

/// Quality as a table, and why a figure is missing from it.
fn table<'a>(rows: impl IntoIterator<Item = (String, &'a QualityReport)>) -> String {
    let number = |value: Option<f64>| value.map_or("-".to_owned(), |v| format!("{v:.4}"));
    let mut lines = vec![format!(
        "{:<22}{:>9} {:>9} {:>8} {:>8}",
        "", "PSNR RGB", "PSNR Y", "SSIM", "MS-SSIM"
    )];
    let mut small = Vec::new();
    for (label, q) in rows {
        let [ssim, ms_ssim] = [q.ssim, q.ms_ssim].map(number);
        lines.push(format!(
            "{label:<22}{:>6.2} dB {:>6.2} dB {ssim:>8} {ms_ssim:>8}",
            q.psnr, q.psnr_y
        ));
        small.extend(q.ssim.is_none().then_some("SSIM needs 11 pixels a side"));
        small.extend(q.ms_ssim.is_none().then_some("MS-SSIM needs 176 pixels a side"));
    }
    small.sort_unstable_by_key(|reason| reason.len());
    small.dedup();
    if !small.is_empty() {
        lines.push(format!("-: {}", small.join(", ")));
    }
    lines.join("\n")
}

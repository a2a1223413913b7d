//! `latentbit info`.

use std::sync::atomic::Ordering;

use anyhow::Context;
use latentbit_container::{
    Chroma, ColorRange, ErrorKind, Limits, Lost, Rational, ReadMode, Scan, Status, scan,
};
use serde::Serialize;

use crate::args::InfoArgs;
use crate::commands::device_info;
use crate::exit::Exit;
use crate::lbit_input::{self, Counted};
use crate::report::{self, BundleReport, bits_per_pixel};

#[derive(Debug, Serialize)]
struct Report<'a> {
    schema: &'static str,
    file: &'a str,
    version: String,
    /// "complete", "truncated" or "damaged".
    state: &'static str,
    width: u32,
    height: u32,
    frame_rate: [u32; 2],
    pixel_aspect: [u32; 2],
    chroma: &'static str,
    bit_depth: u8,
    color: ColorReport,
    bundle: BundleReport,
    bits: u8,
    bundle_bits: u8,
    patch: [u8; 3],
    strides: [u8; 3],
    chunk_latent_frames: u16,
    frames: u64,
    seconds: Option<f64>,
    chunks: usize,
    key_chunks: usize,
    lost_chunks: u64,
    index: bool,
    bytes: u64,
    bpp: f64,
    bits_per_second: Option<f64>,
    problems: Vec<String>,
}

#[derive(Debug, Serialize)]
struct ColorReport {
    primaries: u8,
    transfer: u8,
    matrix: u8,
    range: &'static str,
}

/// Runs the command.
pub fn run(args: &InfoArgs) -> anyhow::Result<Exit> {
    if let Some(device) = &args.device {
        return device_info::run(device, args.json);
    }
    let file = args.file.as_deref().unwrap_or("-");
    let (place, input) = lbit_input::open_bytes(file)?;
    let (input, bytes) = Counted::new(input);
    let scan = scan(input, Limits::default(), ReadMode::Resync).context(place)?;
    let (report, exit) = describe(file, &scan, bytes.load(Ordering::Relaxed));
    if args.json {
        report::print(&report, false)?;
    } else {
        report::print_text(&text(&report))?;
    }
    Ok(exit)
}

fn describe<'a>(file: &'a str, scan: &Scan, bytes: u64) -> (Report<'a>, Exit) {
    let header = &scan.header;
    let last = scan.chunks.last();
    let frames: u64 = scan.chunks.iter().map(|chunk| chunk.frame_count.0).sum();
    let present = scan.chunks.len() as u64;
    let expected = match scan.status {
        Status::Complete { totals, .. } => totals.chunks,
        _ => last.map_or(0, |chunk| chunk.sequence + 1),
    };
    let lost_chunks = expected.saturating_sub(present);
    let cut_off = |lost: &Lost| lost.reason.kind() == ErrorKind::Truncated;
    let damaged = lost_chunks > 0 || !scan.lost.iter().all(cut_off);
    let (state, exit) = match scan.status {
        _ if damaged => ("damaged", Exit::Damaged),
        Status::Complete { .. } => ("complete", Exit::Success),
        Status::Truncated { .. } => ("truncated", Exit::Truncated),
        _ => ("damaged", Exit::Damaged),
    };
    let Rational { num, den } = header.frame_rate;
    let seconds = (num > 0).then(|| frames as f64 * f64::from(den) / f64::from(num));
    let mut problems: Vec<String> = scan.lost.iter().map(|lost| lost.reason.to_string()).collect();
    problems.extend(scan.error.as_ref().map(ToString::to_string));
    let report = Report {
        schema: "latentbit.info/1",
        file,
        version: format!("{}.{}", scan.version.major, scan.version.minor),
        state,
        width: header.width,
        height: header.height,
        frame_rate: [num, den],
        pixel_aspect: [header.pixel_aspect.num, header.pixel_aspect.den],
        chroma: match header.chroma {
            Chroma::C420 => "4:2:0",
            Chroma::C422 => "4:2:2",
            Chroma::C444 => "4:4:4",
            Chroma::Gray => "gray",
            Chroma::Rgb => "rgb",
            _ => "unknown",
        },
        bit_depth: header.bit_depth,
        color: ColorReport {
            primaries: header.color.primaries,
            transfer: header.color.transfer,
            matrix: header.color.matrix,
            range: match header.color.range {
                ColorRange::Limited => "limited",
                ColorRange::Full => "full",
                _ => "unspecified",
            },
        },
        bundle: (&header.bundle).into(),
        bits: header.bits,
        bundle_bits: header.bundle_bits,
        patch: header.patch,
        strides: header.strides,
        chunk_latent_frames: header.chunk_latent_frames,
        frames,
        seconds,
        chunks: scan.chunks.len(),
        key_chunks: scan.chunks.iter().filter(|chunk| chunk.key).count(),
        lost_chunks,
        index: matches!(scan.status, Status::Complete { tail: true, .. }),
        bytes,
        bpp: bits_per_pixel(bytes, frames, header.width, header.height),
        bits_per_second: seconds.filter(|&s| s > 0.0).map(|s| bytes as f64 * 8.0 / s),
        problems,
    };
    (report, exit)
}

fn text(r: &Report<'_>) -> String {
    let mut lines = vec![format!("{}: LBIT {}, {}", r.file, r.version, r.state)];
    let mut video = format!("{}x{}, {} frames", r.width, r.height, r.frames);
    if let Some(seconds) = r.seconds {
        let rate = f64::from(r.frame_rate[0]) / f64::from(r.frame_rate[1].max(1));
        video.push_str(&format!(", {rate:.5} frames/s").replace(".00000", ""));
        video.push_str(&format!(", {seconds:.2} s"));
    }
    lines.push(format!(
        "  video    {video}, {} of {} bits",
        r.chroma, r.bit_depth
    ));
    let mut size = format!("{} bytes, {:.4} bits per pixel", r.bytes, r.bpp);
    if let Some(rate) = r.bits_per_second {
        size.push_str(&format!(", {:.1} kbit/s", rate / 1000.0));
    }
    lines.push(format!("  size     {size}"));
    lines.push(format!(
        "  tokens   {} of {} bits, patch {}, strides {}",
        r.bits,
        r.bundle_bits,
        join(r.patch),
        join(r.strides)
    ));
    lines.push(format!(
        "  chunks   {} ({} key, {} lost) of {} latent frames, {}",
        r.chunks,
        r.key_chunks,
        r.lost_chunks,
        r.chunk_latent_frames,
        if r.index { "with index" } else { "without index" }
    ));
    lines.push(format!("  bundle   {} {}", r.bundle.name, r.bundle.sha256));
    lines.extend(r.problems.iter().map(|problem| format!("  problem  {problem}")));
    lines.join("\n")
}

fn join(sides: [u8; 3]) -> String {
    sides.map(|side| side.to_string()).join("x")
}

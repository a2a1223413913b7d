//! Summaries as JSON, and what they share.

use std::io::{IsTerminal, Write};
use std::path::Path;
use std::time::Instant;

use latentbit_codec::Bundle;
use latentbit_codec::metrics::Quality;
use latentbit_container::BundleId;
use latentbit_media::{MediaError, stdout, text_of};
use serde::Serialize;

use crate::escape::{escaped, shown};

/// The bundle of a run.
#[derive(Debug, Serialize)]
pub struct BundleReport {
    pub name: String,
    pub sha256: String,
}

impl From<&BundleId> for BundleReport {
    fn from(id: &BundleId) -> Self {
        Self {
            name: id.name.clone(),
            sha256: id.sha256_hex(),
        }
    }
}

/// What all commands that run a model report.
#[derive(Debug, Serialize)]
pub struct RunReport {
    pub width: u32,
    pub height: u32,
    pub frames: u64,
    pub seconds: f64,
    pub fps: f64,
    pub device: &'static str,
    pub dtype: String,
    /// The instructions that operators used.
    pub kernels: String,
    pub bundle: BundleReport,
    pub peak_mem_bytes: Option<u64>,
    /// What was expected before the run, for runs that plan their memory.
    pub estimated_mem_bytes: Option<u64>,
    pub warnings: Vec<String>,
}

impl RunReport {
    /// A run with `bundle` that began at `started`, of frames of this width and height.
    pub fn new(
        bundle: &Bundle,
        [width, height]: [u32; 2],
        frames: u64,
        started: Instant,
        warnings: Vec<String>,
    ) -> Self {
        let seconds = started.elapsed().as_secs_f64();
        Self {
            width,
            height,
            frames,
            seconds,
            fps: frames as f64 / seconds,
            device: bundle.device().kind(),
            dtype: bundle.dtype().to_string(),
            kernels: bundle.kernels(),
            bundle: (&bundle.id).into(),
            peak_mem_bytes: peak_memory_bytes(),
            estimated_mem_bytes: None,
            warnings,
        }
    }

    /// Logs what the run took.
    pub fn log(&self) {
        let memory = self.peak_mem_bytes.map_or_else(String::new, |bytes| {
            format!(", peak memory {:.0} MB", bytes as f64 / 1e6)
        });
        tracing::info!(
            "{} frames in {:.2} s, {:.1} frames/s{memory}",
            self.frames,
            self.seconds,
            self.fps
        );
    }
}

/// PSNR of R, G, B and of luma in dB, SSIM and MS-SSIM; null where frames are too small for a measure.
#[derive(Debug, Serialize)]
pub struct QualityReport {
    pub psnr: f64,
    pub psnr_y: f64,
    pub ssim: Option<f64>,
    pub ms_ssim: Option<f64>,
}

impl From<Quality> for QualityReport {
    fn from(quality: Quality) -> Self {
        Self {
            psnr: quality.psnr,
            psnr_y: quality.psnr_y,
            ssim: quality.ssim,
            ms_ssim: quality.ms_ssim,
        }
    }
}

/// Prints a JSON object on one line: on stdout, or on stderr if stdout carries data.
pub fn print(report: &impl Serialize, stdout_is_data: bool) -> anyhow::Result<()> {
    let text = serde_json::to_string(report)?;
    if stdout_is_data {
        let written = writeln!(std::io::stderr(), "{}", escaped(&text));
        return written.map_err(|error| MediaError::io("stderr", "write", error).into());
    }
    print_bytes(escaped(&text).as_bytes())
}

/// Prints a line on stdout.
pub fn print_text(text: &str) -> anyhow::Result<()> {
    print_bytes(shown(text).as_bytes())
}

/// Prints a path on stdout: to programs as it is, whatever is in it; on a terminal as text.
pub fn print_path(path: &Path) -> anyhow::Result<()> {
    match std::io::stdout().is_terminal() {
        true => print_text(&text_of(path)),
        false => print_bytes(path.as_os_str().as_encoded_bytes()),
    }
}

fn print_bytes(line: &[u8]) -> anyhow::Result<()> {
    let mut out = stdout()?;
    let written = out.write_all(&[line, b"\n"].concat()).and_then(|()| out.flush());
    Ok(written.map_err(stdout_failed)?)
}

/// Prints a line on stderr that is no message of the log. If that fails there is nobody to tell.
pub fn tell(text: &str) {
    let _ = writeln!(std::io::stderr(), "{}", shown(text));
}

/// Why nothing can be written to stdout.
pub fn stdout_failed(error: std::io::Error) -> MediaError {
    MediaError::io("stdout", "write", error)
}

/// The line that stands for `more` problems that are not told one by one.
pub fn more_problems(more: u64) -> Option<String> {
    (more > 0).then(|| format!("and {more} more of the same kinds"))
}

/// Bits over pixels; 0 for a video without any.
pub fn bits_per_pixel(bytes: u64, frames: u64, width: u32, height: u32) -> f64 {
    let pixels = frames as f64 * f64::from(width) * f64::from(height);
    if pixels > 0.0 {
        bytes as f64 * 8.0 / pixels
    } else {
        0.0
    }
}

/// What to say of the bits per pixel of a whole file, after those of its video.
pub fn beside_pictures(file_bpp: f64) -> String {
    format!(" ({file_bpp:.4} with what is beside the pictures)")
}

/// Peak memory of this program in bytes, where the system tells.
pub fn peak_memory_bytes() -> Option<u64> {
    status_bytes("VmHWM:")
}

/// Current memory of this program in bytes, where the system tells.
pub fn resident_bytes() -> Option<u64> {
    status_bytes("VmRSS:")
}

fn status_bytes(key: &str) -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(key))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

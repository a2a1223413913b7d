//! `latentbit latents compare`.

use clap::Args;
use serde::Serialize;

use crate::args::headings;
use crate::exit::Exit;
use crate::latents::TensorFile;
use crate::report;
use latentbit_media::{FRAMES, MediaError, MediaErrorKind};

/// Options of `latents compare`.
#[derive(Debug, Args)]
pub struct LatentsCompareArgs {
    /// File of latents or frames.
    pub a: String,

    /// The file to measure it by.
    pub b: String,

    /// Print JSON.
    #[arg(long, help_heading = headings::GENERAL)]
    pub json: bool,
}

#[derive(Debug, Serialize)]
struct LatentsCompareReport<'a> {
    schema: &'static str,
    a: &'a str,
    b: &'a str,
    tensor: &'a str,
    shape: [u64; 5],
    /// The largest difference over the largest value of the second file; null if a value is no number.
    max_relative_error: f64,
    max_absolute_error: f64,
    /// Of frames for a peak of 2 (-1 to 1), of latents for the range of the second file; null if both are alike.
    psnr: Option<f64>,
}

/// Runs the command.
pub fn run(args: &LatentsCompareArgs) -> anyhow::Result<Exit> {
    let mut a = TensorFile::open(&args.a)?;
    let mut b = TensorFile::open(&args.b)?;
    if (a.shape(), &a.key) != (b.shape(), &b.key) {
        let message = format!(
            "expected '{}' with the sides {:?}, as {} has, found '{}' with {:?}",
            b.key,
            b.shape(),
            args.b,
            a.key,
            a.shape()
        );
        return Err(MediaError::new(MediaErrorKind::Invalid, &args.a, message).into());
    }
    let (mut left, mut right) = (Vec::new(), Vec::new());
    let (mut worst, mut square) = (0f64, 0f64);
    let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
    for frame in 0..a.frames {
        a.frame(frame, &mut left)?;
        b.frame(frame, &mut right)?;
        for (&x, &y) in left.iter().zip(&right) {
            let difference = f64::from(x) - f64::from(y);
            worst = match difference.is_nan() || worst.is_nan() {
                // `max` would pass over what is no number.
                true => f64::NAN,
                false => worst.max(difference.abs()),
            };
            square += difference * difference;
            low = low.min(y.into());
            high = high.max(y.into());
        }
    }
    let count: f64 = a.shape().iter().map(|&side| side as f64).product();
    let peak = if a.key == FRAMES { 2.0 } else { high - low };
    let report = LatentsCompareReport {
        schema: "latentbit.latents.compare/1",
        a: &args.a,
        b: &args.b,
        tensor: &a.key,
        shape: a.shape(),
        max_relative_error: worst / low.abs().max(high.abs()).max(f64::MIN_POSITIVE),
        max_absolute_error: worst,
        psnr: (square != 0.0).then(|| 10.0 * (peak * peak / (square / count)).log10()),
    };
    if args.json {
        report::print(&report, false)?;
    } else {
        let psnr = report
            .psnr
            .map_or("alike".to_owned(), |psnr| format!("{psnr:.2} dB"));
        report::print_text(&format!(
            "{} {:?}: maximum relative error {:.3e}, maximum absolute error {:.3e}, PSNR {psnr}",
            report.tensor, report.shape, report.max_relative_error, report.max_absolute_error
        ))?;
    }
    Ok(Exit::Success)
}

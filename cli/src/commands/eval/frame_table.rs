//! `latentbit eval --frames-csv`: a line for each frame.

use std::io::Write;

use latentbit_codec::metrics::Quality;
use latentbit_media::{MediaError, Target, set_replace};

use super::EvalArgs;
use crate::exit::usage;
use crate::overwrite;

/// The lines, as they come.
pub(super) struct FrameTable {
    target: Target,
    lines: csv::Writer<Box<dyn Write + Send>>,
}

impl FrameTable {
    /// Opens the file that is asked for, if one is.
    ///
    /// # Errors
    /// If it is there already and may not be overwritten, or cannot be written.
    pub fn open(args: &EvalArgs) -> anyhow::Result<Option<Self>> {
        let Some(path) = &args.frames_csv else {
            return Ok(None);
        };
        if path == "-" {
            return usage("--frames-csv: stdout has the summary; name a file");
        }
        overwrite::check_file(path, args.overwrite)?;
        set_replace(args.overwrite);
        let (target, file) = Target::open(path)?;
        let mut table = Self {
            target,
            lines: csv::Writer::from_writer(file),
        };
        table.write(["frame", "fidelity", "psnr", "psnr_y", "ssim", "ms_ssim"].map(str::to_owned))?;
        Ok(Some(table))
    }

    /// Writes the line of a frame: its number among those compared, from 0, and `fidelity`, which is empty where nothing is
    /// known of it.
    pub fn add(&mut self, frame: u64, fidelity: &str, quality: &Quality) -> anyhow::Result<()> {
        let number = |value: Option<f64>| value.map_or_else(String::new, |value| format!("{value:.6}"));
        self.write([
            frame.to_string(),
            fidelity.to_owned(),
            number(Some(quality.psnr)),
            number(Some(quality.psnr_y)),
            number(quality.ssim),
            number(quality.ms_ssim),
        ])
    }

    fn write(&mut self, fields: [String; 6]) -> anyhow::Result<()> {
        let written = self.lines.write_record(fields);
        written.map_err(|error| self.failed(error.into()))
    }

    fn failed(&self, error: std::io::Error) -> anyhow::Error {
        MediaError::io(&self.target.place, "write", error).into()
    }

    /// Gives the file its name.
    pub fn finish(mut self) -> anyhow::Result<()> {
        let flushed = self.lines.flush();
        flushed.map_err(|error| self.failed(error))?;
        drop(self.lines);
        Ok(self.target.commit()?)
    }
}

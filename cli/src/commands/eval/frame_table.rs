//! `latentbit eval --frames-csv`: a line for each frame.

use std::io::Write;

use latentbit_media::{MediaError, Target};

use super::frames::Measured;

/// The lines, as they come.
pub(super) struct FrameTable {
    target: Target,
    lines: csv::Writer<Box<dyn Write + Send>>,
}

impl FrameTable {
    /// Opens the file.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn open(path: &str) -> anyhow::Result<Self> {
        let (target, file) = Target::open(path)?;
        let mut table = Self {
            target,
            lines: csv::Writer::from_writer(file),
        };
        table.write(["frame", "fidelity", "psnr", "psnr_y", "ssim", "ms_ssim"].map(str::to_owned))?;
        Ok(table)
    }

    /// Writes the line of a frame.
    pub fn add(&mut self, measured: &Measured<'_>) -> anyhow::Result<()> {
        let number = |value: Option<f64>| value.map_or_else(String::new, |value| format!("{value:.6}"));
        let quality = measured.quality;
        self.write([
            measured.frame.to_string(),
            measured.fidelity_name().to_owned(),
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

//! Writes `.lbit` files and pipes, and prints summaries of them.

use std::io::Write;

use latentbit_container::{Header, Result as ContainerResult, StreamId, Summary, Writer, WriterOptions};
use serde::Serialize;

use crate::exit::Exit;
use crate::{interrupt, report};
use latentbit_media::{MediaError, Target};

/// A stream being written.
pub struct LbitOutput {
    target: Target,
    writer: Writer<Box<dyn Write + Send>>,
}

impl LbitOutput {
    /// Opens a file, or stdout for `-`, and writes the header.
    pub fn create(path_or_dash: &str, header: &Header, options: WriterOptions) -> anyhow::Result<Self> {
        // Whole chunks of a file are worth recovering, even if this process is killed.
        let (target, inner) = Target::open_recoverable(path_or_dash)?;
        let writer = Writer::new(inner, header, options).map_err(|e| explain(&target.place, e))?;
        Ok(Self { target, writer })
    }

    /// Writes something.
    pub fn write(
        &mut self,
        write: impl FnOnce(&mut Writer<Box<dyn Write + Send>>) -> ContainerResult<()>,
    ) -> anyhow::Result<()> {
        write(&mut self.writer).map_err(|e| explain(&self.target.place, e))
    }

    /// Ends the stream; the second result is the name of the file. If the input was ended early by a signal, it does not
    /// replace an older file, but goes beside it.
    pub fn finish(mut self) -> anyhow::Result<(Summary, String)> {
        let (_, summary) = self.writer.finish().map_err(|e| explain(&self.target.place, e))?;
        if interrupt::ended_early().is_some() {
            self.target.step_aside();
        }
        let place = self.target.place.clone();
        self.target.commit()?;
        Ok((summary, place))
    }
}

/// Adds what the system said about a failed write.
fn explain(place: &str, error: latentbit_container::Error) -> anyhow::Error {
    match error {
        latentbit_container::Error::Io { action, source, .. } => MediaError::io(place, action, source).into(),
        other => anyhow::Error::from(other).context(place.to_owned()),
    }
}

#[derive(Debug, Serialize)]
struct OutputSummary<'a, T: Serialize> {
    schema: String,
    output: &'a str,
    frames: u64,
    chunks: u64,
    bytes: u64,
    #[serde(flatten)]
    more: T,
}

/// For commands that have nothing to add to the summary.
#[derive(Debug, Serialize)]
pub struct Nothing {}

/// Writes what `make` makes to a file, or to stdout for `-`. The file gets its name only once it is whole.
pub fn write_file<T>(
    path_or_dash: &str,
    make: impl FnOnce(Box<dyn Write + Send>) -> latentbit_container::Result<T>,
) -> anyhow::Result<T> {
    let (target, inner) = Target::open(path_or_dash)?;
    let made = make(inner).map_err(|error| explain(&target.place, error))?;
    target.commit()?;
    Ok(made)
}

/// Prints a summary of the output as JSON, if that was asked for.
pub fn print_summary(
    command: &str,
    output: &str,
    summary: &Summary,
    more: impl Serialize,
    json: bool,
) -> anyhow::Result<Exit> {
    if json {
        let totals = summary
            .totals
            .get(StreamId(0).index())
            .copied()
            .unwrap_or_default();
        let summary = OutputSummary {
            schema: format!("latentbit.{command}/1"),
            output,
            frames: totals.frames.0,
            chunks: totals.chunks,
            bytes: summary.bytes,
            more,
        };
        report::print(&summary, output == "-")?;
    }
    Ok(Exit::Success)
}

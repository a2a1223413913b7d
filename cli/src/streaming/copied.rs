//! What commands say that make files of files.

use latentbit_container::{StreamId, Summary};
use serde::Serialize;

use crate::exit::Exit;
use crate::report;
use crate::streaming::lbit_output::explain;
use latentbit_media::Target;

#[derive(Debug, Serialize)]
struct Report<'a, T: Serialize> {
    schema: String,
    output: &'a str,
    frames: u64,
    chunks: u64,
    bytes: u64,
    #[serde(flatten)]
    more: T,
}

/// Nothing to add.
#[derive(Debug, Serialize)]
pub struct Nothing {}

/// Writes to `path_or_dash` what `make` makes, and gives it its name.
pub fn write<T>(
    path_or_dash: &str,
    make: impl FnOnce(Box<dyn std::io::Write + Send>) -> latentbit_container::Result<T>,
) -> anyhow::Result<T> {
    let (target, inner) = Target::open(path_or_dash)?;
    let made = make(inner).map_err(|error| explain(&target.place, error))?;
    target.commit()?;
    Ok(made)
}

/// Says what was written, if JSON was asked for.
pub fn tell(
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
        let report = Report {
            schema: format!("latentbit.{command}/1"),
            output,
            frames: totals.frames.0,
            chunks: totals.chunks,
            bytes: summary.bytes,
            more,
        };
        report::print(&report, output == "-")?;
    }
    Ok(Exit::Success)
}

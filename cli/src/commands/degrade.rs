//! `latentbit degrade`.

use std::ops::RangeInclusive;

use anyhow::Context;
use clap::{ArgGroup, Args};
use latentbit_container::edit::{self, Bursts, Degraded, Loss};
use latentbit_container::{ChunkInfo, Reader, Summary, Totals, WriterOptions};
use serde::Serialize;

use crate::args::headings;
use crate::args::{OutputArgs, bits};
use crate::exit::{Exit, usage};
use crate::limits::limits;
use crate::overwrite::{self, Decision};
use crate::streaming::{lbit_input, lbit_output};

/// Options of `degrade`.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("chosen").required(true).args(["drop", "loss_rate"]))]
pub struct DegradeArgs {
    /// .lbit file, intact.
    pub input: String,

    #[command(flatten)]
    pub output: OutputArgs,

    /// Numbers of the chunks to lose, from 0: 3,7-9.
    #[arg(long, value_name = "CHUNKS", value_delimiter = ',')]
    pub drop: Vec<ChunkRun>,

    /// Lose chunks at random: this share of them in the long run, 0 to 1.
    #[arg(long, value_name = "RATE")]
    pub loss_rate: Option<f64>,

    /// Mean length of bursts, in chunks: within a burst every chunk is lost.
    #[arg(long, value_name = "CHUNKS", default_value_t = 1.0, conflicts_with = "drop")]
    pub burst: f64,

    /// What chance begins with: the same seed loses the same chunks on every machine.
    #[arg(long, value_name = "N", default_value_t = 0, conflicts_with = "drop")]
    pub seed: u64,

    /// Hold the places of lost chunks, as `recover` does, instead of leaving their records out of the file.
    #[arg(long, conflicts_with = "planes")]
    pub hold: bool,

    /// Keep this many of the most important bit-planes of the chunks instead of losing all.
    #[arg(long, value_name = "N", value_parser = bits)]
    pub planes: Option<u8>,

    /// Print a summary as JSON on stdout (on stderr when stdout carries the output).
    #[arg(long, help_heading = headings::GENERAL)]
    pub json: bool,
}

#[derive(Debug, Serialize)]
struct DegradeFacts {
    /// What became of the chunks: "left-out", "held" or "planes".
    how: &'static str,
    /// Planes that stayed of each, if some did.
    planes: Option<u8>,
    /// Numbers of the chunks that were lost: first and last of each run.
    lost: Vec<[u64; 2]>,
    lost_chunks: u64,
    lost_frames: u64,
    /// Of all chunks.
    loss_rate: f64,
    /// Whether they were drawn at random, and how.
    drawn: Option<Drawn>,
}

#[derive(Clone, Copy, Debug, Serialize)]
struct Drawn {
    loss_rate: f64,
    burst: f64,
    seed: u64,
}

/// Runs the command.
pub fn run(args: &DegradeArgs) -> anyhow::Result<Exit> {
    if overwrite::check(&args.output)? == Decision::Skip {
        return Ok(Exit::Success);
    }
    let place = &args.input;
    let limits = limits();
    let input = lbit_input::open_file(place)?;
    let header = Reader::new(input, limits)
        .with_context(|| place.clone())?
        .header()
        .clone();
    let Some((stream, _)) = header.first_video() else {
        anyhow::bail!("{place}: there is no video in this file");
    };
    let drawn = args.loss_rate.map(|loss_rate| Drawn {
        loss_rate,
        burst: args.burst,
        seed: args.seed,
    });
    let mut bursts = match drawn {
        Some(drawn) => Some(Bursts::new(drawn.loss_rate, drawn.burst, drawn.seed).or_else(usage_error)?),
        None => None,
    };
    let mut next = 0;
    let choose = |chunk: &ChunkInfo| {
        if chunk.stream != stream {
            return false;
        }
        next = chunk.sequence + 1;
        match &mut bursts {
            Some(bursts) => bursts.next().unwrap_or(false),
            None => args.drop.iter().any(|run| run.0.contains(&chunk.sequence)),
        }
    };
    let loss = match (args.hold, args.planes) {
        (true, _) => Loss::Hold,
        (false, Some(planes)) => Loss::KeepPlanes(planes),
        (false, None) => Loss::LeaveOut,
    };
    let output = &args.output.output;
    let input = lbit_input::open_file(place)?;
    let (_, degraded) = lbit_output::write_file(output, |inner| {
        edit::degrade(input, inner, loss, choose, &limits, WriterOptions::default())
    })
    .with_context(|| place.clone())?;
    if let Some(run) = args.drop.iter().find(|run| *run.0.end() >= next) {
        tracing::warn!(
            "{place}: --drop asks for chunk {}, but there are {next}",
            run.0.end()
        );
    }
    let more = DegradeFacts {
        how: match loss {
            Loss::LeaveOut => "left-out",
            Loss::Hold => "held",
            Loss::KeepPlanes(_) => "planes",
        },
        planes: args.planes,
        lost: runs(&degraded.lost),
        lost_chunks: degraded.lost.len() as u64,
        lost_frames: degraded.lost.iter().map(|chunk| chunk.frame_count.0).sum(),
        loss_rate: degraded.lost.len() as f64 / degraded.chunks.max(1) as f64,
        drawn,
    };
    tell(output, &more, degraded.chunks);
    lbit_output::print_summary("degrade", output, &summary(&degraded), more, args.json)
}

/// Turns impossible parameters into wrong usage.
fn usage_error<T>(error: latentbit_container::Error) -> anyhow::Result<T> {
    usage(error.to_string())
}

/// Runs of neighbours, first and last of each.
fn runs(lost: &[ChunkInfo]) -> Vec<[u64; 2]> {
    let runs = lost.chunk_by(|a, b| a.sequence + 1 == b.sequence);
    let ends = runs.filter_map(|run| Some([run.first()?.sequence, run.last()?.sequence]));
    ends.collect()
}

fn tell(output: &str, more: &DegradeFacts, chunks: u64) {
    let names = more.lost.iter().map(|[first, last]| match first == last {
        true => first.to_string(),
        false => format!("{first}-{last}"),
    });
    let names = names.collect::<Vec<_>>().join(",");
    let what = match (more.how, more.planes) {
        (_, Some(planes)) => format!("have their first {planes} planes only"),
        ("held", _) => "are lost, their places held".to_owned(),
        _ => "are left out".to_owned(),
    };
    let (count, frames) = (more.lost_chunks, more.lost_frames);
    if count == 0 {
        tracing::warn!("{output}: none of {chunks} chunks was lost");
    } else {
        tracing::warn!("{output}: {count} of {chunks} chunks ({names}) with {frames} frames {what}");
    }
}

/// Totals of the output: frames and chunks count as before.
fn summary(degraded: &Degraded) -> Summary {
    Summary {
        totals: vec![Totals {
            frames: degraded.frames,
            chunks: degraded.chunks,
            digest: None,
        }],
        bytes: degraded.bytes,
    }
}

/// Numbers of chunks, as in `3` or `7-9`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChunkRun(pub RangeInclusive<u64>);

impl std::str::FromStr for ChunkRun {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = |part: &str| part.trim().parse::<u64>().ok();
        let run = match text.split_once('-') {
            Some((first, last)) => number(first).zip(number(last)),
            None => number(text).map(|number| (number, number)),
        };
        match run {
            Some((first, last)) if first <= last => Ok(Self(first..=last)),
            _ => Err("expected numbers of chunks, such as 3 or 7-9".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_are_read() {
        for (text, run) in [("0", Some(0..=0)), ("7-9", Some(7..=9)), (" 4 ", Some(4..=4))] {
            assert_eq!(text.parse().ok(), run.map(ChunkRun), "{text}");
        }
        for text in ["", "-", "9-7", "a", "1-", "-1", "1.5"] {
            assert!(text.parse::<ChunkRun>().is_err(), "{text}");
        }
    }
}

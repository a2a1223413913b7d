//! `latentbit score`.

use std::path::PathBuf;

use anyhow::Context;
use clap::Args;
use latentbit_codec::bundle::Halves;
use latentbit_codec::maskgit::{Piece, Predictor};
use latentbit_container::{Event, ReadMode, StoredChunk};
use serde::Serialize;

use crate::args::headings;
use crate::args::{ModelArgs, RangeArgs, path};
use crate::exit::{Exit, usage};
use crate::model;
use crate::report::{self, BundleReport};
use crate::streaming::chunk_feed::RangeFinder;
use crate::streaming::lbit_input::{self, AFTER_THE_END, LbitInput, WantedFrames};
use crate::streaming::neighbourhood::{Neighbourhood, intact};
use crate::streaming::threads;

/// Options of `score`.
#[derive(Debug, Args)]
pub struct ScoreArgs {
    /// .lbit file, or - for stdin.
    #[arg(allow_hyphen_values = true)]
    pub input: String,

    /// Predictor to use instead of the built-in one.
    #[arg(help_heading = headings::PREDICTOR, long, value_name = "FILE", value_parser = path)]
    pub predictor: Option<PathBuf>,

    /// Parts into which the tokens of a chunk are divided; each is predicted from those before it. More parts take more
    /// time and give a tighter bound.
    #[arg(help_heading = headings::PREDICTOR, long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub parts: u32,

    #[command(flatten)]
    pub range: RangeArgs,

    #[command(flatten)]
    pub model: ModelArgs,

    /// Print JSON.
    #[arg(long, help_heading = headings::GENERAL)]
    pub json: bool,
}

/// What a chunk costs under the predictor.
#[derive(Debug, Serialize)]
struct ChunkScore {
    chunk: u64,
    first_frame: u64,
    frames: u64,
    tokens: u64,
    bits: f64,
    bits_per_token: f64,
}

#[derive(Debug, Serialize)]
struct ScoreReport<'a> {
    schema: &'static str,
    input: &'a str,
    bundle: BundleReport,
    predictor: &'a str,
    parts: u32,
    /// Bits of each token in the file.
    token_bits: u8,
    /// Mean over all tokens.
    bits_per_token: f64,
    chunks: Vec<ChunkScore>,
}

/// Runs the command.
pub fn run(args: &ScoreArgs) -> anyhow::Result<Exit> {
    let mut input = lbit_input::open(&args.input, ReadMode::Strict)?;
    let bundle = model::load_for(&args.model, Halves::Both, &input.video, &input.place)?;
    let predictor = model::load_predictor(args.predictor.as_deref(), &bundle)?;
    let threads = threads::pool(args.model.threads)?;
    let video = input.video.clone();
    // The predictor's window reaches no further to either side.
    let around = predictor.steps() as u64 * u64::from(video.patch[0]) * u64::from(video.strides[0]);
    let wanted = args.range.wanted();
    let wanted = input
        .seek(wanted, around, &[])?
        .map_or(wanted, |seeked| seeked.wanted);
    let mut chunks = Vec::new();
    if !args.json {
        report::print_text(&format!(
            "chunk  first frame  frames  bits per token of {}",
            video.bits
        ))?;
    }
    threads.install(|| {
        score(input, wanted, &predictor, args.parts, |score| {
            if !args.json {
                report::print_text(&format!(
                    "{:5}  {:11}  {:6}  {:.2}",
                    score.chunk, score.first_frame, score.frames, score.bits_per_token
                ))?;
            }
            chunks.push(score);
            Ok(())
        })
    })?;
    if chunks.is_empty() && wanted.start.is_some() {
        return usage(AFTER_THE_END);
    }
    let (bits, tokens) = chunks.iter().fold((0.0, 0), |(bits, tokens), chunk| {
        (bits + chunk.bits, tokens + chunk.tokens)
    });
    let mean = bits / (tokens as f64).max(1.0);
    if !args.json {
        report::print_text(&format!("all: {mean:.2}"))?;
        return Ok(Exit::Success);
    }
    let report = ScoreReport {
        schema: "latentbit.score/1",
        input: &args.input,
        bundle: (&bundle.id).into(),
        predictor: &predictor.config().name,
        parts: args.parts,
        token_bits: video.bits,
        bits_per_token: mean,
        chunks,
    };
    report::print(&report, false)?;
    Ok(Exit::Success)
}

/// A chunk that waits for the one after it.
struct Unscored {
    stored: StoredChunk,
    /// Whether to score it.
    wanted: bool,
    /// Its tokens, where they are needed.
    piece: Option<Piece>,
}

fn score(
    mut input: LbitInput,
    wanted: WantedFrames,
    predictor: &Predictor,
    parts: u32,
    mut tell: impl FnMut(ChunkScore) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let mut settle = |unscored: Unscored, after: Option<&Piece>, before: &mut Neighbourhood| {
        let Unscored {
            stored: chunk,
            wanted,
            piece,
        } = unscored;
        let Some(piece) = piece else {
            before.pass(chunk);
            return Ok(());
        };
        if wanted {
            let (window, steps) = before.window(&piece, after)?;
            let bits = predictor.score(&window, steps, parts, 0)?;
            let tokens = piece.values.len() as u64;
            tell(ChunkScore {
                chunk: chunk.sequence,
                first_frame: chunk.first_frame.0,
                frames: chunk.frame_count.0,
                tokens,
                bits,
                bits_per_token: bits / tokens as f64,
            })?;
        }
        Ok::<(), anyhow::Error>(before.add(piece)?)
    };
    let mut range = RangeFinder::new(wanted, &input.video);
    let mut before = Neighbourhood::new(&input.video, predictor);
    let mut unscored: Option<Unscored> = None;
    let mut unpacked = 0u64;
    let place = input.place.clone();
    while let Some(event) = input.source.next_stored_event().with_context(|| place.clone())? {
        match event {
            Event::Stored(stored) if stored.stream == input.stream && !stored.is_lost() => {
                let frames = stored.first_frame.0..stored.first_frame.0.saturating_add(stored.frame_count.0);
                range.look_at(&frames, Some(&stored.times));
                let last = unscored.take();
                let joined = (last.as_ref()).is_some_and(|last| last.stored.segment == stored.segment);
                let looked_at = joined && last.as_ref().is_some_and(|last| last.wanted);
                let wanted = range.reached(frames.end) && !range.passed(frames.start);
                let piece = (wanted || looked_at).then(|| intact(&stored));
                let piece = piece.transpose().with_context(|| place.clone())?;
                unpacked += u64::from(piece.is_some());
                if let Some(last) = last {
                    settle(last, piece.as_ref().filter(|_| joined), &mut before)
                        .with_context(|| place.clone())?;
                    if !joined {
                        before.clear();
                    }
                }
                if range.passed(frames.start) {
                    break;
                }
                unscored = Some(Unscored {
                    stored,
                    wanted,
                    piece,
                });
            }
            other => {
                let lost_in = match other {
                    Event::Missing { stream, .. } => Some(stream),
                    Event::Stored(lost) => Some(lost.stream),
                    _ => None,
                };
                if lost_in == Some(input.stream) {
                    if let Some(last) = unscored.take() {
                        settle(last, None, &mut before).with_context(|| place.clone())?;
                    }
                    before.clear();
                }
            }
        }
    }
    if let Some(last) = unscored {
        settle(last, None, &mut before).with_context(|| place.clone())?;
    }
    let unpacked = unpacked + before.unpacked();
    tracing::debug!("{place}: {unpacked} chunks were unpacked");
    Ok(())
}

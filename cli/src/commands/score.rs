//! `latentbit score`.

use std::io::Write;
use std::path::PathBuf;

use anyhow::Context;
use clap::Args;
use latentbit_codec::bundle::Halves;
use latentbit_codec::maskgit::{Neighbours, Piece, Predictor};
use latentbit_container::{Chunk, Event, LatentFrames, ReadMode, VideoStream};
use serde::Serialize;

use crate::args::ModelArgs;
use crate::exit::Exit;
use crate::model;
use crate::report::{self, BundleReport};
use crate::streaming::lbit_input::{self, Input};
use crate::streaming::threads;

/// Options of `score`.
#[derive(Debug, Args)]
pub struct ScoreArgs {
    /// .lbit file, or - for stdin.
    #[arg(allow_hyphen_values = true)]
    pub input: String,

    /// Predictor to use instead of the built-in one.
    #[arg(long, value_name = "FILE")]
    pub predictor: Option<PathBuf>,

    /// In how many parts the tokens of a chunk are told, each predicted from those before: more parts cost more time and
    /// give a tighter bound.
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub parts: u32,

    #[command(flatten)]
    pub model: ModelArgs,

    /// Print JSON.
    #[arg(long)]
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
    let input = lbit_input::open(&args.input, ReadMode::Strict)?;
    let bundle = model::load(&args.model, Halves::Both)?;
    model::check(&bundle, &input.video, &input.place)?;
    let predictor = model::load_predictor(args.predictor.as_deref(), &bundle)?;
    let threads = threads::pool(args.model.threads)?;
    let video = input.video.clone();
    let mut chunks = Vec::new();
    let mut out = std::io::stdout();
    if !args.json {
        writeln!(
            out,
            "chunk  first frame  frames  bits per token of {}",
            video.bits
        )?;
    }
    threads.install(|| {
        score(input, &predictor, &video, args.parts, |score| {
            if !args.json {
                writeln!(
                    out,
                    "{:5}  {:11}  {:6}  {:.2}",
                    score.chunk, score.first_frame, score.frames, score.bits_per_token
                )?;
            }
            chunks.push(score);
            Ok(())
        })
    })?;
    let (bits, tokens) = chunks.iter().fold((0.0, 0), |(bits, tokens), chunk| {
        (bits + chunk.bits, tokens + chunk.tokens)
    });
    let mean = bits / (tokens as f64).max(1.0);
    if !args.json {
        writeln!(out, "all: {mean:.2}")?;
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
    chunk: Chunk,
    piece: Piece,
}

fn score(
    mut input: Input,
    predictor: &Predictor,
    video: &VideoStream,
    parts: u32,
    mut tell: impl FnMut(ChunkScore) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let grid = video.grid(LatentFrames(1));
    let mut neighbours = Neighbours::new(grid.h, grid.w, predictor.steps());
    let mut settle = |unscored: Unscored, after: Option<&Piece>, neighbours: &mut Neighbours| {
        let Unscored { chunk, piece } = unscored;
        let (window, steps) = neighbours.window(&piece, after)?;
        let bits = predictor.score(&window, steps, parts, 0)?;
        let tokens = piece.values.len() as u64;
        neighbours.push(piece);
        tell(ChunkScore {
            chunk: chunk.sequence,
            first_frame: chunk.first_frame.0,
            frames: chunk.frame_count.0,
            tokens,
            bits,
            bits_per_token: bits / tokens as f64,
        })
    };
    let mut unscored: Option<Unscored> = None;
    while let Some(event) = input.reader.next_event().with_context(|| input.place.clone())? {
        match event {
            Event::Chunk(chunk) if chunk.stream == input.stream => {
                let piece = Piece::intact(chunk.tokens.values.clone(), chunk.tokens.bits, chunk.key);
                let next = Unscored { chunk, piece };
                if let Some(last) = unscored.take() {
                    let joined = last.chunk.segment == next.chunk.segment;
                    settle(last, joined.then_some(&next.piece), &mut neighbours)?;
                    if !joined {
                        neighbours.clear();
                    }
                }
                unscored = Some(next);
            }
            Event::Missing { stream, .. } if stream == input.stream => {
                if let Some(last) = unscored.take() {
                    settle(last, None, &mut neighbours)?;
                }
                neighbours.clear();
            }
            _ => {}
        }
    }
    if let Some(last) = unscored {
        settle(last, None, &mut neighbours)?;
    }
    Ok(())
}

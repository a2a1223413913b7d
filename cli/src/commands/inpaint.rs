//! `latentbit inpaint`.

use std::ops::Range;
use std::str::FromStr;
use std::time::{Duration, Instant};

use anyhow::Context;
use clap::Args;
use latentbit_codec::bundle::Halves;
use latentbit_codec::maskgit::{FillOptions, Neighbours, Piece, Predictor};
use latentbit_container::{Chunk, Event, LatentFrames, ReadMode, StoredChunk, VideoStream, bit_mask};
use serde::Serialize;

use crate::args::{CoderArgs, FillArgs, ModelArgs, OutputArgs};
use crate::exit::{Exit, usage};
use crate::model;
use crate::overwrite::{self, Decision};
use crate::streaming::lbit_output::{self, Output};
use crate::streaming::{lbit_input, threads};
use latentbit_media::Start;

/// Options of `inpaint`.
#[derive(Debug, Args)]
pub struct InpaintArgs {
    /// .lbit file, intact.
    pub input: String,

    #[command(flatten)]
    pub output: OutputArgs,

    /// The rectangle to make anew, in pixels, as ffmpeg's crop has it: width:height:x:y. It grows to whole tokens. Without
    /// it whole frames are made anew.
    #[arg(long, value_name = "W:H:X:Y")]
    pub mask: Option<Rectangle>,

    /// Where to begin: seconds (12.5), HH:MM:SS.ms or a number of frames (40f); the start by default. It grows to whole
    /// tokens.
    #[arg(long, value_name = "TIME")]
    pub from: Option<Start>,

    /// Where to end, the same way; the end by default.
    #[arg(long, value_name = "TIME")]
    pub to: Option<Start>,

    #[command(flatten)]
    pub fill: FillArgs,

    #[command(flatten)]
    pub model: ModelArgs,

    #[command(flatten)]
    pub coder: CoderArgs,

    /// Print a summary as JSON on stdout (on stderr when stdout carries the output).
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Serialize)]
struct InpaintSummary {
    changed_chunks: u64,
    changed_tokens: u64,
    seed: u64,
    passes: u64,
    fill_seconds: f64,
}

/// Runs the command.
pub fn run(args: &InpaintArgs) -> anyhow::Result<Exit> {
    if overwrite::check(&args.output)? == Decision::Skip {
        return Ok(Exit::Success);
    }
    if args.mask.is_none() && args.from.is_none() && args.to.is_none() {
        return usage("say what to make anew: --mask, --from or --to");
    }
    let mut input = lbit_input::open(&args.input, ReadMode::Strict)?;
    let video = input.video.clone();
    let bundle = model::load(&args.model, Halves::Both)?;
    model::check(&bundle, &video, &input.place)?;
    let predictor = model::load_predictor(args.fill.predictor.as_deref(), &bundle)?;
    if let Some(mask) = args.mask
        && (mask.x >= video.width || mask.y >= video.height)
    {
        return usage(format!(
            "--mask begins at {}:{}, but frames are {}x{}",
            mask.x, mask.y, video.width, video.height
        ));
    }
    let frame_at = |start: Start| start.frames_at(video.frame_rate);
    let part = Part {
        rectangle: args.mask,
        frames: args.from.map_or(0, frame_at)..args.to.map_or(u64::MAX, frame_at),
    };
    let threads = threads::pool(args.model.threads)?;
    let output = Output::create(
        &args.output.output,
        input.reader.header(),
        args.coder.writer_options(),
    )?;
    let grid = video.grid(LatentFrames(1));
    let mut inpainter = Inpainter {
        neighbours: Neighbours::new(grid.h, grid.w, predictor.steps()),
        predictor: &predictor,
        options: args.fill.options(),
        part,
        video,
        output,
        summary: InpaintSummary {
            changed_chunks: 0,
            changed_tokens: 0,
            seed: args.fill.seed,
            passes: 0,
            fill_seconds: 0.0,
        },
        time: Duration::ZERO,
    };
    threads.install(|| inpainter.run(&mut input))?;
    let Inpainter {
        output,
        summary: mut inpainted,
        time,
        ..
    } = inpainter;
    inpainted.fill_seconds = time.as_secs_f64();
    if inpainted.changed_chunks == 0 {
        return usage("nothing lies in the part that is to be made anew");
    }
    let summary = output.finish()?;
    tracing::warn!(
        "{}: {} tokens in {} chunks were made anew",
        args.output.output,
        inpainted.changed_tokens,
        inpainted.changed_chunks
    );
    lbit_output::print_summary("inpaint", &args.output.output, &summary, inpainted, args.json)
}

/// A chunk that waits for the one after it.
struct PendingChunk {
    stored: StoredChunk,
    chunk: Chunk,
    piece: Piece,
    changed: bool,
}

struct Inpainter<'a> {
    predictor: &'a Predictor,
    options: FillOptions,
    part: Part,
    video: VideoStream,
    neighbours: Neighbours,
    output: Output,
    summary: InpaintSummary,
    time: Duration,
}

impl Inpainter<'_> {
    fn run(&mut self, input: &mut lbit_input::Input) -> anyhow::Result<()> {
        let mut pending: Option<PendingChunk> = None;
        let place = input.place.clone();
        while let Some(event) = input.reader.next_stored_event().with_context(|| place.clone())? {
            match event {
                Event::Stored(stored) if stored.stream == input.stream && !stored.is_lost() => {
                    let next = self.prepare(stored).with_context(|| place.clone())?;
                    let last = pending.take();
                    let joined =
                        (last.as_ref()).is_none_or(|last| last.stored.segment == next.stored.segment);
                    self.settle(last, joined.then_some(&next.piece))?;
                    if !joined {
                        self.neighbours.clear();
                    }
                    pending = Some(next);
                }
                Event::Stored(stored) => {
                    if stored.stream == input.stream {
                        self.settle(pending.take(), None)?;
                        self.neighbours.clear();
                    }
                    self.output.write(|writer| writer.write_stored(&stored))?;
                }
                Event::Packets(packets) => self
                    .output
                    .write(|writer| writer.write_packets(packets.stream, &packets.packets))?,
                Event::Metadata(metadata) => self.output.write(|writer| writer.write_metadata(&metadata))?,
                Event::Chapters(chapters) => self.output.write(|writer| writer.write_chapters(&chapters))?,
                _ => {}
            }
        }
        self.settle(pending, None)
    }

    fn prepare(&self, stored: StoredChunk) -> latentbit_container::Result<PendingChunk> {
        let chunk = stored.unpack()?;
        let mut piece = Piece::intact(chunk.tokens.values.clone(), chunk.tokens.bits, chunk.key);
        let changed = piece.forget(chunk.tokens.grid, self.part.tokens(&chunk, &self.video));
        Ok(PendingChunk {
            stored,
            chunk,
            piece,
            changed,
        })
    }

    /// Fills a chunk, if there is something to fill, and writes it.
    fn settle(&mut self, pending: Option<PendingChunk>, after: Option<&Piece>) -> anyhow::Result<()> {
        let Some(PendingChunk {
            stored,
            mut chunk,
            mut piece,
            changed,
        }) = pending
        else {
            return Ok(());
        };
        if changed {
            let (mut window, steps) = self.neighbours.window(&piece, after)?;
            let options = self.options.for_chunk(chunk.sequence);
            let started = Instant::now();
            let report = self.predictor.fill(&mut window, &options)?;
            self.time += started.elapsed();
            self.summary.passes += u64::from(report.passes);
            self.summary.changed_chunks += 1;
            let kept = bit_mask(chunk.tokens.bits);
            self.summary.changed_tokens += piece.known.iter().filter(|&&known| known == 0).count() as u64;
            // What was known stays as it was, to the bit.
            let filled = window
                .steps(steps)
                .iter()
                .zip(&chunk.tokens.values)
                .zip(&piece.known);
            chunk.tokens.values = filled
                .map(|((&new, &old), &known)| if known == 0 { new & kept } else { old })
                .collect();
            piece = Piece::intact(chunk.tokens.values.clone(), chunk.tokens.bits, chunk.key);
            self.output.write(|writer| writer.write_chunk(&chunk))?;
        } else {
            self.output.write(|writer| writer.write_stored(&stored))?;
        }
        self.neighbours.push(piece);
        Ok(())
    }
}

/// A rectangle of pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rectangle {
    pub width: u32,
    pub height: u32,
    pub x: u32,
    pub y: u32,
}

impl FromStr for Rectangle {
    type Err = String;

    /// Reads `width:height:x:y`.
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("'{text}' is no rectangle; write width:height:x:y in pixels");
        let numbers: Result<Vec<u32>, _> = text.split(':').map(str::parse).collect();
        match numbers.map_err(|_| wrong())?[..] {
            [width, height, x, y] if width > 0 && height > 0 => Ok(Self { width, height, x, y }),
            _ => Err(wrong()),
        }
    }
}

/// What is made anew.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    pub rectangle: Option<Rectangle>,
    /// Indices of frames.
    pub frames: Range<u64>,
}

impl Part {
    /// The steps, rows and columns of a chunk's tokens that hold pixels of it.
    pub fn tokens(&self, chunk: &Chunk, video: &VideoStream) -> [Range<usize>; 3] {
        let grid = chunk.tokens.grid;
        let [rows, columns] = match self.rectangle {
            None => [0..grid.h as usize, 0..grid.w as usize],
            Some(Rectangle { width, height, x, y }) => {
                let across = |start: u32, len: u32, axis: usize| {
                    let side = u32::from(video.strides[axis]) * u32::from(video.patch[axis]);
                    (start / side) as usize..start.saturating_add(len).div_ceil(side) as usize
                };
                [across(y, height, 1), across(x, width, 2)]
            }
        };
        [self.steps(chunk, video), rows, columns]
    }

    fn steps(&self, chunk: &Chunk, video: &VideoStream) -> Range<usize> {
        let first = chunk.first_frame.0;
        let start = self.frames.start.max(first);
        let end = self.frames.end.min(first.saturating_add(chunk.frame_count.0));
        if start >= end {
            return 0..0;
        }
        let step_of = |frame: u64| {
            let (stride, inside) = (u64::from(video.strides[0]).max(1), frame - first);
            // The first latent frame of a group holds one frame.
            let latent = if chunk.key {
                inside.div_ceil(stride)
            } else {
                inside / stride
            };
            usize::try_from(latent / u64::from(video.patch[0]).max(1)).unwrap_or(usize::MAX)
        };
        let steps = step_of(start)..step_of(end - 1).saturating_add(1);
        steps.start..steps.end.min(chunk.tokens.grid.t as usize)
    }
}

#[cfg(test)]
mod tests {
    use latentbit_codec::{Bundle, Device, Dtype, pipeline};
    use latentbit_container::{ChunkPlan, PixelFrames};

    use super::*;

    #[test]
    fn rectangles() {
        let expected = Rectangle {
            width: 64,
            height: 32,
            x: 8,
            y: 0,
        };
        assert_eq!("64:32:8:0".parse(), Ok(expected));
        for wrong in ["", "1:2:3", "0:1:2:3", "1:2:3:4:5", "a:b:c:d", "-1:2:3:4"] {
            assert!(wrong.parse::<Rectangle>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn parts_grow_to_whole_tokens() {
        let path = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../testdata/golden/storage-int8.safetensors"
        );
        let bundle = Bundle::open(path, &Device::Cpu, Dtype::F32).unwrap();
        // Strides 4x4x4 and patches 2x2x2: a token is 8 by 8 pixels and two latent frames.
        let video = pipeline::video_stream_for(&bundle, 48, 32).unwrap();
        let plan: Vec<_> = ChunkPlan::new(PixelFrames(29), 4, 0, 4).collect();
        let chunk = |index: usize| {
            let grid = video.grid(plan[index].latent_frames);
            plan[index].with_tokens(&video, vec![0; grid.len()])
        };
        let rectangle = |text: &str| Some(text.parse().unwrap());
        let part = Part {
            rectangle: rectangle("9:1:7:8"),
            frames: 0..u64::MAX,
        };
        assert_eq!(part.tokens(&chunk(0), &video), [0..2, 1..2, 0..2]);
        let frames = |frames: Range<u64>, index| {
            let part = Part {
                rectangle: None,
                frames,
            };
            part.tokens(&chunk(index), &video)
        };
        // Latent frames of the key chunk hold 1, 4, 4 and 4 frames.
        assert_eq!(frames(0..5, 0), [0..1, 0..4, 0..6]);
        assert_eq!(frames(0..6, 0)[0], 0..2);
        assert_eq!(frames(5..6, 0)[0], 1..2);
        assert_eq!(frames(0..13, 1)[0], 0..0);
        assert_eq!(frames(13..14, 1)[0], 0..1);
        assert_eq!(frames(21..99, 1)[0], 1..2);
        assert_eq!(frames(20..99, 1)[0], 0..2);
    }
}

//! `latentbit inpaint`. Its output is a copy of the whole file, so all of it is read; tokens are unpacked only around the part
//! that is made anew.

use std::ops::Range;
use std::str::FromStr;
use std::time::{Duration, Instant};

use anyhow::Context;
use clap::Args;
use latentbit_codec::bundle::Halves;
use latentbit_codec::maskgit::{FillOptions, Piece, Predictor};
use latentbit_container::{Chunk, Event, ReadMode, StoredChunk, VideoStream, bit_mask};
use serde::Serialize;

use crate::args::headings;
use crate::args::{CoderArgs, FillArgs, ModelArgs, OutputArgs};
use crate::exit::{Exit, usage};
use crate::model;
use crate::overwrite::{self, Decision};
use crate::streaming::lbit_input::{self, Point};
use crate::streaming::lbit_output::{self, LbitOutput};
use crate::streaming::neighbourhood::Neighbourhood;
use crate::streaming::threads;
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

    /// Where to start: seconds (12.5), HH:MM:SS.ms or a number of frames (40f); the beginning by default. Grows to whole
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
    #[arg(long, help_heading = headings::GENERAL)]
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
    let bundle = model::load_for(&args.model, Halves::Both, &video, &input.place)?;
    let predictor = model::load_predictor(args.fill.predictor.as_deref(), &bundle)?;
    if let Some(mask) = args.mask
        && (mask.x >= video.width || mask.y >= video.height)
    {
        return usage(format!(
            "--mask begins at {}:{}, but frames are {}x{}",
            mask.x, mask.y, video.width, video.height
        ));
    }
    let point_at = |start: Start| Point::new(start, &video);
    let part = Part {
        rectangle: args.mask,
        from: args.from.map_or(Point::Frame(0), point_at),
        to: args.to.map_or(Point::Frame(u64::MAX), point_at),
    };
    let threads = threads::pool(args.model.threads)?;
    let output = LbitOutput::create(
        &args.output.output,
        input.source.header(),
        args.coder.writer_options(),
    )?;
    let mut inpainter = Inpainter {
        before: Neighbourhood::new(&video, &predictor),
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
        unpacked: 0,
        time: Duration::ZERO,
    };
    threads.install(|| inpainter.run(&mut input))?;
    let Inpainter {
        before,
        output,
        summary: mut inpainted,
        unpacked,
        time,
        ..
    } = inpainter;
    tracing::debug!(
        "{}: {} chunks were unpacked to see their tokens",
        input.place,
        before.unpacked() + unpacked
    );
    inpainted.fill_seconds = time.as_secs_f64();
    if inpainted.changed_chunks == 0 {
        return usage("nothing lies in the part that is to be made anew");
    }
    let (summary, _) = output.finish()?;
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
    /// Whether some of its tokens are to be made anew.
    touched: bool,
    /// Only where its tokens are needed.
    unpacked: Option<Unpacked>,
}

/// The tokens of a chunk.
struct Unpacked {
    chunk: Chunk,
    /// Without those to make anew.
    piece: Piece,
    /// For each token whether it is to be made anew.
    new: Vec<bool>,
}

struct Inpainter<'a> {
    predictor: &'a Predictor,
    options: FillOptions,
    part: Part,
    video: VideoStream,
    /// The chunks before the pending one.
    before: Neighbourhood,
    output: LbitOutput,
    summary: InpaintSummary,
    /// How many chunks were unpacked, those in `before` not counted.
    unpacked: u64,
    time: Duration,
}

impl Inpainter<'_> {
    fn run(&mut self, input: &mut lbit_input::LbitInput) -> anyhow::Result<()> {
        let mut pending: Option<PendingChunk> = None;
        let place = input.place.clone();
        while let Some(event) = input.source.next_stored_event().with_context(|| place.clone())? {
            match event {
                Event::Stored(stored) if stored.stream == input.stream && !stored.is_lost() => {
                    let last = pending.take();
                    let joined = (last.as_ref()).is_none_or(|last| last.stored.segment == stored.segment);
                    let looked_at = joined && last.as_ref().is_some_and(|last| last.touched);
                    let next = self.prepare(stored, looked_at).with_context(|| place.clone())?;
                    let after = next.unpacked.as_ref().map(|unpacked| &unpacked.piece);
                    self.settle(last, after.filter(|_| joined))
                        .with_context(|| place.clone())?;
                    if !joined {
                        self.before.clear();
                    }
                    pending = Some(next);
                }
                Event::Stored(stored) => {
                    if stored.stream == input.stream {
                        self.settle(pending.take(), None).with_context(|| place.clone())?;
                        self.before.clear();
                    }
                    self.output.write(|writer| writer.write_stored(&stored))?;
                }
                Event::Packets(packets) => self
                    .output
                    .write(|writer| writer.write_packets(packets.stream, &packets.packets))?,
                Event::Metadata(metadata) => self.output.write(|writer| writer.write_metadata(&metadata))?,
                Event::Chapters(chapters) => self.output.write(|writer| writer.write_chapters(&chapters))?,
                Event::Attachment(attachment) => {
                    self.output.write(|writer| writer.write_attachment(&attachment))?;
                }
                _ => {}
            }
        }
        self.settle(pending, None).with_context(|| place.clone())
    }

    /// Unpacks a chunk if some of its tokens are to be made anew, or if it is `looked_at` as the neighbour of one where
    /// some are.
    fn prepare(&mut self, stored: StoredChunk, looked_at: bool) -> latentbit_container::Result<PendingChunk> {
        let tokens = self.part.tokens(&stored, &self.video);
        let touched = tokens.iter().all(|side| !side.is_empty());
        let unpacked = match touched || looked_at {
            true => {
                self.unpacked += 1;
                let chunk = stored.unpack()?;
                let mut piece = Piece::of(&chunk.tokens, chunk.key);
                piece.forget(chunk.tokens.grid, tokens.clone());
                // A token of depth 0 is not known either, but it stays as it is.
                let mut kept = Piece::intact(chunk.tokens.values.clone(), 1, chunk.key);
                kept.forget(chunk.tokens.grid, tokens);
                let new = kept.known.iter().map(|&known| known == 0).collect();
                Some(Unpacked { chunk, piece, new })
            }
            false => None,
        };
        Ok(PendingChunk {
            stored,
            touched,
            unpacked,
        })
    }

    /// Fills a chunk, if there is something to fill, and writes it.
    fn settle(&mut self, pending: Option<PendingChunk>, after: Option<&Piece>) -> anyhow::Result<()> {
        let Some(PendingChunk {
            stored,
            touched,
            unpacked,
        }) = pending
        else {
            return Ok(());
        };
        match unpacked {
            Some(Unpacked {
                mut chunk,
                piece,
                new,
            }) if touched => {
                let (mut window, steps) = self.before.window(&piece, after)?;
                let options = self.options.for_chunk(chunk.sequence);
                let started = Instant::now();
                let report = self.predictor.fill(&mut window, &options)?;
                self.time += started.elapsed();
                self.summary.passes += u64::from(report.passes);
                self.summary.changed_chunks += 1;
                let kept = bit_mask(chunk.tokens.bits);
                self.summary.changed_tokens += new.iter().filter(|&&new| new).count() as u64;
                // Known tokens stay bit-exact.
                let filled = window.steps(steps).iter().zip(&chunk.tokens.values).zip(&new);
                chunk.tokens.values = filled
                    .map(|((&made, &old), &new)| if new { made & kept } else { old })
                    .collect();
                // New tokens are as deep as the deepest of the chunk.
                if let Some(depths) = &mut chunk.tokens.depths {
                    let all = depths.values.iter_mut().zip(&new);
                    all.filter(|(_, new)| **new)
                        .for_each(|(depth, _)| *depth = chunk.tokens.bits);
                }
                self.output.write(|writer| writer.write_chunk(&chunk))?;
                self.before.add(Piece::of(&chunk.tokens, stored.key))?;
            }
            unpacked => {
                self.output.write(|writer| writer.write_stored(&stored))?;
                match unpacked {
                    Some(Unpacked { piece, .. }) => self.before.add(piece)?,
                    None => self.before.pass(stored),
                }
            }
        }
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
struct Part {
    rectangle: Option<Rectangle>,
    /// The first frame, and the first after the last one.
    from: Point,
    to: Point,
}

impl Part {
    /// The steps, rows and columns of a chunk's tokens that hold pixels of it.
    fn tokens(&self, chunk: &StoredChunk, video: &VideoStream) -> [Range<usize>; 3] {
        let grid = chunk.grid;
        let [rows, columns] = match self.rectangle {
            None => [0..grid.h as usize, 0..grid.w as usize],
            Some(Rectangle { width, height, x, y }) => {
                let across = |start: u32, len: u32, axis: usize, most: u32| {
                    let side = u32::from(video.strides[axis]) * u32::from(video.patch[axis]);
                    let end = start.saturating_add(len).div_ceil(side).min(most);
                    (start / side) as usize..end as usize
                };
                [across(y, height, 1, grid.h), across(x, width, 2, grid.w)]
            }
        };
        [self.steps(chunk, video), rows, columns]
    }

    fn steps(&self, chunk: &StoredChunk, video: &VideoStream) -> Range<usize> {
        let first = chunk.first_frame.0;
        let frames = first..first.saturating_add(chunk.frame_count.0);
        let before = |point: Point| point.frames_before(&frames, &chunk.times, video.frame_duration);
        let (start, end) = (before(self.from), before(self.to));
        if start >= end {
            return 0..0;
        }
        let step_of = |inside: u64| {
            let stride = u64::from(video.strides[0]).max(1);
            // The first latent frame of a group holds one frame.
            let latent = if chunk.key {
                inside.div_ceil(stride)
            } else {
                inside / stride
            };
            usize::try_from(latent / u64::from(video.patch[0]).max(1)).unwrap_or(usize::MAX)
        };
        let steps = step_of(start)..step_of(end - 1).saturating_add(1);
        steps.start..steps.end.min(chunk.grid.t as usize)
    }
}

#[cfg(test)]
mod tests {
    use latentbit_codec::{Bundle, Device, Dtype, pipeline};
    use latentbit_container::{ChunkPlan, Compression, PixelFrames};

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
            let chunk = plan[index].with_tokens(&video, vec![0; grid.len()]);
            StoredChunk::pack(&chunk, Compression::Raw).unwrap()
        };
        let rectangle = |text: &str| Some(text.parse().unwrap());
        let part = Part {
            rectangle: rectangle("9:1:7:8"),
            from: Point::Frame(0),
            to: Point::Frame(u64::MAX),
        };
        assert_eq!(part.tokens(&chunk(0), &video), [0..2, 1..2, 0..2]);
        let frames = |frames: Range<u64>, index| {
            let part = Part {
                rectangle: None,
                from: Point::Frame(frames.start),
                to: Point::Frame(frames.end),
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

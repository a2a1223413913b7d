//! `latentbit generate`.

use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::Args;
use indicatif::ProgressBar;
use latentbit_codec::bundle::Halves;
use latentbit_codec::maskgit::{FillOptions, Piece, Predictor};
use latentbit_codec::pipeline::DEFAULT_CHUNKS_PER_GROUP;
use latentbit_codec::{Bundle, pipeline};
use latentbit_container::metadata::key;
use latentbit_container::{
    Chunk, ChunkPlan, Event, Header, Metadata, PixelFrames, PlannedChunk, Rational, ReadMode, StreamId,
    Times, VideoStream, bit_mask,
};
use serde::Serialize;

use crate::args::headings;
use crate::args::{CoderArgs, FillArgs, ModelArgs, OutputArgs};
use crate::exit::Exit;
use crate::overwrite::{self, Decision};
use crate::streaming::lbit_input::{self, LbitInput};
use crate::streaming::lbit_output::{self, LbitOutput};
use crate::streaming::neighbourhood::Neighbourhood;
use crate::streaming::threads;
use crate::{model, progress};

/// Options of `generate`.
#[derive(Debug, Args)]
pub struct GenerateArgs {
    #[command(flatten)]
    pub output: OutputArgs,

    /// How many frames to make.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub frames: u64,

    /// Width and height in pixels; that of the file with --continue.
    #[arg(long, value_name = "WxH", value_parser = size, required_unless_present = "continue_file")]
    pub size: Option<[u32; 2]>,

    /// Frames per second.
    #[arg(
        long,
        value_name = "FPS",
        default_value_t = 25,
        conflicts_with = "continue_file"
    )]
    pub fps: u32,

    /// Start with the tokens of this .lbit file, and continue from its end.
    #[arg(
        long = "continue",
        id = "continue_file",
        value_name = "FILE",
        conflicts_with = "size"
    )]
    pub continue_file: Option<String>,

    /// Chunks from one random access point to the next; 0 for a single one at the start.
    #[arg(help_heading = headings::STORAGE, long, value_name = "N", default_value_t = DEFAULT_CHUNKS_PER_GROUP)]
    pub group: u32,

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
struct GenerateSummary {
    generated_frames: u64,
    seed: u64,
    passes: u64,
    fill_seconds: f64,
    /// Floating-point operations of the predictor, attention left out.
    flops: u64,
}

/// Runs the command.
pub fn run(args: &GenerateArgs, quiet: bool) -> anyhow::Result<Exit> {
    if overwrite::check(&args.output)? == Decision::Skip {
        return Ok(Exit::Success);
    }
    let input = args
        .continue_file
        .as_ref()
        .map(|file| lbit_input::open(file, ReadMode::Strict))
        .transpose()?;
    let bundle = match &input {
        Some(input) => model::load_for(&args.model, Halves::Both, &input.video, &input.place)?,
        None => model::load(&args.model, Halves::Both)?,
    };
    let predictor = model::load_predictor(args.fill.predictor.as_deref(), &bundle)?;
    let video = describe(args, &bundle, input.as_ref())?;
    let output = LbitOutput::create(
        &args.output.output,
        &Header::from(video.clone()),
        args.coder.writer_options(),
    )?;
    let bar = progress::bar(Some(args.frames), quiet);
    let mut maker = Maker {
        before: Neighbourhood::new(&video, &predictor),
        options: args.fill.options(),
        predictor,
        threads: threads::pool(args.model.threads)?,
        video,
        output,
        passes: 0,
        flops: 0,
        time: Duration::ZERO,
    };
    maker.run(args, input, &bar)?;
    bar.finish_and_clear();
    let generated = GenerateSummary {
        generated_frames: args.frames,
        seed: args.fill.seed,
        passes: maker.passes,
        fill_seconds: maker.time.as_secs_f64(),
        flops: maker.flops,
    };
    let (summary, _) = maker.output.finish()?;
    tracing::warn!(
        "{} frames are in {}: made up, and as good as a small predictor can",
        args.frames,
        args.output.output
    );
    lbit_output::print_summary("generate", &args.output.output, &summary, generated, args.json)
}

fn describe(args: &GenerateArgs, bundle: &Bundle, input: Option<&LbitInput>) -> anyhow::Result<VideoStream> {
    match (input, args.size) {
        (Some(input), _) => Ok(input.video.clone().with_frame_count(None)),
        (None, size) => {
            let [width, height] = size.unwrap_or_default();
            let video = pipeline::video_stream_for(bundle, width, height)?;
            Ok(video.with_constant_rate(Rational {
                num: args.fps.max(1),
                den: 1,
            }))
        }
    }
}

/// Where a continuation starts.
#[derive(Default)]
struct End {
    sequence: u64,
    frame: u64,
    time: i64,
    segment: u32,
}

struct Maker {
    predictor: Arc<Predictor>,
    options: FillOptions,
    threads: rayon::ThreadPool,
    video: VideoStream,
    before: Neighbourhood,
    output: LbitOutput,
    passes: u64,
    flops: u64,
    time: Duration,
}

impl Maker {
    fn run(
        &mut self,
        args: &GenerateArgs,
        input: Option<LbitInput>,
        bar: &ProgressBar,
    ) -> anyhow::Result<()> {
        let encoder = format!("latentbit {} generate", env!("CARGO_PKG_VERSION"));
        let metadata = Metadata {
            stream: StreamId::NONE,
            entries: [(key::ENCODER.to_owned(), encoder)].into_iter().collect(),
        };
        self.output.write(|writer| writer.write_metadata(&metadata))?;
        let end = input.map_or(Ok(End::default()), |input| self.copy(input))?;
        let plan = ChunkPlan::new(
            PixelFrames(args.frames),
            self.video.chunk_latent_frames,
            args.group,
            self.video.strides[0],
        );
        for planned in plan {
            let chunk = self.make(&planned, &end)?;
            self.output.write(|writer| writer.write_chunk(&chunk))?;
            bar.inc(planned.frames.0);
        }
        Ok(())
    }

    /// Copies the chunks of a file; the predictor looks at the last ones.
    fn copy(&mut self, mut input: LbitInput) -> anyhow::Result<End> {
        let mut end = End::default();
        let place = |error| anyhow::Error::from(error).context(input.place.clone());
        while let Some(event) = input.source.next_stored_event().map_err(place)? {
            let Event::Stored(stored) = event else { continue };
            if stored.stream != input.stream {
                continue;
            }
            end = End {
                sequence: stored.sequence + 1,
                frame: stored.first_frame.0 + stored.frame_count.0,
                time: stored.times.of(stored.frame_count.0, self.video.frame_duration),
                segment: stored.segment,
            };
            let mut stored = stored;
            stored.stream = StreamId(0);
            self.output.write(|writer| writer.write_stored(&stored))?;
            match stored.is_lost() {
                true => self.before.clear(),
                false => self.before.pass(stored),
            }
        }
        Ok(end)
    }

    fn make(&mut self, planned: &PlannedChunk, end: &End) -> anyhow::Result<Chunk> {
        let grid = self.video.grid(planned.latent_frames);
        let lost = Piece::lost(grid.len(), planned.key);
        let (mut window, steps) = self.before.window(&lost, None)?;
        let options = self.options.for_chunk(planned.sequence);
        let started = Instant::now();
        let report = self
            .threads
            .install(|| self.predictor.fill(&mut window, &options))?;
        self.time += started.elapsed();
        self.passes += u64::from(report.passes);
        self.flops += u64::from(report.passes) * self.predictor.flops(window.values().len());
        let values = window.steps(steps).to_vec();
        let bits = u8::try_from(self.predictor.config().predictor.bits).unwrap_or(64);
        self.before
            .add(Piece::intact(values.clone(), bits, planned.key))?;
        let kept = bit_mask(self.video.bits);
        let values = values.into_iter().map(|value| value & kept).collect();
        let mut chunk = planned.with_tokens(&self.video, values);
        let ticks = i64::try_from(planned.first_frame.0).unwrap_or(i64::MAX);
        chunk.sequence += end.sequence;
        chunk.first_frame += PixelFrames(end.frame);
        chunk.segment = end.segment;
        chunk.times = Times {
            start: end
                .time
                .saturating_add(ticks.saturating_mul(i64::from(self.video.frame_duration))),
            durations: None,
        };
        Ok(chunk)
    }
}

/// Reads `640x360`.
fn size(text: &str) -> Result<[u32; 2], String> {
    let wrong = || format!("'{text}' is no size; write width and height as 640x360");
    let (width, height) = text.split_once('x').ok_or_else(wrong)?;
    let side = |text: &str| match text.parse::<u32>() {
        Ok(side) if side > 0 => Ok(side),
        _ => Err(wrong()),
    };
    Ok([side(width)?, side(height)?])
}

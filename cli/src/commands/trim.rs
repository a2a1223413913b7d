//! `latentbit trim`.

use anyhow::Context;
use clap::Args;
use latentbit_codec::bundle::Halves;
use latentbit_codec::rate::{
    ElasticChunk, KeptFile, KeptItem, RateControl, Reshaper, chunk_seconds, depth_step,
};
use latentbit_container::{Event, ReadMode, StoredChunk, Stream, VideoStream, WriterOptions, edit};
use serde::Serialize;

use crate::args::headings;
use crate::args::{CoderArgs, ModelArgs, OutputArgs, bits};
use crate::exit::{Exit, usage};
use crate::limits::limits;
use crate::overwrite::{self, Decision};
use crate::streaming::lbit_input::{self, LbitInput};
use crate::streaming::lbit_output::{self, LbitOutput, Nothing};
use crate::streaming::rate::{self, MeanDepth, Rate, RateArgs};
use crate::{model, streaming::threads};

/// Options of `trim`.
#[derive(Debug, Args)]
pub struct TrimArgs {
    /// .lbit file, or - for stdin.
    #[arg(allow_hyphen_values = true)]
    pub input: String,

    #[command(flatten)]
    pub output: OutputArgs,

    /// Bits to keep of each token, the most important ones. The chunks are copied without these planes; no model is needed.
    #[arg(help_heading = headings::RATE, long, value_name = "N", value_parser = bits)]
    pub bits: Option<u8>,

    #[command(flatten)]
    pub rate: RateArgs,

    #[command(flatten)]
    pub coder: CoderArgs,

    #[command(flatten)]
    pub model: ModelArgs,

    /// Print a summary as JSON on stdout (on stderr when stdout carries the output).
    #[arg(long, help_heading = headings::GENERAL)]
    pub json: bool,
}

#[derive(Debug, Serialize)]
struct Reached {
    /// Planes that tokens have, on average.
    mean_depth: f64,
}

/// Runs the command.
pub fn run(args: &TrimArgs) -> anyhow::Result<Exit> {
    args.rate.check(args.bits)?;
    if args.bits.is_none() && !args.rate.is_given() {
        return usage("say how much to keep: --bits, --crf, --bitrate, --bpp or --size");
    }
    if args.rate.psnr.is_some() {
        return usage(
            "--psnr: without its source nobody knows the PSNR of a file; give --crf, --bitrate, --bpp or --size",
        );
    }
    if overwrite::check(&args.output)? == Decision::Skip {
        return Ok(Exit::Success);
    }
    match args.bits {
        Some(bits) => cut_planes(args, bits),
        None => shape(args),
    }
}

fn cut_planes(args: &TrimArgs, bits: u8) -> anyhow::Result<Exit> {
    lbit_input::refuse_others(&args.input)?;
    let (place, input) = lbit_input::open_bytes(&args.input)?;
    let output = &args.output.output;
    let (_, summary) = lbit_output::write_file(output, |inner| {
        edit::trim(input, inner, bits, &limits(), WriterOptions::default())
    })
    .map_err(|error| error.context(place))?;
    lbit_output::print_summary("trim", output, &summary, Nothing {}, args.json)
}

/// Chooses depths for tokens that are there already, by what the decoder makes of them.
fn shape(args: &TrimArgs) -> anyhow::Result<Exit> {
    let mut input = lbit_input::open(&args.input, ReadMode::Strict)?;
    let bundle = model::load_for(&args.model, Halves::Decoder, &input.video, &input.place)?;
    let rate = args.rate.rate(&input.video, None)?;
    let effort = rate.measure().unwrap_or_default().effort;
    let mut header = input.source.header().clone();
    let mut elastic: Option<VideoStream> = None;
    if let Some(Stream::Video(video)) = header.streams.get_mut(input.stream.index()) {
        // A file that has depths keeps their step, so that its depths stay legal.
        video.depth_step = video.depth_step.or(Some(depth_step(&bundle)));
        elastic = Some(video.clone());
    }
    let video = elastic.with_context(|| format!("{}: there is no video in this file", input.place))?;
    let options = args.coder.writer_options();
    let mut output = LbitOutput::create(&args.output.output, &header, options)?;
    let mut trimming = Trimming {
        reshaper: Reshaper::new(&bundle, &video, effort)?,
        video: &video,
        depth: MeanDepth::default(),
    };
    let threads = threads::pool(args.model.threads)?;
    let place = input.place.clone();
    let done = threads.install(|| match rate {
        Rate::Size(size, _) => {
            trimming.fit_size(&mut input, KeptFile::new(header), size, options, &mut output)
        }
        Rate::Live(target, _) => {
            let control = RateControl::new(target, options.compression);
            trimming.live(&mut input, control, &mut output)
        }
        Rate::Plain => Ok(()),
    });
    done.with_context(|| place)?;
    let reached = Reached {
        mean_depth: trimming.depth.value(),
    };
    let (summary, _) = output.finish()?;
    tracing::info!(
        "{}: {} bytes, {:.1} bits per token",
        args.output.output,
        summary.bytes,
        reached.mean_depth
    );
    lbit_output::print_summary("trim", &args.output.output, &summary, reached, args.json)
}

struct Trimming<'a> {
    reshaper: Reshaper<'a>,
    video: &'a VideoStream,
    depth: MeanDepth,
}

impl Trimming<'_> {
    fn live(
        &mut self,
        input: &mut LbitInput,
        mut control: RateControl,
        output: &mut LbitOutput,
    ) -> anyhow::Result<()> {
        while let Some(event) = input.source.next_stored_event()? {
            match event {
                Event::Stored(stored) if stored.stream == input.stream && !stored.is_lost() => {
                    let elastic = self.measured(&stored)?;
                    let seconds = chunk_seconds(&elastic.chunk, self.video);
                    let shaped = control.shape(&elastic, seconds)?;
                    self.depth.add(&shaped.chunk.tokens);
                    output.write(|writer| writer.write_stored(&shaped.stored))?;
                }
                event => {
                    if let Some(item) = kept(event) {
                        output.write(|writer| item.write(writer))?;
                    }
                }
            }
        }
        Ok(())
    }

    fn fit_size(
        &mut self,
        input: &mut LbitInput,
        mut file: KeptFile,
        size: u64,
        options: WriterOptions,
        output: &mut LbitOutput,
    ) -> anyhow::Result<()> {
        while let Some(event) = input.source.next_stored_event()? {
            match event {
                Event::Stored(stored) if stored.stream == input.stream && !stored.is_lost() => {
                    file.push(KeptItem::Elastic(Box::new(self.measured(&stored)?)));
                }
                event => kept(event).into_iter().for_each(|item| file.push(item)),
            }
        }
        let shaped = rate::fit(&file, size, options)?;
        shaped
            .iter()
            .for_each(|shaped| self.depth.add(&shaped.chunk.tokens));
        output.write(|writer| file.write(&shaped, writer))
    }

    fn measured(&mut self, stored: &StoredChunk) -> anyhow::Result<ElasticChunk> {
        let sequence = stored.sequence;
        let measured = self.reshaper.take(stored.unpack()?);
        measured.with_context(|| format!("chunk {sequence}"))
    }
}

/// What is copied as it is.
fn kept(event: Event) -> Option<KeptItem> {
    match event {
        Event::Stored(chunk) => Some(KeptItem::Stored(Box::new(chunk))),
        Event::Packets(packets) => Some(KeptItem::Packets(packets.stream, packets.packets)),
        Event::Metadata(metadata) => Some(KeptItem::Metadata(metadata)),
        Event::Chapters(chapters) => Some(KeptItem::Chapters(chapters)),
        Event::Attachment(attachment) => Some(KeptItem::Attachment(Box::new(attachment))),
        _ => None,
    }
}

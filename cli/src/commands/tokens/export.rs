//! `latentbit tokens export`.

use std::io::{Read, Write};

use anyhow::{Context, bail, ensure};
use latentbit_container::{Chunk, ErrorKind, Event, Limits, ReadMode, Reader, StreamId, VideoStream};
use serde::Serialize;

use crate::args::{OutputArgs, TokensExportArgs};
use crate::exit::{Exit, usage};
use crate::lbit_input;
use crate::lbit_output::Target;
use crate::media::MediaError;
use crate::overwrite::{self, Decision};
use crate::report;
use crate::tokens::{Array, ArrayFormat, ChunkEntry, Layout, Sidecar, sidecar_name};

#[derive(Debug, Serialize)]
struct Report<'a> {
    schema: &'static str,
    output: &'a str,
    sidecar: &'a str,
    dtype: &'a str,
    shape: &'a [u64],
    chunks: usize,
    lost_chunks: usize,
}

/// Runs the command.
pub fn run(args: &TokensExportArgs) -> anyhow::Result<Exit> {
    let output = &args.output.output;
    if output == "-" {
        return usage("tokens need a file, because their sidecar is a second one");
    }
    let beside = sidecar_name(output);
    let both = [output.clone(), beside.clone()];
    for output in both {
        let args = OutputArgs {
            output,
            ..args.output
        };
        if overwrite::check(&args)? == Decision::Skip {
            return Ok(Exit::Success);
        }
    }
    let Some(format) = args.format.or_else(|| ArrayFormat::of_name(output)) else {
        return usage(format!(
            "{output}: the name tells no format; name it .npy, .safetensors or .bin, or give --format"
        ));
    };
    let place = &args.input;
    let open = || -> anyhow::Result<_> {
        let file = lbit_input::open_file(place)?;
        Reader::with_mode(file, Limits::default(), ReadMode::Resync).with_context(|| place.clone())
    };
    let mut reader = open()?;
    let Some((stream, video)) = reader
        .header()
        .first_video()
        .map(|(id, video)| (id, video.clone()))
    else {
        bail!("{place}: there is no video in this file");
    };
    lbit_input::check_bits(args.bits, &video)?;
    let bits = args.bits.unwrap_or(video.bits);
    let video = VideoStream { bits, ..video };
    let layout = match (format, args.columns) {
        (ArrayFormat::Raw, None) => Layout::WIDE,
        (_, columns) => Layout::new(bits, columns),
    };
    // Twice: the first time to know how much there is, because that comes first in the file.
    let mut sidecar = Sidecar::new(&video, layout.dtype(), layout.columns);
    let damage = list(&mut reader, stream, bits, &mut sidecar).with_context(|| place.clone())?;
    let steps = sidecar.chunks.last().map_or(0, |chunk| chunk.steps[1]);
    let grid = video.grid(latentbit_container::LatentFrames(1));
    sidecar.shape = vec![steps, u64::from(grid.h), u64::from(grid.w)];
    sidecar.shape.extend(layout.columns.map(|columns| columns as u64));
    let array = Array {
        dtype: layout.dtype().to_owned(),
        shape: sidecar.shape.clone(),
    };
    let about = serde_json::to_string_pretty(&sidecar)? + "\n";

    let (target, mut file) = Target::open(output)?;
    let failed = |error| MediaError::io(output, "write", error);
    let mut buffer = format.header(&array, &about).map_err(failed)?;
    file.write_all(&buffer).map_err(failed)?;
    let mut reader = open()?;
    for entry in sidecar.chunks.iter().filter(|entry| !entry.lost) {
        let mut chunk = next_chunk(&mut reader, stream, entry).with_context(|| place.clone())?;
        chunk.tokens.truncate_bits(bits);
        buffer.clear();
        let values = chunk.tokens.values.iter();
        values.for_each(|&value| layout.put(&mut buffer, value));
        file.write_all(&buffer).map_err(failed)?;
    }
    file.flush().map_err(failed)?;
    let (beside_target, mut beside_file) = Target::open(&beside)?;
    let written = beside_file
        .write_all(about.as_bytes())
        .and_then(|()| beside_file.flush());
    written.map_err(|error| MediaError::io(&beside, "write", error))?;
    target.commit()?;
    beside_target.commit()?;

    let Damage { found, truncated } = damage;
    found
        .iter()
        .for_each(|damage| tracing::error!("{place}: {damage}"));
    let lost_chunks = sidecar.chunks.iter().filter(|chunk| chunk.lost).count();
    if args.json {
        let report = Report {
            schema: "latentbit.tokens.export/1",
            output,
            sidecar: &beside,
            dtype: layout.dtype(),
            shape: &sidecar.shape,
            chunks: sidecar.chunks.len(),
            lost_chunks,
        };
        report::print(&report, false)?;
    }
    Ok(match (found.is_empty() && lost_chunks == 0, truncated) {
        (true, false) => Exit::Success,
        (true, true) => Exit::Truncated,
        (false, _) => Exit::Damaged,
    })
}

/// The chunk that the first reading listed as `entry`.
fn next_chunk<R: Read>(
    reader: &mut Reader<R>,
    stream: StreamId,
    entry: &ChunkEntry,
) -> anyhow::Result<Chunk> {
    while let Some(event) = reader.next_event()? {
        if let Event::Chunk(chunk) = event
            && chunk.stream == stream
        {
            let steps = entry.steps[1] - entry.steps[0];
            ensure!(
                chunk.sequence == entry.number && u64::from(chunk.tokens.grid.t) == steps,
                "expected chunk {} of {steps} steps, found chunk {} of {}; did the file change meanwhile?",
                entry.number,
                chunk.sequence,
                chunk.tokens.grid.t
            );
            return Ok(chunk);
        }
    }
    bail!(
        "chunk {} is gone since the file was read the first time",
        entry.number
    )
}

/// What is wrong with a file.
#[derive(Default)]
struct Damage {
    found: Vec<String>,
    /// The file is cut off after what was read of it.
    truncated: bool,
}

/// Lists the chunks of a stream; gives what is wrong with the file.
fn list<R: Read>(
    reader: &mut Reader<R>,
    stream: StreamId,
    bits: u8,
    sidecar: &mut Sidecar,
) -> anyhow::Result<Damage> {
    let mut damage = Damage::default();
    let mut step = 0;
    loop {
        match reader.next_event() {
            Ok(Some(Event::Chunk(chunk))) if chunk.stream == stream => {
                let steps = u64::from(chunk.tokens.grid.t);
                sidecar.chunks.push(ChunkEntry {
                    number: chunk.sequence,
                    first_frame: chunk.first_frame.0,
                    frames: chunk.frame_count.0,
                    latent_frames: chunk.latent_frames.0,
                    key: chunk.key,
                    segment: chunk.segment,
                    start: chunk.times.start,
                    durations: chunk.times.durations,
                    steps: [step, step + steps],
                    lost: false,
                    bits: (chunk.tokens.bits < bits).then_some(chunk.tokens.bits),
                });
                step += steps;
            }
            Ok(Some(Event::Missing {
                stream: of,
                chunks,
                frames,
            })) if of == stream => {
                damage.found.push(format!(
                    "chunks {} to {} are lost",
                    chunks.start,
                    chunks.end.saturating_sub(1)
                ));
                let segment = sidecar.chunks.last().map_or(0, |chunk| chunk.segment);
                // Nobody knows where one ended and the next began: they are listed as one.
                sidecar.chunks.push(ChunkEntry {
                    number: chunks.start,
                    first_frame: frames.start,
                    frames: frames.end.saturating_sub(frames.start),
                    latent_frames: 0,
                    key: false,
                    segment,
                    start: sidecar.chunks.last().map_or(0, |chunk| chunk.start),
                    durations: None,
                    steps: [step, step],
                    lost: true,
                    bits: None,
                });
            }
            Ok(Some(Event::Metadata(metadata))) => {
                sidecar.metadata.push(crate::tokens::metadata_entry(&metadata))
            }
            Ok(Some(Event::Chapters(chapters))) => {
                sidecar.chapters = crate::tokens::chapter_entries(&chapters)
            }
            // The error at the end tells of it once more.
            Ok(Some(Event::Lost(lost))) if lost.reason.kind() == ErrorKind::Truncated => {
                damage.truncated = true;
            }
            Ok(Some(Event::Lost(lost))) => damage.found.push(lost.reason.to_string()),
            Ok(Some(_)) => {}
            Ok(None) => return Ok(damage),
            // A file that cannot be read is another matter than one that is damaged.
            Err(error) if sidecar.chunks.is_empty() || error.kind() == ErrorKind::Io => {
                return Err(error.into());
            }
            Err(error) if error.kind() == ErrorKind::Truncated => {
                tracing::error!("{error}");
                damage.truncated = true;
                return Ok(damage);
            }
            Err(error) => {
                damage.found.push(error.to_string());
                return Ok(damage);
            }
        }
    }
}

//! Files one after the other.

use std::collections::BTreeSet;
use std::io::{Read, Write};

use sha2::{Digest, Sha256};

use super::{check_known, copy_rest, end_time, write};
use crate::error::{Broken, Error, Result};
use crate::ground::{Rational, StreamId};
use crate::header::{Header, Stream};
use crate::limits::Limits;
use crate::metadata::Chapter;
use crate::parser::Event;
use crate::reader::Reader;
use crate::times::rescale;
use crate::units::PixelFrames;
use crate::writer::{Summary, Writer, WriterOptions};

/// Where a stream of the output stands.
#[derive(Clone, Copy, Default)]
struct Place {
    chunks: u64,
    frames: PixelFrames,
    next_segment: u32,
    /// End of the last chunk.
    time: i64,
}

/// Writes the files of `inputs` one after the other. Each starts a new segment; times go on where the file before ends. Of
/// attachments that several files have in common, such as the fonts of a series, one is kept.
///
/// `inputs` gives the files in order, and is asked for each twice: first for its header, later for all of it.
///
/// # Errors
/// [`Error::Parameter`] if there is no file, or one has other streams than the first: another bundle, size, time base or
/// codec. Any error of a strict [`Reader`] or a [`Writer`].
pub fn concat<R: Read, W: Write>(
    count: usize,
    mut inputs: impl FnMut(usize) -> Result<R>,
    output: W,
    limits: &Limits,
    options: WriterOptions,
) -> Result<(W, Summary)> {
    let mut header: Option<Header> = None;
    for number in 0..count {
        let next = Reader::new(inputs(number)?, *limits)?.header().clone();
        check_known(&next)?;
        match &mut header {
            None => header = Some(next),
            Some(header) => join(header, &next, number)?,
        }
    }
    let Some(mut header) = header else {
        return Err(Error::parameter("files to join", "at least one", 0));
    };
    if count > 1 {
        for stream in &mut header.streams {
            if let Stream::Video(video) = stream {
                video.frame_count = None;
            }
        }
    }
    let mut writer = Writer::new(output, &header, options)?;
    let mut attached = BTreeSet::new();
    let mut places = vec![Place::default(); header.streams.len()];
    for number in 0..count {
        append(inputs(number)?, &mut writer, &mut places, &mut attached, limits)?;
    }
    writer.finish()
}

/// Widens `header` so that it holds for `next` as well.
fn join(header: &mut Header, next: &Header, number: usize) -> Result<()> {
    let refuse = |what: &'static str, found: String| {
        let expected = format!("as in the first file (this is file {})", number + 1);
        Err(Error::parameter(what, expected, found))
    };
    if header.streams.len() != next.streams.len() {
        return refuse("number of streams", next.streams.len().to_string());
    }
    for (ours, theirs) in header.streams.iter_mut().zip(&next.streams) {
        match (ours, theirs) {
            (Stream::Video(ours), Stream::Video(theirs)) => {
                if ours.bundle.sha256 != theirs.bundle.sha256 {
                    return refuse(
                        "bundle",
                        format!("{} {}", theirs.bundle.name, theirs.bundle.sha256_hex()),
                    );
                }
                let alike = |stream: &crate::VideoStream| crate::VideoStream {
                    bits: 1,
                    depth_step: None,
                    frame_count: None,
                    frame_rate: Rational { num: 0, den: 1 },
                    bundle: ours.bundle.clone(),
                    ..stream.clone()
                };
                let (mine, other) = (alike(ours), alike(theirs));
                if mine != other {
                    return refuse("description of the video", format!("{other:?}"));
                }
                match (ours.depth_step, theirs.depth_step) {
                    (Some(step), Some(other)) if step != other => {
                        return refuse("step of depths", other.to_string());
                    }
                    (step, other) => ours.depth_step = step.or(other),
                }
                ours.bits = ours.bits.max(theirs.bits);
            }
            (Stream::Packets(ours), Stream::Packets(theirs)) => {
                let same = (ours.kind, &ours.codec, &ours.private, ours.time_base)
                    == (theirs.kind, &theirs.codec, &theirs.private, theirs.time_base);
                if !same {
                    return refuse(
                        "description of packets",
                        format!("{} {:?}", theirs.codec, theirs.time_base),
                    );
                }
            }
            _ => return refuse("kind of a stream", "another one".to_owned()),
        }
    }
    Ok(())
}

fn append<R: Read, W: Write>(
    input: R,
    writer: &mut Writer<W>,
    places: &mut [Place],
    attached: &mut BTreeSet<[u8; 32]>,
    limits: &Limits,
) -> Result<()> {
    let mut reader = Reader::new(input, *limits)?;
    let header = reader.header().clone();
    let before = places.to_vec();
    let place = |id: StreamId| before.get(id.index()).copied().unwrap_or_default();
    // Packets move along with the picture.
    let (moved, base) = header
        .first_video()
        .map_or((0, Rational::NANOSECONDS), |(id, video)| {
            (place(id).time, video.time_base)
        });
    while let Some(event) = reader.next_stored_event()? {
        match event {
            Event::Stored(mut chunk) => {
                let Some(video) = header.video(chunk.stream) else {
                    continue;
                };
                let from = place(chunk.stream);
                let read = (reader.last_record().0, chunk.sequence);
                let too_many = || Error::parameter("files to join", "less than 2^64 frames in all", "more");
                chunk.sequence = chunk.sequence.checked_add(from.chunks).ok_or_else(too_many)?;
                chunk.first_frame = chunk.first_frame.checked_add(from.frames).ok_or_else(too_many)?;
                chunk.segment = chunk.segment.saturating_add(from.next_segment);
                chunk.times.start = chunk.times.start.saturating_add(from.time);
                write(writer, &chunk, read)?;
                if let Some(place) = places.get_mut(chunk.stream.index()) {
                    *place = Place {
                        chunks: chunk.sequence.saturating_add(1),
                        frames: chunk
                            .first_frame
                            .checked_add(chunk.frame_count)
                            .ok_or_else(too_many)?,
                        next_segment: chunk.segment.saturating_add(1),
                        time: end_time(&chunk, video.frame_duration),
                    };
                }
            }
            Event::Packets(mut packets) => {
                let Some(stream) = header.packets(packets.stream) else {
                    continue;
                };
                let moved = rescale(moved, base, stream.time_base);
                for packet in &mut packets.packets {
                    packet.pts = packet.pts.saturating_add(moved);
                    packet.dts = packet.dts.map(|dts| dts.saturating_add(moved));
                }
                writer.write_packets(packets.stream, &packets.packets)?;
            }
            Event::Chapters(mut chapters) => {
                let moved = u64::try_from(rescale(moved, base, Rational::NANOSECONDS)).unwrap_or(0);
                for Chapter { start, end, .. } in &mut chapters {
                    *start = start.saturating_add(moved);
                    *end = end.saturating_add(moved);
                }
                writer.write_chapters(&chapters)?;
            }
            Event::Attachment(attachment) => {
                let payload = attachment.encode().map_err(Broken::by_caller)?;
                if attached.insert(Sha256::digest(&payload).into()) {
                    writer.write_attachment(&attachment)?;
                }
            }
            other => copy_rest(writer, &other)?,
        }
    }
    Ok(())
}

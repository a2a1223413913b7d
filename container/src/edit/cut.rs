//! A part of a file, on chunk borders.

use std::io::{Read, Seek, Write};

use super::{check_known, write};
use crate::error::{Error, Result};
use crate::file::{File, Needed};
use crate::ground::{Rational, StreamId};
use crate::header::Stream;
use crate::metadata::Chapter;
use crate::parser::Event;
use crate::times::rescale;
use crate::units::PixelFrames;
use crate::writer::{Summary, Writer, WriterOptions};

/// Copies the chunks that `needed` names, from its key chunk on, as they are stored, and what is heard and shown at the
/// same time: packets that begin in that time or last into it, and, from the start of the stream on, the packets of
/// negative times that a decoder of sound is primed with. Times begin at 0 again. Metadata and
/// attachments are copied, of chapters what lies in that time. Reads nothing else of the file.
///
/// # Errors
/// [`Error::Parameter`] if the file has a second stream of tokens, or one that this version does not know. [`Error::Format`]
/// if one of the chunks is damaged or missing. Any error of a [`Writer`].
pub fn cut<R: Read + Seek, W: Write>(
    mut file: File<R>,
    output: W,
    needed: &Needed,
    options: WriterOptions,
) -> Result<(W, Summary)> {
    let mut header = file.header().clone();
    check_known(&header)?;
    let videos = header
        .streams
        .iter()
        .filter(|stream| matches!(stream, Stream::Video(_)));
    if videos.count() != 1 {
        return Err(Error::parameter("file to cut", "one stream of tokens", "several"));
    }
    let Some(Stream::Video(video)) = header.streams.get_mut(needed.stream.index()) else {
        return Err(Error::parameter("stream to cut", "one of tokens", needed.stream));
    };
    video.frame_count = None;
    let base = video.time_base;
    let chunks = file.chunks(needed.stream);
    let Some(first) = chunks.get(needed.from_key).copied() else {
        return Err(Error::parameter("chunks to keep", "at least one", "none"));
    };
    // Up to the chunk after the part; packets after the end of the last chunk belong to it.
    let times = first.start..chunks.get(needed.end).map_or(i64::MAX, |next| next.start);
    let (metadata, chapters) = (file.metadata()?, file.chapters()?);
    let mut writer = Writer::new(output, &header, options)?;
    for metadata in &metadata {
        writer.write_metadata(metadata)?;
    }
    let nanoseconds = |ticks: i64| u64::try_from(rescale(ticks, base, Rational::NANOSECONDS)).unwrap_or(0);
    let (from, to) = (
        nanoseconds(times.start),
        match times.end {
            i64::MAX => u64::MAX,
            end => nanoseconds(end),
        },
    );
    let chapters = chapters.into_iter().filter_map(|chapter| {
        let (start, end) = (chapter.start.max(from), chapter.end.min(to));
        (start < end).then(|| Chapter {
            start: start - from,
            end: end - from,
            title: chapter.title,
        })
    });
    let chapters: Vec<Chapter> = chapters.collect();
    if !chapters.is_empty() {
        writer.write_chapters(&chapters)?;
    }
    for attachment in file.attachments()? {
        writer.write_attachment(&attachment)?;
    }
    let streams: Vec<StreamId> = header.ids().collect();
    let mut part = file.part(needed.clone()).strict();
    part.set_packets(&streams, &times);
    while let Some(event) = part.next_stored_event()? {
        match event {
            // It came only because the one before it is lost.
            Event::Stored(chunk) if chunk.sequence >= needed.end as u64 => {}
            Event::Stored(mut chunk) => {
                let place = usize::try_from(chunk.sequence).unwrap_or(usize::MAX);
                let info = part.file().chunks(needed.stream).get(place);
                let from = (info.map_or(0, |info| info.offset), chunk.sequence);
                chunk.sequence = chunk.sequence.saturating_sub(first.sequence);
                chunk.first_frame = PixelFrames(chunk.first_frame.0.saturating_sub(first.first_frame.0));
                chunk.segment = chunk.segment.saturating_sub(first.segment);
                chunk.times.start = chunk.times.start.saturating_sub(first.start);
                write(&mut writer, &chunk, from)?;
            }
            Event::Packets(mut packets) => {
                let Some(stream) = header.packets(packets.stream) else {
                    continue;
                };
                let moved = rescale(first.start, base, stream.time_base);
                for packet in &mut packets.packets {
                    packet.pts = packet.pts.saturating_sub(moved);
                    packet.dts = packet.dts.map(|dts| dts.saturating_sub(moved));
                }
                writer.write_packets(packets.stream, &packets.packets)?;
            }
            _ => {}
        }
    }
    writer.finish()
}

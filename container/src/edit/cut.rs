//! A part of a file, on chunk borders.

use std::io::{Read, Write};
use std::ops::Range;

use super::intact;
use crate::error::{Error, Result};
use crate::header::{Rational, Stream, StreamId};
use crate::index::ChunkInfo;
use crate::limits::Limits;
use crate::metadata::Chapter;
use crate::packets::Packet;
use crate::parser::Event;
use crate::times::rescale;
use crate::units::PixelFrames;
use crate::writer::{Summary, Writer, WriterOptions};

/// What a cut will keep.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cut {
    /// The stream of tokens.
    pub stream: StreamId,
    /// Numbers of the chunks that stay; the first of them is a key chunk.
    pub chunks: Range<u64>,
    /// Indices of their frames.
    pub frames: Range<u64>,
}

/// Which chunks of `stream` hold the frames of `wanted` and can be decoded on their own: those from the key chunk at or
/// before its start to the chunk that holds its last frame. None if there is no such frame.
#[must_use]
pub fn plan_cut(chunks: &[ChunkInfo], stream: StreamId, wanted: Range<u64>) -> Option<Cut> {
    let end_of = |chunk: &ChunkInfo| chunk.first_frame.0.saturating_add(chunk.frame_count.0);
    let mine = || chunks.iter().filter(|chunk| chunk.stream == stream);
    let first_wanted = mine().find(|chunk| end_of(chunk) > wanted.start)?;
    let first = mine().rfind(|chunk| chunk.key && chunk.sequence <= first_wanted.sequence)?;
    let last = mine().rfind(|chunk| chunk.first_frame.0 < wanted.end)?;
    (first.sequence <= last.sequence && first_wanted.first_frame.0 < wanted.end).then(|| Cut {
        stream,
        chunks: first.sequence..last.sequence + 1,
        frames: first.first_frame.0..end_of(last),
    })
}

/// Copies what `cut` keeps: its chunks as they are stored, and the packets of the same time. Times begin at 0 again.
///
/// # Errors
/// [`Error::Parameter`] if the file has a second stream of tokens. Any error of a strict [`Reader`](crate::Reader) or a
/// [`Writer`].
pub fn cut<R: Read, W: Write>(
    input: R,
    output: W,
    cut: &Cut,
    chunks: &[ChunkInfo],
    limits: &Limits,
    options: WriterOptions,
) -> Result<(W, Summary)> {
    let mut reader = intact(input, limits)?;
    let mut header = reader.header().clone();
    let videos = header
        .streams
        .iter()
        .filter(|stream| matches!(stream, Stream::Video(_)));
    if videos.count() != 1 {
        return Err(Error::parameter("file to cut", "one stream of tokens", "several"));
    }
    let Some(Stream::Video(video)) = header.streams.get_mut(cut.stream.index()) else {
        return Err(Error::parameter("stream to cut", "one of tokens", cut.stream));
    };
    video.frame_count = None;
    let base = video.time_base;
    let kept = |chunk: &&ChunkInfo| chunk.stream == cut.stream && cut.chunks.contains(&chunk.sequence);
    let Some(first) = chunks.iter().find(kept).copied() else {
        return Err(Error::parameter("chunks to keep", "at least one", "none"));
    };
    // Up to the chunk after; packets after the end of the last one belong to it.
    let next = chunks
        .iter()
        .find(|chunk| chunk.stream == cut.stream && chunk.sequence == cut.chunks.end);
    let window = Window {
        base,
        start: first.start,
        end: next.map(|next| next.start),
    };
    let mut writer = Writer::new(output, &header, options)?;
    while let Some(event) = reader.next_stored_event()? {
        match event {
            Event::Stored(mut chunk) if cut.chunks.contains(&chunk.sequence) => {
                chunk.sequence -= cut.chunks.start;
                chunk.first_frame = PixelFrames(chunk.first_frame.0.saturating_sub(cut.frames.start));
                chunk.segment = chunk.segment.saturating_sub(first.segment);
                chunk.times.start = chunk.times.start.saturating_sub(first.start);
                writer.write_stored(&chunk)?;
            }
            Event::Packets(packets) => {
                let Some(stream) = header.packets(packets.stream) else {
                    continue;
                };
                let inside = packets
                    .packets
                    .into_iter()
                    .filter_map(|packet| window.packet(packet, stream.time_base));
                let inside: Vec<Packet> = inside.collect();
                if !inside.is_empty() {
                    writer.write_packets(packets.stream, &inside)?;
                }
            }
            Event::Metadata(metadata) => writer.write_metadata(&metadata)?,
            Event::Chapters(chapters) => {
                let inside: Vec<Chapter> = chapters
                    .into_iter()
                    .filter_map(|chapter| window.chapter(chapter))
                    .collect();
                if !inside.is_empty() {
                    writer.write_chapters(&inside)?;
                }
            }
            _ => {}
        }
    }
    writer.finish()
}

/// The time that is kept, in ticks of the video.
struct Window {
    base: Rational,
    start: i64,
    end: Option<i64>,
}

impl Window {
    /// The packet in its new place, if its time is kept.
    fn packet(&self, mut packet: Packet, base: Rational) -> Option<Packet> {
        let start = rescale(self.start, self.base, base);
        let inside = packet.pts >= start
            && self
                .end
                .is_none_or(|end| packet.pts < rescale(end, self.base, base));
        packet.pts = packet.pts.saturating_sub(start);
        packet.dts = packet.dts.map(|dts| dts.saturating_sub(start));
        inside.then_some(packet)
    }

    /// What is kept of a chapter.
    fn chapter(&self, chapter: Chapter) -> Option<Chapter> {
        let nanoseconds = Rational {
            num: 1,
            den: 1_000_000_000,
        };
        let to_u64 = |ticks: i64| u64::try_from(rescale(ticks, self.base, nanoseconds)).unwrap_or(0);
        let (from, to) = (to_u64(self.start), self.end.map_or(u64::MAX, to_u64));
        let (start, end) = (chapter.start.max(from), chapter.end.min(to));
        (start < end).then(|| Chapter {
            start: start - from,
            end: end - from,
            title: chapter.title,
        })
    }
}

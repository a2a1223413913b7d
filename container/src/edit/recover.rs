//! A whole file out of what is left of a damaged one (LBIT §10).

use std::collections::BTreeMap;
use std::io::{Read, Seek, SeekFrom, Write};
use std::ops::Range;

use super::{Border, Gap, check_known, end_time};
use crate::end::Totals;
use crate::error::{Broken, Error, ErrorKind, Result};
use crate::fields::Fields;
use crate::ground::StreamId;
use crate::header::{Header, Stream};
use crate::index::{read_at, whole_record};
use crate::limits::{Limits, within};
use crate::metadata::{self, Metadata, key};
use crate::packets;
use crate::parser::{Event, Head, Lost};
use crate::reader::{Reader, find_head};
use crate::record::{HEADER_LEN, RecordHeader, Tag};
use crate::stored::StoredChunk;
use crate::units::PixelFrames;
use crate::writer::{Summary, Writer, WriterOptions};

/// What came of [`recover`].
#[derive(Debug)]
#[non_exhaustive]
pub struct Recovered {
    /// Chunks that were copied.
    pub chunks: u64,
    /// Chunks that are lost; their places are held in the new file.
    pub lost_chunks: u64,
    /// Frames of those.
    pub lost_frames: u64,
    /// What could not be read, in order.
    pub lost: Vec<Lost>,
    /// Whether the end record is missing, so that nobody knows how much came after.
    pub truncated: bool,
    /// Whether the magic or the header is damaged and a copy was used.
    pub header_copy: bool,
    /// The new file.
    pub summary: Summary,
}

impl Recovered {
    /// Whether nothing was wrong.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.lost_chunks == 0 && self.lost.is_empty() && !self.truncated && !self.header_copy
    }
}

/// Copies every intact chunk, packet and other record of a damaged or truncated file into a whole one, with a new index.
///
/// Chunks that lie in the wrong order are put right. Chunks that are lost between others are marked as lost, so that every
/// frame keeps its number and time. If the header is damaged, a copy of it serves.
///
/// # Errors
/// [`Error::Format`] if there is no header and no copy of one; [`Error::Unsupported`] and [`Error::Limits`] if the file
/// was made for a newer reader or asks for too much; [`Error::Io`].
pub fn recover<R: Read + Seek, W: Write>(
    mut input: R,
    output: W,
    limits: &Limits,
    options: WriterOptions,
) -> Result<(W, Recovered)> {
    rewind(&mut input)?;
    let start_is_good = Reader::new(&mut input, *limits).is_ok();
    let head = find_head(&mut input, *limits)?;
    let mut header = head.header.clone();
    check_known(&header)?;
    for stream in &mut header.streams {
        if let Stream::Video(video) = stream {
            video.frame_count = None;
        }
    }
    let found = Found::new(&mut input, limits, head)?;
    let mut salvage = Salvage {
        writer: Writer::new(output, &header, options)?,
        last: vec![None; header.streams.len()],
        missing_frames: 0,
        limits: *limits,
        header,
        report: Report::default(),
    };
    for item in &found.items {
        match item.chunk {
            None => salvage.other(&mut input, item)?,
            Some(_) => {
                // Those that should have come before it may lie behind it.
                for earlier in found.between(item.stream, salvage.next(item.stream)..item.sequence) {
                    salvage.chunk(&mut input, earlier)?;
                }
                salvage.chunk(&mut input, item)?;
            }
        }
    }
    salvage.report.lost.extend(found.lost);
    salvage.report.truncated = found.totals.is_none();
    salvage.finish(!start_is_good, found.totals.as_deref())
}

fn rewind(input: &mut impl Seek) -> Result<()> {
    let moved = input.seek(SeekFrom::Start(0));
    moved.map(|_| ()).map_err(|source| Error::Io {
        action: "read",
        offset: 0,
        source,
    })
}

/// An intact record.
struct Item {
    offset: u64,
    len: u64,
    stream: StreamId,
    sequence: u64,
    /// First frame, if it is a chunk whose tokens are there.
    chunk: Option<PixelFrames>,
}

/// Everything that is intact, as it lies.
struct Found {
    items: Vec<Item>,
    /// Chunks by stream and number: the first of each.
    chunks: BTreeMap<(StreamId, u64), usize>,
    lost: Vec<Lost>,
    totals: Option<Vec<Totals>>,
}

impl Found {
    fn new<R: Read>(input: R, limits: &Limits, head: Head) -> Result<Self> {
        let mut reader = Reader::in_any_order(input, *limits, head)?;
        let mut found = Self {
            items: Vec::new(),
            chunks: BTreeMap::new(),
            lost: Vec::new(),
            totals: None,
        };
        loop {
            let event = match reader.next_stored_event() {
                Ok(Some(event)) => event,
                Ok(None) => break,
                Err(error) if error.kind() == ErrorKind::Truncated => break,
                Err(error) => return Err(error),
            };
            let (stream, sequence, chunk) = match event {
                // What holds the place of a chunk is made anew.
                Event::Stored(chunk) if chunk.is_lost() => continue,
                Event::Stored(chunk) => (chunk.stream, chunk.sequence, Some(chunk.first_frame)),
                Event::Lost(lost) => {
                    found.lost.push(lost);
                    continue;
                }
                _ => (StreamId::NONE, 0, None),
            };
            let (offset, len) = reader.last_record();
            if chunk.is_some() {
                found
                    .chunks
                    .entry((stream, sequence))
                    .or_insert(found.items.len());
            }
            found.items.push(Item {
                offset,
                len,
                stream,
                sequence,
                chunk,
            });
        }
        found.totals = reader.ended().map(<[Totals]>::to_vec);
        Ok(found)
    }

    /// Chunks of a stream by their numbers, those that there are.
    fn between(&self, stream: StreamId, numbers: Range<u64>) -> impl Iterator<Item = &Item> {
        let range = (stream, numbers.start)..(stream, numbers.end.max(numbers.start));
        let places = self.chunks.range(range);
        places.filter_map(|(_, &at)| self.items.get(at))
    }
}

#[derive(Default)]
struct Report {
    chunks: u64,
    lost_chunks: u64,
    lost_frames: u64,
    lost: Vec<Lost>,
    truncated: bool,
}

struct Salvage<W: Write> {
    writer: Writer<W>,
    header: Header,
    limits: Limits,
    missing_frames: u64,
    /// The last chunk of each stream, without its planes.
    last: Vec<Option<StoredChunk>>,
    report: Report,
}

impl<W: Write> Salvage<W> {
    /// The number of the next chunk.
    fn next(&self, stream: StreamId) -> u64 {
        let last = self.last.get(stream.index()).and_then(Option::as_ref);
        last.map_or(0, |last| last.sequence.saturating_add(1))
    }

    /// Copies a record that is no chunk.
    fn other<R: Read + Seek>(&mut self, input: &mut R, item: &Item) -> Result<()> {
        let bytes = read_at(input, item.offset, item.len)?;
        let mut parser = Fields::new(&bytes, item.offset, None);
        let fixed = parser.array::<HEADER_LEN>("record header")?;
        let record = RecordHeader::decode(&fixed).map_err(|broken| broken.in_file(item.offset, None))?;
        let (record, payload) = whole_record(&bytes, item.offset, record.tag, None)?;
        let at = item.offset + HEADER_LEN as u64;
        match record.tag {
            Tag::PACKETS => self
                .writer
                .write_packets(record.stream, &packets::decode(payload, at)?),
            Tag::METADATA => self
                .writer
                .write_metadata(&Metadata::decode(payload, at, record.stream)?),
            Tag::CHAPTERS => self
                .writer
                .write_chapters(&metadata::decode_chapters(payload, at)?),
            _ => Ok(()),
        }
    }

    /// Copies a chunk, unless it was copied before or does not fit behind the last one.
    fn chunk<R: Read + Seek>(&mut self, input: &mut R, item: &Item) -> Result<()> {
        if item.sequence < self.next(item.stream) {
            return Ok(());
        }
        let chunk = Some(item.sequence);
        let bytes = read_at(input, item.offset, item.len)?;
        let (record, payload) = whole_record(&bytes, item.offset, Tag::CHUNK, chunk)?;
        let at = item.offset + HEADER_LEN as u64;
        let video = self.header.video(record.stream);
        let elastic = video.is_some_and(|video| video.depth_step.is_some());
        let (chunk, _) =
            StoredChunk::decode(payload, at, record.stream, record.sequence, elastic, &self.limits)?;
        // A checksum that holds says nothing of who wrote it.
        if chunk.unpack().is_err() || !self.fits(&chunk) {
            let reason = Broken::new("chunk", "one that fits in its place", "another one")
                .in_file(item.offset, Some(chunk.sequence));
            self.report.lost.push(Lost {
                offset: item.offset,
                bytes: item.len,
                reason,
            });
            return Ok(());
        }
        let next = self.next(chunk.stream)..chunk.sequence;
        let frames = self.end_of(chunk.stream)..chunk.first_frame.0;
        self.fill_gap(chunk.stream, next, frames, Some(&chunk))?;
        self.writer.write_stored(&chunk)?;
        self.report.chunks += 1;
        if let Some(last) = self.last.get_mut(chunk.stream.index()) {
            *last = Some(StoredChunk {
                planes: Vec::new(),
                ..chunk
            });
        }
        Ok(())
    }

    fn end_of(&self, stream: StreamId) -> u64 {
        let last = self.last.get(stream.index()).and_then(Option::as_ref);
        last.map_or(0, |last| last.first_frame.0.saturating_add(last.frame_count.0))
    }

    /// Whether `chunk` can come behind what there is, with a gap before it or without.
    fn fits(&self, chunk: &StoredChunk) -> bool {
        let Some(video) = self.header.video(chunk.stream) else {
            return false;
        };
        let missing = chunk.sequence - self.next(chunk.stream);
        let full = u64::from(video.chunk_latent_frames) * u64::from(video.strides[0]);
        let from = self.end_of(chunk.stream);
        let frames = from.saturating_add(missing)..=from.saturating_add(missing.saturating_mul(full));
        let last = self.last.get(chunk.stream.index()).and_then(Option::as_ref);
        let follows = last.is_none_or(|last| {
            let held = video.frames_held(last.latent_frames, last.key);
            let goes_on = chunk.segment == last.segment && last.frame_count == held;
            chunk.times.start >= last.times.start
                && chunk.segment >= last.segment
                && (chunk.key || missing > 0 || goes_on)
        });
        frames.contains(&chunk.first_frame.0) && follows && (last.is_some() || missing > 0 || chunk.key)
    }

    /// Holds the places of the chunks `chunks`, which are missing before `next` or before the end.
    fn fill_gap(
        &mut self,
        stream: StreamId,
        chunks: Range<u64>,
        frames: Range<u64>,
        next: Option<&StoredChunk>,
    ) -> Result<()> {
        let Some(video) = self.header.video(stream).cloned() else {
            return Ok(());
        };
        let whole = frames.end.saturating_sub(frames.start);
        self.missing_frames = self.missing_frames.saturating_add(whole);
        let what = "number of missing frames";
        let limit = self.limits.max_missing_frames;
        within(
            limit,
            "max_missing_frames",
            what,
            self.missing_frames,
            0,
            Some(chunks.start),
        )?;
        let last = self.last.get(stream.index()).and_then(Option::as_ref);
        let gap = Gap {
            stream,
            chunks: chunks.clone(),
            frames,
            before: last.map(|last| Border {
                segment: last.segment,
                time: end_time(last, video.frame_duration),
            }),
            after: next.map(|next| Border {
                segment: next.segment,
                time: next.times.start,
            }),
        };
        for place in gap.places(&video) {
            self.writer.write_stored(&place)?;
        }
        self.report.lost_chunks += chunks.end.saturating_sub(chunks.start);
        self.report.lost_frames += whole;
        Ok(())
    }

    fn finish(mut self, header_copy: bool, totals: Option<&[Totals]>) -> Result<(W, Recovered)> {
        for (id, totals) in self.header.ids().zip(totals.unwrap_or_default()) {
            let Some(video) = self.header.video(id) else {
                continue;
            };
            let full = u64::from(video.chunk_latent_frames) * u64::from(video.strides[0]);
            let (chunks, frames) = (self.next(id)..totals.chunks, self.end_of(id)..totals.frames.0);
            let missing = chunks.end.saturating_sub(chunks.start);
            let span = frames.end.saturating_sub(frames.start);
            // Totals that cannot be true are not worth more than none.
            if missing > 0 && (missing..=missing.saturating_mul(full)).contains(&span) {
                self.fill_gap(id, chunks, frames, None)?;
            }
        }
        let report = self.report;
        let whole = report.lost_chunks == 0 && report.lost.is_empty() && !report.truncated && !header_copy;
        if !whole {
            let mut value = format!(
                "{} chunks of {} frames lost",
                report.lost_chunks, report.lost_frames
            );
            if report.truncated {
                value.push_str("; the end was missing");
            }
            self.writer.write_metadata(&Metadata {
                stream: StreamId::NONE,
                entries: vec![(key::RECOVERED.to_owned(), value)],
            })?;
        }
        let (output, summary) = self.writer.finish()?;
        let recovered = Recovered {
            chunks: report.chunks,
            lost_chunks: report.lost_chunks,
            lost_frames: report.lost_frames,
            lost: report.lost,
            truncated: report.truncated,
            header_copy,
            summary,
        };
        Ok((output, recovered))
    }
}

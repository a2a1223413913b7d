//! A whole file out of what is left of a damaged one (LBIT §10).

use std::collections::BTreeMap;
use std::io::{Read, Seek, SeekFrom, Write};
use std::ops::Range;

use super::{Border, Gap, check_known, end_time};
use crate::attachment::Attachment;
use crate::end::Totals;
use crate::error::{Broken, Error, ErrorKind, Result};
use crate::fields::Fields;
use crate::ground::StreamId;
use crate::header::{Header, Stream};
use crate::index::{read_at, whole_record};
use crate::limits::{Limits, NotesBudget, within};
use crate::metadata::{self, Metadata, key};
use crate::packets;
use crate::parser::{Event, Head, Lost};
use crate::problems::Problems;
use crate::reader::{Reader, find_head};
use crate::record::{HEADER_LEN, RecordHeader, Tag};
use crate::stored::StoredChunk;
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
    /// What could not be read: in the order in which it was tried to copy it, then in that of the file.
    pub lost: Problems<Lost>,
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
    let mut found = Found::new(&mut input, limits, head)?;
    let mut salvage = Salvage {
        writer: Writer::new(output, &header, options)?,
        last: vec![None; header.streams.len()],
        missing_frames: 0,
        limits: *limits,
        header,
        report: Report::new(limits),
    };
    for item in std::mem::take(&mut found.items) {
        match item {
            Item::Other { offset, len } => salvage.other(&mut input, offset, len)?,
            Item::Chunk(place) => {
                // Those that should have come before it may lie behind it. Each is tried once: by then all that could come
                // before it were tried, so that it will never fit if it does not now.
                while let Some((earlier, len)) = found.chunks.first_up_to(place) {
                    salvage.chunk(&mut input, earlier, len)?;
                }
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

/// Where an intact chunk belongs, and where it lies. Of chunks with the same number the first one comes first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct ChunkPlace {
    stream: StreamId,
    sequence: u64,
    offset: u64,
}

/// An intact record.
enum Item {
    /// A chunk whose tokens are there.
    Chunk(ChunkPlace),
    Other {
        offset: u64,
        len: u64,
    },
}

/// Chunks that were not tried yet, with the lengths of their records.
#[derive(Default)]
struct Untried(BTreeMap<ChunkPlace, u64>);

impl Untried {
    /// Takes the first one of the stream of `place` that is not after it.
    fn first_up_to(&mut self, place: ChunkPlace) -> Option<(ChunkPlace, u64)> {
        let first = ChunkPlace {
            sequence: 0,
            offset: 0,
            ..place
        };
        let (&found, &len) = self.0.range(first..=place).next()?;
        self.0.remove(&found);
        Some((found, len))
    }
}

/// Everything that is intact, as it lies.
struct Found {
    items: Vec<Item>,
    chunks: Untried,
    lost: Problems<Lost>,
    totals: Option<Vec<Totals>>,
}

impl Found {
    fn new<R: Read>(input: R, limits: &Limits, head: Head) -> Result<Self> {
        let mut reader = Reader::in_any_order(input, *limits, head)?;
        let mut found = Self {
            items: Vec::new(),
            chunks: Untried::default(),
            lost: Problems::new(limits),
            totals: None,
        };
        loop {
            let event = match reader.next_stored_event() {
                Ok(Some(event)) => event,
                Ok(None) => break,
                Err(error) if error.kind() == ErrorKind::Truncated => break,
                Err(error) => return Err(error),
            };
            let (offset, len) = reader.last_record();
            match event {
                // What holds the place of a chunk is made anew.
                Event::Stored(chunk) if chunk.is_lost() => {}
                Event::Stored(chunk) => {
                    let place = ChunkPlace {
                        stream: chunk.stream,
                        sequence: chunk.sequence,
                        offset,
                    };
                    found.chunks.0.insert(place, len);
                    found.items.push(Item::Chunk(place));
                }
                Event::Lost(lost) => found.lost.push(lost),
                _ => found.items.push(Item::Other { offset, len }),
            }
        }
        found.totals = reader.ended().map(<[Totals]>::to_vec);
        Ok(found)
    }
}

struct Report {
    chunks: u64,
    lost_chunks: u64,
    lost_frames: u64,
    lost: Problems<Lost>,
    truncated: bool,
}

impl Report {
    fn new(limits: &Limits) -> Self {
        Self {
            chunks: 0,
            lost_chunks: 0,
            lost_frames: 0,
            lost: Problems::new(limits),
            truncated: false,
        }
    }
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
    fn other<R: Read + Seek>(&mut self, input: &mut R, offset: u64, len: u64) -> Result<()> {
        let bytes = read_at(input, offset, len)?;
        let mut parser = Fields::new(&bytes, offset, None);
        let fixed = parser.array::<HEADER_LEN>("record header")?;
        let record = RecordHeader::decode(&fixed).map_err(|broken| broken.in_file(offset, None))?;
        let (record, payload) = whole_record(&bytes, offset, record.tag, None)?;
        let at = offset + HEADER_LEN as u64;
        // It was read within the limits before.
        let mut budget = NotesBudget::new(Limits::none());
        match record.tag {
            Tag::PACKETS => self
                .writer
                .write_packets(record.stream, &packets::decode(payload, at, &self.limits)?),
            Tag::METADATA => {
                self.writer
                    .write_metadata(&Metadata::decode(payload, at, record.stream, &mut budget)?)
            }
            Tag::CHAPTERS => {
                self.writer
                    .write_chapters(&metadata::decode_chapters(payload, at, &mut budget)?)
            }
            Tag::ATTACHMENT => self
                .writer
                .write_attachment(&Attachment::decode(payload, at, &mut budget)?),
            _ => Ok(()),
        }
    }

    /// Copies a chunk, unless one of its number was copied before or it does not fit behind the last one.
    fn chunk<R: Read + Seek>(&mut self, input: &mut R, place: ChunkPlace, len: u64) -> Result<()> {
        if place.sequence < self.next(place.stream) {
            return Ok(());
        }
        let (offset, number) = (place.offset, Some(place.sequence));
        let bytes = read_at(input, offset, len)?;
        let (record, payload) = whole_record(&bytes, offset, Tag::CHUNK, number)?;
        let at = offset + HEADER_LEN as u64;
        let video = self.header.video(record.stream);
        let elastic = video.is_some_and(|video| video.depth_step.is_some());
        let (chunk, _) =
            StoredChunk::decode(payload, at, record.stream, record.sequence, elastic, &self.limits)?;
        // A checksum that holds says nothing of who wrote it.
        let unpacked = match self.fits(&chunk) {
            true => chunk.unpacked(),
            false => Err(Broken::new("chunk", "one that fits in its place", "another one")),
        };
        let unpacked = match unpacked {
            Ok(unpacked) => unpacked,
            Err(broken) => {
                let reason = broken.in_file(offset, number);
                self.report.lost.push(Lost {
                    offset,
                    bytes: len,
                    reason,
                });
                return Ok(());
            }
        };
        let next = self.next(chunk.stream)..chunk.sequence;
        let frames = self.end_of(chunk.stream)..chunk.first_frame.0;
        self.fill_gap(chunk.stream, next, frames, Some(&chunk))?;
        let unpacked = self.writer.digests().then_some(&unpacked);
        self.writer.write_unpacked(&chunk, unpacked)?;
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

//! A whole file out of what is left of a damaged one (LBIT §10).

use std::io::{Read, Seek, SeekFrom, Write};
use std::ops::Range;

use super::{check_known, copy_rest, end_time};
use crate::error::{Error, ErrorKind, Result};
use crate::header::{Header, Stream, StreamId};
use crate::limits::Limits;
use crate::metadata::{Metadata, key};
use crate::parser::{Event, Lost, ReadMode};
use crate::reader::Reader;
use crate::stored::StoredChunk;
use crate::times::Times;
use crate::units::{PixelFrames, latent_frames_needed};
use crate::writer::{Summary, Writer, WriterOptions};
use crate::{Coder, TokenGrid};

/// What came of [`recover`].
#[derive(Debug)]
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
/// Chunks that are lost between others are marked as lost, so that every frame keeps its number and time. If the header
/// is damaged, a copy of it serves.
///
/// # Errors
/// [`Error::Format`] if there is no header and no copy of one, or not one chunk; [`Error::Unsupported`] and
/// [`Error::Limits`] if the file was made for a newer reader or asks for too much; [`Error::Io`].
pub fn recover<R: Read + Seek, W: Write>(
    mut input: R,
    output: W,
    limits: &Limits,
    options: WriterOptions,
) -> Result<(W, Recovered)> {
    let rewind = |input: &mut R| {
        input.seek(SeekFrom::Start(0)).map_err(|source| Error::Io {
            action: "read",
            offset: 0,
            source,
        })
    };
    rewind(&mut input)?;
    let start_is_good = Reader::new(&mut input, *limits).is_ok();
    rewind(&mut input)?;
    let finder = Reader::with_mode(&mut input, *limits, ReadMode::Join)?;
    let Some(head) = finder.head().cloned() else {
        return Err(Error::parameter("reader state", "a header", "none"));
    };
    rewind(&mut input)?;
    let mut header = head.header.clone();
    check_known(&header)?;
    for stream in &mut header.streams {
        if let Stream::Video(video) = stream {
            video.frame_count = None;
        }
    }
    let mut reader = Reader::with_head(input, *limits, head)?;
    let mut salvage = Salvage {
        writer: Writer::new(output, &header, options)?,
        last: vec![None; header.streams.len()],
        gaps: vec![None; header.streams.len()],
        header,
        report: Report::default(),
    };
    loop {
        match reader.next_stored_event() {
            Ok(Some(event)) => salvage.take(event)?,
            Ok(None) => break,
            Err(error) if error.kind() == ErrorKind::Truncated => {
                salvage.report.truncated = true;
                break;
            }
            Err(error) => return Err(error),
        }
    }
    salvage.finish(!start_is_good)
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
    /// The last chunk of each stream, without its planes.
    last: Vec<Option<StoredChunk>>,
    /// What is missing after it.
    gaps: Vec<Option<(Range<u64>, Range<u64>)>>,
    report: Report,
}

impl<W: Write> Salvage<W> {
    fn take(&mut self, event: Event) -> Result<()> {
        match event {
            Event::Stored(chunk) => self.chunk(chunk),
            Event::Missing {
                stream,
                chunks,
                frames,
            } => {
                self.widen_gap(stream, chunks, frames);
                Ok(())
            }
            Event::Lost(lost) => {
                self.report.lost.push(lost);
                Ok(())
            }
            other => copy_rest(&mut self.writer, &other),
        }
    }

    fn widen_gap(&mut self, stream: StreamId, chunks: Range<u64>, frames: Range<u64>) {
        if let Some(gap) = self.gaps.get_mut(stream.index()) {
            *gap = match gap.take() {
                Some((before, from)) => Some((before.start..chunks.end, from.start..frames.end)),
                None => Some((chunks, frames)),
            };
        }
    }

    fn chunk(&mut self, chunk: StoredChunk) -> Result<()> {
        let stream = chunk.stream;
        // A checksum that holds says nothing of who wrote it: planes that cannot be unpacked are lost as well.
        if chunk.is_lost() || chunk.unpack().is_err() {
            let (first, PixelFrames(frame)) = (chunk.sequence, chunk.first_frame);
            let frames = frame..frame.saturating_add(chunk.frame_count.0);
            self.widen_gap(stream, first..first + 1, frames);
            return Ok(());
        }
        self.fill_gap(stream, Some(&chunk))?;
        self.writer.write_stored(&chunk)?;
        self.report.chunks += 1;
        self.remember(chunk);
        Ok(())
    }

    fn remember(&mut self, chunk: StoredChunk) {
        if let Some(last) = self.last.get_mut(chunk.stream.index()) {
            *last = Some(StoredChunk {
                planes: Vec::new(),
                ..chunk
            });
        }
    }

    /// Holds the places of the chunks that are missing before `next`, or before the end.
    fn fill_gap(&mut self, stream: StreamId, next: Option<&StoredChunk>) -> Result<()> {
        let gap = self.gaps.get_mut(stream.index()).and_then(Option::take);
        let (Some((chunks, frames)), Some(video)) = (gap, self.header.video(stream).cloned()) else {
            return Ok(());
        };
        let last = self.last.get(stream.index()).and_then(Option::as_ref);
        let from = last.map_or_else(
            || video.constant_times(PixelFrames(frames.start)).start,
            |last| end_time(last, video.frame_duration),
        );
        let from = next.map_or(from, |next| from.min(next.times.start));
        let segment = last.or(next).map_or(0, |chunk| chunk.segment);
        let mut first_frame = frames.start;
        for sequence in chunks.clone() {
            // Nobody knows where one ended and the next began: share the frames out evenly.
            let left = frames.end.saturating_sub(first_frame);
            let count = PixelFrames(left.div_ceil((chunks.end - sequence).max(1)));
            let passed = first_frame - frames.start;
            let start = match next {
                Some(next) => between(from, next.times.start, passed, frames.end - frames.start),
                None => Times {
                    start: from,
                    durations: None,
                }
                .of(passed, video.frame_duration),
            };
            let latent_frames = latent_frames_needed(count, video.strides[0], false);
            let TokenGrid { t, h, w } = video.grid(latent_frames);
            self.writer.write_stored(&StoredChunk {
                stream,
                sequence,
                first_frame: PixelFrames(first_frame),
                frame_count: count,
                latent_frames,
                key: false,
                segment,
                times: Times {
                    start,
                    durations: None,
                },
                grid: TokenGrid { t, h, w },
                coder: Coder::Raw,
                planes: Vec::new(),
            })?;
            first_frame += count.0;
        }
        self.report.lost_chunks += chunks.end - chunks.start;
        self.report.lost_frames += frames.end - frames.start;
        Ok(())
    }

    fn finish(mut self, header_copy: bool) -> Result<(W, Recovered)> {
        for id in self.header.ids() {
            self.fill_gap(id, None)?;
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

/// The time `part` of `whole` on the way from `from` to `to`.
fn between(from: i64, to: i64, part: u64, whole: u64) -> i64 {
    let way = (i128::from(to) - i128::from(from)) * i128::from(part) / i128::from(whole.max(1));
    i64::try_from(i128::from(from) + way).unwrap_or(to)
}

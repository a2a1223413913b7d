//! Reads the tokens of a file as far as they go: which chunks there are and which are lost, then the numbers.

use std::collections::BTreeSet;
use std::io::{BufReader, BufWriter, Read, Write};
use std::ops::Range;

use anyhow::anyhow;
use latentbit_container::edit::{Border, Gap};
use latentbit_container::{
    ChunkInfo, Error, ErrorKind, Event, Limits, Metadata, PixelFrames, Reader, StoredChunk, StreamId, Times,
    Tokens, VideoStream,
};
use serde_json::Value;

use super::format::ArrayFormat;
use super::layout::Layout;
use super::sidecar::{ChapterEntry, ChunkEntry, MetadataEntry, Sidecar, chapter_entries};
use latentbit_media::{MediaError, MediaErrorKind};

/// The chunks of a stream of tokens, and what else the array's sidecar needs.
#[derive(Debug, Default)]
pub struct Listing {
    /// All chunks in order, including lost ones.
    pub chunks: Vec<ChunkEntry>,
    /// Where the chunks that are not lost lie, to recognise them in the second reading.
    pub places: Vec<ChunkInfo>,
    pub metadata: Vec<MetadataEntry>,
    pub chapters: Vec<ChapterEntry>,
    /// Other streams with metadata.
    pub others: BTreeSet<StreamId>,
    /// Files that go along, for which an array has no place.
    pub attachments: u64,
    pub damage: Damage,
}

impl Listing {
    /// Lists the chunks of a stream, with at most `bits` bits per token.
    pub fn new<R: Read>(
        reading: Reading<R>,
        stream: StreamId,
        video: &VideoStream,
        bits: u8,
    ) -> Result<Self, Error> {
        Self::with_tokens(reading, stream, video, bits, |_| Ok(()))
    }

    /// As [`new`](Self::new), and passes the tokens of each chunk to `take`, with all bits, if `reading` unpacks them.
    ///
    /// # Errors
    /// Fails if reading or `take` fails.
    pub fn with_tokens<R: Read, E: From<Error>>(
        mut reading: Reading<R>,
        stream: StreamId,
        video: &VideoStream,
        bits: u8,
        mut take: impl FnMut(Tokens) -> Result<(), E>,
    ) -> Result<Self, E> {
        let mut lister = Lister {
            stream,
            video,
            bits,
            step: 0,
            before: None,
            open: None,
            listing: Self::default(),
        };
        while let Some(event) = reading.next()? {
            match event {
                Event::Stored(chunk) if chunk.stream == stream && chunk.is_lost() => {
                    let first = chunk.first_frame.0;
                    let frames = first..first.saturating_add(chunk.frame_count.0);
                    lister.missing(chunk.sequence..chunk.sequence.saturating_add(1), frames);
                    lister
                        .open
                        .iter_mut()
                        .for_each(|open| open.held.push(chunk.clone()));
                }
                Event::Stored(chunk) if chunk.stream == stream => {
                    let even = chunk.layers.is_none();
                    lister.chunk(reading.last_chunk(), chunk.times, chunk.grid.t, even);
                }
                Event::Chunk(chunk) if chunk.stream == stream => {
                    let even = chunk.tokens.depths.is_none();
                    lister.chunk(reading.last_chunk(), chunk.times, chunk.tokens.grid.t, even);
                    take(chunk.tokens)?;
                }
                Event::Missing {
                    stream: of,
                    chunks,
                    frames,
                } if of == stream => lister.missing(chunks, frames),
                Event::Metadata(metadata) => lister.metadata(metadata),
                Event::Attachment(_) => lister.listing.attachments += 1,
                Event::Chapters(chapters) => lister.listing.chapters = chapter_entries(&chapters),
                _ => {}
            }
        }
        lister.close(None);
        let mut listing = lister.listing;
        listing.damage = reading.damage;
        Ok(listing)
    }

    /// The sidecar of the array of these tokens in `layout`.
    pub fn sidecar(&self, video: &VideoStream, layout: Layout) -> Sidecar {
        let frames = PixelFrames(self.frames());
        // Losses at the end are not known.
        let promised = video.frame_count.filter(|&promised| promised == frames);
        let video = video.clone().with_frame_count(promised);
        let mut sidecar = Sidecar::new(&video, layout.dtype(), layout.columns);
        sidecar.shape = Sidecar::sides(&video, layout, self.steps());
        sidecar.chunks.clone_from(&self.chunks);
        sidecar.metadata.clone_from(&self.metadata);
        sidecar.chapters.clone_from(&self.chapters);
        sidecar
    }

    /// Steps of tokens.
    pub fn steps(&self) -> u64 {
        self.chunks.last().map_or(0, |chunk| chunk.steps[1])
    }

    /// Frames, including lost ones.
    pub fn frames(&self) -> u64 {
        let last = self.chunks.last();
        last.map_or(0, |chunk| chunk.first_frame.saturating_add(chunk.frames))
    }
}

/// A run of chunks without tokens.
struct Open {
    chunks: Range<u64>,
    frames: Range<u64>,
    /// The placeholders that the file has for them.
    held: Vec<StoredChunk>,
}

struct Lister<'a> {
    stream: StreamId,
    video: &'a VideoStream,
    bits: u8,
    /// Where the next chunk begins in the array.
    step: u64,
    /// The end of the last chunk that has tokens.
    before: Option<Border>,
    open: Option<Open>,
    listing: Listing,
}

impl Lister<'_> {
    fn chunk(&mut self, info: Option<&ChunkInfo>, times: Times, steps: u32, even: bool) {
        let Some(info) = info else {
            return;
        };
        self.close(Some(Border {
            segment: info.segment,
            time: times.start,
        }));
        self.before = Some(Border {
            segment: info.segment,
            time: times.of(info.frame_count.0, self.video.frame_duration),
        });
        let from = self.step;
        self.step += u64::from(steps);
        let mut entry = ChunkEntry::new(info, times, [from, self.step], self.bits);
        entry.even = even && self.video.depth_step.is_some();
        self.listing.chunks.push(entry);
        self.listing.places.push(*info);
    }

    fn missing(&mut self, chunks: Range<u64>, frames: Range<u64>) {
        match &mut self.open {
            Some(open) => (open.chunks.end, open.frames.end) = (chunks.end, frames.end),
            None => {
                self.open = Some(Open {
                    chunks,
                    frames,
                    held: Vec::new(),
                });
            }
        }
    }

    /// Lists the last run of chunks without tokens, now that it is known what follows it.
    fn close(&mut self, after: Option<Border>) {
        let Some(open) = self.open.take() else {
            return;
        };
        let step = self.step;
        let entries = &mut self.listing.chunks;
        if open.held.len() as u64 == open.chunks.end.saturating_sub(open.chunks.start) {
            // Their placeholders say more about them than their neighbours.
            entries.extend(open.held.iter().map(|place| ChunkEntry::lost(place, step)));
            return;
        }
        let gap = Gap {
            stream: self.stream,
            chunks: open.chunks,
            frames: open.frames,
            before: self.before,
            after,
        };
        entries.extend(gap.places(self.video).map(|place| ChunkEntry::lost(&place, step)));
    }

    fn metadata(&mut self, metadata: Metadata) {
        // The stream is the first one of the sidecar.
        let stream = match metadata.stream {
            StreamId::NONE => None,
            of if of == self.stream => Some(0),
            other => {
                self.listing.others.insert(other);
                return;
            }
        };
        self.listing.metadata.push(MetadataEntry {
            stream,
            entries: metadata.entries,
        });
    }
}

/// What is wrong with a file.
#[derive(Debug, Default)]
pub struct Damage {
    /// Damage that was skipped.
    pub found: Vec<Error>,
    /// The file is cut off.
    pub cut_off: Option<Error>,
}

impl Damage {
    fn note(&mut self, error: Error) {
        match error.kind() {
            ErrorKind::Truncated => self.cut_off = Some(error),
            _ => self.found.push(error),
        }
    }
}

/// Reads a file as far as possible.
pub struct Reading<R: Read> {
    reader: Reader<R>,
    unpack: bool,
    pub damage: Damage,
}

impl<R: Read> Reading<R> {
    /// `unpack` says whether chunks come with their tokens or as they are stored.
    pub fn new(reader: Reader<R>, unpack: bool) -> Self {
        Self {
            reader,
            unpack,
            damage: Damage::default(),
        }
    }

    /// The next event that is no damage; none at the end of what can be read.
    ///
    /// A failed read is not damage, and neither is a file that this program is too old for or that exceeds its limits:
    /// reading on would hide it.
    pub fn next(&mut self) -> Result<Option<Event>, Error> {
        loop {
            let event = match self.unpack {
                true => self.reader.next_event(),
                false => self.reader.next_stored_event(),
            };
            match event {
                Ok(Some(Event::Lost(lost))) => self.damage.note(lost.reason),
                Ok(event) => return Ok(event),
                Err(error) if matches!(error.kind(), ErrorKind::Format | ErrorKind::Truncated) => {
                    self.damage.note(error);
                    return Ok(None);
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Where the last chunk lies.
    pub const fn last_chunk(&self) -> Option<&ChunkInfo> {
        self.reader.last_chunk()
    }
}

/// Why tokens could not be written.
#[derive(Debug)]
pub enum Failed {
    /// A listed chunk cannot be unpacked: its checksums are right, so only unpacking shows the damage.
    Unpack(Error),
    Other(anyhow::Error),
}

impl<E: Into<anyhow::Error>> From<E> for Failed {
    fn from(error: E) -> Self {
        Self::Other(error.into())
    }
}

/// Passes the tokens of each chunk in `listing` to `put`, with at most `bits` bits of each.
///
/// Fails if the file has other chunks: the array would not have the length that its header says.
pub fn write_values<R: Read>(
    reading: &mut Reading<R>,
    stream: StreamId,
    listing: &Listing,
    bits: u8,
    mut put: impl FnMut(&Tokens) -> anyhow::Result<()>,
) -> Result<(), Failed> {
    let mut listed = listing.places.iter();
    while let Some(event) = reading.next()? {
        let Event::Chunk(mut chunk) = event else {
            continue;
        };
        if chunk.stream != stream {
            continue;
        }
        let (expected, found) = (listed.next(), reading.last_chunk().copied());
        if expected != found.as_ref() {
            return Err(unlike(&mut reading.damage.found, expected, found.as_ref()));
        }
        chunk.tokens.truncate_bits(bits);
        put(&chunk.tokens)?;
    }
    match listed.next() {
        None => Ok(()),
        expected => Err(unlike(&mut reading.damage.found, expected, None)),
    }
}

fn unlike(damage: &mut Vec<Error>, expected: Option<&ChunkInfo>, found: Option<&ChunkInfo>) -> Failed {
    let passed_over = damage.iter().position(|reason| {
        reason.chunk().is_some() && reason.chunk() == expected.map(|chunk| chunk.sequence)
    });
    if let Some(at) = passed_over {
        return Failed::Unpack(damage.swap_remove(at));
    }
    let text = |chunk: Option<&ChunkInfo>| {
        chunk.map_or_else(
            || "the end of the chunks".to_owned(),
            |chunk| {
                let (number, offset, len) = (chunk.sequence, chunk.offset, chunk.stored_len);
                format!("chunk {number} of {len} bytes at byte {offset}")
            },
        )
    };
    let (expected, found) = (text(expected), text(found));
    Failed::Other(anyhow!(
        "the file is not what it was when its chunks were listed: expected {expected}, found {found}; export it again \
         when nothing writes to it any more"
    ))
}

/// Writes the tokens of a `.lbit` as npy, as `tokens export` does, but reads it only once; returns the sidecar.
/// There must be `steps` steps of them, because an array begins with its length. Messages call the `.lbit` `name` and the
/// array `place`.
pub fn write_npy(
    lbit: impl Read,
    name: &str,
    steps: u64,
    out: impl Write,
    place: &str,
) -> anyhow::Result<Value> {
    let invalid = |message: String| MediaError::new(MediaErrorKind::Invalid, name, message);
    let reader = Reader::new(BufReader::new(lbit), Limits::default())?;
    let Some((stream, video)) = reader.header().first_video() else {
        return Err(invalid("there is no video in this file".to_owned()).into());
    };
    let video = video.clone();
    let layout = Layout::new(video.bits, None);
    let failed = |error| MediaError::io(place, "write", error);
    let mut out = BufWriter::new(out);
    let begun = Sidecar::of_steps(&video, layout, steps);
    out.write_all(&ArrayFormat::Npy.header(&begun).map_err(failed)?)
        .map_err(failed)?;
    let mut buffer = Vec::new();
    let reading = Reading::new(reader, true);
    let listing = Listing::with_tokens(
        reading,
        stream,
        &video,
        video.bits,
        |tokens| -> anyhow::Result<()> {
            buffer.clear();
            layout.put_all(&mut buffer, &tokens);
            Ok(out.write_all(&buffer).map_err(failed)?)
        },
    )?;
    out.flush().map_err(failed)?;
    let found = listing.steps();
    if found != steps {
        return Err(invalid(format!("expected {steps} steps of tokens, found {found}")).into());
    }
    Ok(serde_json::to_value(listing.sidecar(&video, layout))?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tokens::testing::video;
    use latentbit_container::{
        ChunkPlan, Compression, Header, Limits, PixelFrames, ReadMode, Reader, Writer, WriterOptions,
    };

    const STREAM: StreamId = StreamId(0);

    fn file(frames: u64, value: u64) -> Vec<u8> {
        let video = video().with_frame_count(None);
        let options = WriterOptions::default().with_compression(Compression::Raw);
        let mut writer = Writer::new(Vec::new(), &Header::from(video.clone()), options).unwrap();
        for planned in ChunkPlan::new(PixelFrames(frames), 4, 0, 4) {
            let tokens = video.grid(planned.latent_frames).len();
            writer
                .write_chunk(&planned.with_tokens(&video, vec![value; tokens]))
                .unwrap();
        }
        writer.finish().unwrap().0
    }

    fn reading(bytes: &[u8], unpack: bool) -> Reading<&[u8]> {
        let reader = Reader::with_mode(bytes, Limits::default(), ReadMode::Resync).unwrap();
        Reading::new(reader, unpack)
    }

    /// Lists one file and reads the tokens of another one.
    fn write(listed: &[u8], read: &[u8]) -> Result<Vec<u8>, Failed> {
        let listing = Listing::new(reading(listed, false), STREAM, &video(), 10).unwrap();
        let mut out = Vec::new();
        let layout = Layout::new(10, None);
        write_values(&mut reading(read, true), STREAM, &listing, 10, |tokens| {
            layout.put_all(&mut out, tokens);
            Ok(())
        })?;
        assert_eq!(out.len() as u64, listing.steps() * 6 * 2);
        Ok(out)
    }

    #[test]
    fn a_file_that_changes_between_the_readings_is_refused() {
        let long = file(60, 5);
        assert_eq!(
            write(&long, &long).unwrap().chunks_exact(2).next(),
            Some(&[5, 0][..])
        );
        let says = |listed: &[u8], read: &[u8]| match write(listed, read).unwrap_err() {
            Failed::Other(error) => error.to_string(),
            Failed::Unpack(error) => panic!("{error}"),
        };
        let other = says(&long, &file(40, 5));
        assert!(other.contains("expected chunk 2 of"), "{other}");
        assert!(other.contains("export it again"), "{other}");
        let more = says(&file(29, 5), &file(45, 5));
        assert!(
            more.contains("expected the end of the chunks, found chunk 2"),
            "{more}"
        );
        let cut = says(&long, &long[..long.len() / 2]);
        assert!(cut.contains("found the end of the chunks"), "{cut}");
    }

    #[test]
    fn a_chunk_that_is_damaged_meanwhile_is_told() {
        let good = file(60, 5);
        let mut bad = good.clone();
        let at = bad.len() / 2;
        bad[at] ^= 1;
        assert!(matches!(
            write(&good, &bad),
            Err(Failed::Unpack(_) | Failed::Other(_))
        ));
        assert!(matches!(write(&bad, &good), Err(Failed::Other(_))));
    }
}

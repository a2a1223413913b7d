//! Which chunks a file has: from its index, or from reading it once.

use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;

use latentbit_container::units::latent_frames_needed;
use latentbit_container::{
    Chapter, Chunk, ChunkInfo, Error, ErrorKind, Event, Limits, PixelFrames, ReadMode, Reader, StreamId,
    TokenGrid, VideoStream, read_index,
};

use crate::source::{BLOCK, Cursor, Source};

/// What is known of a chunk without reading it.
#[derive(Clone, Debug)]
pub struct Place {
    pub number: u64,
    pub first_frame: u64,
    pub frames: u64,
    pub latent_frames: u64,
    pub key: bool,
    pub segment: u32,
    /// When its first frame is shown, in ticks.
    pub start: i64,
    /// Bits per token; 0 if its tokens are lost.
    pub bits: u8,
    /// No tokens if they are lost.
    pub grid: TokenGrid,
    /// Where it lies; none if nothing is there.
    pub info: Option<ChunkInfo>,
}

impl Place {
    /// A chunk that lies in a file, or whose place is held there although its tokens are lost.
    fn stored(info: &ChunkInfo, video: &VideoStream) -> Self {
        let mut grid = video.grid(info.latent_frames);
        if info.bits == 0 {
            grid.t = 0;
        }
        Self {
            number: info.sequence,
            first_frame: info.first_frame.0,
            frames: info.frame_count.0,
            latent_frames: info.latent_frames.0,
            key: info.key,
            segment: info.segment,
            start: info.start,
            bits: info.bits,
            grid,
            info: Some(*info).filter(|info| info.bits > 0),
        }
    }

    /// The frame after its last one.
    pub const fn end(&self) -> u64 {
        self.first_frame.saturating_add(self.frames)
    }

    /// A chunk in memory.
    pub fn of(chunk: &Chunk) -> Self {
        Self {
            number: chunk.sequence,
            first_frame: chunk.first_frame.0,
            frames: chunk.frame_count.0,
            latent_frames: chunk.latent_frames.0,
            key: chunk.key,
            segment: chunk.segment,
            start: chunk.times.start,
            bits: chunk.tokens.bits,
            grid: chunk.tokens.grid,
            info: None,
        }
    }
}

/// The chunks of one stream of a file.
#[derive(Debug, Default)]
pub struct Listing {
    /// In order; the number of each is its place here.
    pub places: Vec<Place>,
    /// Whether they come from the index.
    pub indexed: bool,
    /// What was found wrong with the file.
    pub damage: Vec<Error>,
}

impl Listing {
    /// Lists the chunks of `stream`.
    ///
    /// Damage is in the result. Fails if the source cannot be read, and for what a reader must not pass over.
    pub fn new(
        source: &Source,
        stream: StreamId,
        video: &VideoStream,
        limits: &Limits,
    ) -> Result<Self, Error> {
        match read_index(&mut Cursor::new(source, BLOCK), limits) {
            Ok(Some(chunks)) => {
                let own = chunks.iter().filter(|info| info.stream == stream);
                return Ok(Self {
                    places: own.map(|info| Place::stored(info, video)).collect(),
                    indexed: true,
                    damage: Vec::new(),
                });
            }
            // The index is no authority (LBIT §8.3): without a good one the file itself tells.
            Ok(None) => {}
            Err(error) if error.kind() == ErrorKind::Format => {}
            Err(error) => return Err(error),
        }
        Self::scan(source, stream, video, *limits)
    }

    fn scan(source: &Source, stream: StreamId, video: &VideoStream, limits: Limits) -> Result<Self, Error> {
        let mut reader = Reader::with_mode(Cursor::new(source, BLOCK), limits, ReadMode::Resync)?;
        let mut listing = Self::default();
        loop {
            match reader.next_stored_event() {
                Ok(Some(Event::Stored(chunk))) if chunk.stream == stream => {
                    let info = reader.last_chunk();
                    listing.places.extend(info.map(|info| Place::stored(info, video)));
                }
                Ok(Some(Event::Missing {
                    stream: of,
                    chunks,
                    frames,
                })) if of == stream => listing.missing(chunks, frames, video),
                Ok(Some(Event::Lost(lost))) => listing.damage.push(lost.reason),
                Ok(Some(_)) => {}
                Ok(None) => return Ok(listing),
                Err(error) if matches!(error.kind(), ErrorKind::Format | ErrorKind::Truncated) => {
                    listing.damage.push(error);
                    return Ok(listing);
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Nobody knows where one missing chunk ended and the next began: they share the frames evenly.
    fn missing(&mut self, chunks: Range<u64>, frames: Range<u64>, video: &VideoStream) {
        let count = chunks.end.saturating_sub(chunks.start).max(1);
        let span = frames.end.saturating_sub(frames.start);
        let border = |at: u64| {
            let part = u128::from(span) * u128::from(at) / u128::from(count);
            frames.start.saturating_add(u64::try_from(part).unwrap_or(span))
        };
        let before = self.places.last();
        let segment = before.map_or(0, |place| place.segment);
        let ticks = |frames: u64| {
            i64::try_from(frames.saturating_mul(u64::from(video.frame_duration))).unwrap_or(i64::MAX)
        };
        let mut start = before.map_or(0, |place| place.start.saturating_add(ticks(place.frames)));
        for (at, number) in chunks.enumerate() {
            let first_frame = border(at as u64);
            let frames = border(at as u64 + 1).saturating_sub(first_frame);
            let latent_frames = latent_frames_needed(PixelFrames(frames), video.strides[0], false);
            self.places.push(Place {
                number,
                first_frame,
                frames,
                latent_frames: latent_frames.0,
                key: false,
                segment,
                start,
                bits: 0,
                grid: TokenGrid {
                    t: 0,
                    ..video.grid(latent_frames)
                },
                info: None,
            });
            start = start.saturating_add(ticks(frames));
        }
    }

    /// Whether the file stops before its end.
    pub fn is_truncated(&self) -> bool {
        self.damage
            .iter()
            .any(|error| error.kind() == ErrorKind::Truncated)
    }
}

/// What a file says of itself in words.
#[derive(Debug, Default)]
pub struct About {
    /// Keys and values of the file, then those of the stream; later values come later.
    pub entries: Vec<(String, String)>,
    pub chapters: Vec<Chapter>,
}

impl About {
    /// Reads what lies between the chunks; those themselves are not read, if there is an index.
    pub fn new(source: &Source, stream: StreamId, limits: Limits) -> Result<Self, Error> {
        let index = read_index(&mut Cursor::new(source, BLOCK), &limits)
            .ok()
            .flatten();
        let between = Between {
            cursor: Cursor::new(source, BLOCK),
            chunks: index
                .unwrap_or_default()
                .iter()
                .map(|info| (info.offset, info.stored_len))
                .collect(),
            next: 0,
            position: 0,
        };
        // All chunks are missing, which must not end the reading.
        let limits = limits.with_max_missing_frames(None);
        let mut reader = Reader::with_mode(between, limits, ReadMode::Resync)?;
        let (mut about, mut of_stream) = (Self::default(), Vec::new());
        // What is damaged is told elsewhere.
        while let Ok(Some(event)) = reader.next_stored_event() {
            match event {
                Event::Metadata(metadata) if metadata.stream == StreamId::NONE => {
                    about.entries.extend(metadata.entries);
                }
                Event::Metadata(metadata) if metadata.stream == stream => of_stream.extend(metadata.entries),
                Event::Chapters(chapters) => about.chapters = chapters,
                _ => {}
            }
        }
        about.entries.extend(of_stream);
        Ok(about)
    }
}

/// A file without its chunks.
struct Between<'a> {
    cursor: Cursor<'a>,
    /// Offset and length of each, in order.
    chunks: Vec<(u64, u64)>,
    next: usize,
    position: u64,
}

impl Read for Between<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut most = buffer.len();
        while let Some(&(offset, len)) = self.chunks.get(self.next) {
            if let Some(before) = offset.checked_sub(self.position).filter(|&before| before > 0) {
                most = most.min(usize::try_from(before).unwrap_or(usize::MAX));
                break;
            }
            self.position = self.position.max(offset.saturating_add(len));
            self.next += 1;
        }
        self.cursor.seek(SeekFrom::Start(self.position))?;
        let read = self.cursor.read(buffer.get_mut(..most).unwrap_or_default())?;
        self.position += read as u64;
        Ok(read)
    }
}

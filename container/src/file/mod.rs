//! One seekable reader: what a file holds, and any part of it, without reading the rest (LBIT §8.3).

mod gaps;
mod part;

use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;
use std::sync::{Arc, OnceLock};

pub use gaps::PacketsIn;
pub use part::Part;

use crate::attachment::Attachment;
use crate::chunk::{Chunk, ChunkHead};
use crate::end::{self, Totals};
use crate::error::{Broken, Error, ErrorKind, Result};
use crate::ground::StreamId;
use crate::header::{Header, Version, VideoStream};
use crate::index::{self, ChunkInfo, file_len, read_at, whole_record};
use crate::limits::Limits;
use crate::metadata::{Chapter, Metadata};
use crate::parser::{Event, Head, ReadMode};
use crate::problems::Problems;
use crate::reader::Reader;
use crate::record::{CRC_LEN, HEADER_LEN, MAGIC, RecordHeader, Tag};
use crate::stored::StoredChunk;
use crate::times::Times;
use crate::units::{PixelFrames, latent_frames_needed};

/// Bytes read at once from the end of a file: tail, end record and most indexes lie in them, so that a file on another
/// machine is opened with two requests.
const END_LEN: u64 = 1 << 16;

/// The chunks that some frames need: what [`File::chunks_for`] answers.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Needed {
    /// The stream of tokens.
    pub stream: StreamId,
    /// Place in [`File::chunks`] of the chunk where decoding begins: the last intact key chunk at or before `first`, or
    /// the first chunk of the stream if no key chunk is left.
    pub from_key: usize,
    /// Place of the chunk that holds the first wanted frame.
    pub first: usize,
    /// Place after the chunk that holds the last wanted frame.
    pub end: usize,
    /// The wanted frames that the stream has.
    pub frames: Range<PixelFrames>,
    /// Index of the first frame that decoding from `from_key` gives. Those before `frames.start` are left out.
    pub decoded_from: PixelFrames,
}

impl Needed {
    /// How many frames have to be decoded and left out before the first wanted one.
    #[must_use]
    pub const fn left_out(&self) -> PixelFrames {
        self.frames.start.saturating_sub(self.decoded_from)
    }
}

/// Which of `chunks`, the chunks of `stream` in order, hold the frames of `wanted`, and where decoding them has to begin.
/// This is the only place in the workspace that answers it.
pub(crate) fn needed(stream: StreamId, chunks: &[ChunkInfo], wanted: Range<PixelFrames>) -> Option<Needed> {
    if wanted.is_empty() {
        return None;
    }
    let first = chunks.partition_point(|chunk| chunk.end_frame() <= wanted.start);
    let end = chunks.partition_point(|chunk| chunk.first_frame < wanted.end);
    let held = chunks.get(first..end)?;
    let (head, last) = (held.first()?, held.last()?);
    let before = chunks.get(..=first)?;
    let from_key = before.iter().rposition(|chunk| chunk.key && !chunk.is_lost());
    let from_key = from_key.unwrap_or(0);
    Some(Needed {
        stream,
        from_key,
        first,
        end,
        frames: wanted.start.max(head.first_frame)..wanted.end.min(last.end_frame()),
        decoded_from: chunks.get(from_key)?.first_frame,
    })
}

/// A file that can be read in any order, on anything that reads and seeks.
///
/// [`open`](Self::open) reads the header, the end record and the index; where there is no index, or none that can be
/// trusted, it reads the file once to find its chunks (checksums only, tokens are not unpacked). Afterwards every chunk
/// is one seek away:
///
/// - [`chunks`](Self::chunks) lists the chunks of a stream, also those that are missing;
/// - [`chunks_for`](Self::chunks_for) and [`chunks_for_times`](Self::chunks_for_times) tell which of them hold some
///   frames and where decoding has to begin;
/// - [`read`](Self::read) reads one; [`part`](Self::part) reads a whole part of the file in order, with the packets
///   beside it, as a [`Reader`] reads a whole file;
/// - [`packets`](Self::packets), [`metadata`](Self::metadata) and [`chapters`](Self::chapters) read what lies between
///   the chunks without reading the chunks.
///
/// The index is a hint (LBIT §8.3): whatever is read by way of it is checked as in a streaming read, and compared with
/// its entry. Damage to a chunk is an error of [`read`](Self::read) and costs only that chunk.
///
/// Memory: the list of chunks (about 90 bytes each, bounded by [`Limits::max_index_bytes`] or by the length of the file)
/// and one record at a time.
///
/// For pipes, which cannot seek, there are [`Reader`] and [`Parser`](crate::Parser).
///
/// ```
/// use std::io::Cursor;
/// use latentbit_container::{File, Limits, PixelFrames};
///
/// # fn demo(bytes: Vec<u8>) -> latentbit_container::Result<()> {
/// let mut file = File::open(Cursor::new(bytes), Limits::default())?;
/// let Some((stream, _)) = file.first_video() else { return Ok(()) };
/// // Frames 100 to 149, and what has to be decoded before them.
/// if let Some(needed) = file.chunks_for(stream, PixelFrames(100)..PixelFrames(150)) {
///     for chunk in file.chunks(stream)[needed.from_key..needed.end].to_vec() {
///         let tokens = file.read(&chunk, u8::MAX)?.tokens;
///         assert_eq!(tokens.values.len(), tokens.grid.len());
///     }
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct File<R> {
    inner: R,
    len: u64,
    limits: Limits,
    head: Arc<Head>,
    /// Chunks of each stream of the header, in order.
    streams: Arc<Vec<Vec<ChunkInfo>>>,
    /// Offset and length of every chunk record, in the order of the file.
    places: Arc<Vec<(u64, u64)>>,
    indexed: bool,
    /// What reading the whole file found, after the index had a chunk in the wrong place.
    scanned: Arc<OnceLock<Vec<Vec<ChunkInfo>>>>,
    ended: Option<Vec<Totals>>,
    damage: Arc<Problems<Error>>,
}

impl<R: Read + Seek> File<R> {
    /// Opens a file by its index, or, where that is missing, damaged or contradicts the file, by reading the file once.
    ///
    /// Damage is no error: see [`damage`](Self::damage).
    ///
    /// # Errors
    /// [`Error::Format`] or [`Error::Truncated`] if there is no header ([`edit::recover`](crate::edit::recover) can do
    /// with a copy of it). [`Error::Unsupported`], [`Error::Limits`] and [`Error::Io`] for what a reader must not pass
    /// over.
    pub fn open(mut inner: R, limits: Limits) -> Result<Self> {
        let head = read_head(&mut inner, limits)?;
        let mut file = Self::empty(inner, limits, head)?;
        if !file.take_index()? {
            file.rescan()?;
        }
        Ok(file)
    }

    /// Opens a file by its index only: `None` if it has none that can be trusted. Never reads more than the header, the
    /// end record, the index and the head of the last chunk.
    ///
    /// # Errors
    /// As for [`open`](Self::open).
    pub fn with_index(mut inner: R, limits: Limits) -> Result<Option<Self>> {
        let head = read_head(&mut inner, limits)?;
        let mut file = Self::empty(inner, limits, head)?;
        Ok(file.take_index()?.then_some(file))
    }

    fn empty(mut inner: R, limits: Limits, head: Head) -> Result<Self> {
        Ok(Self {
            len: file_len(&mut inner)?,
            streams: Arc::default(),
            places: Arc::default(),
            indexed: false,
            scanned: Arc::default(),
            ended: None,
            damage: Arc::new(Problems::new(&limits)),
            inner,
            limits,
            head: Arc::new(head),
        })
    }

    /// Lists the chunks anew by reading the whole file, whatever the index says. For a caller who finds that chunks are
    /// not where the index has them. [`ChunkInfo`]s and [`Needed`]s from before may no longer hold.
    ///
    /// # Errors
    /// [`Error::Unsupported`], [`Error::Limits`] and [`Error::Io`].
    pub fn rescan(&mut self) -> Result<()> {
        let (listing, ended) = scan(&mut self.inner, self.limits, &self.head.header)?;
        (self.streams, self.indexed) = (Arc::new(listing.streams), false);
        self.damage = Arc::new(listing.damage);
        self.ended = ended;
        self.set_places();
        Ok(())
    }

    /// Takes the chunks from the index; `false` if there is none that can be trusted.
    fn take_index(&mut self) -> Result<bool> {
        let start = self.len.saturating_sub(END_LEN);
        let block = read_at(&mut self.inner, start, self.len - start)?;
        let mut end = EndBlock {
            inner: &mut self.inner,
            start,
            block,
            position: 0,
        };
        let found = match index::locate(&mut end, &self.limits) {
            Ok(Some(found)) => found,
            Ok(None) => return Ok(false),
            // The index is no authority: without a good one the file itself tells.
            Err(error) if error.kind() == ErrorKind::Format => return Ok(false),
            Err(error) => return Err(error),
        };
        let mut listing = Listing::new(&self.head.header, &self.limits);
        let mut last: Option<ChunkInfo> = None;
        for info in found.chunks {
            let fits = match (
                self.head.header.video(info.stream),
                listing.streams.get(info.stream.index()),
            ) {
                (Some(video), Some(before)) => is_plausible(&info, before.last(), video),
                _ => false,
            };
            if !fits {
                return Ok(false);
            }
            last = Some(info);
            listing.push(info.stream, Some(info));
        }
        // An edit that moved the chunks shows at the last one.
        if last.is_some_and(|info| !starts_here(&mut end, &info)) {
            return Ok(false);
        }
        let behind = last.map_or(MAGIC.len() as u64, |last| {
            last.offset.saturating_add(last.stored_len)
        });
        let Some(ended) = end_between(&mut end, behind..found.offset, &self.head.header) else {
            return Ok(false);
        };
        let agrees = |totals: &Vec<Totals>| {
            totals
                .iter()
                .zip(&listing.streams)
                .zip(self.head.header.ids())
                .all(|((totals, chunks), id)| {
                    let frames = chunks.last().map_or(PixelFrames(0), |last| last.end_frame());
                    self.head.header.video(id).is_none()
                        || (totals.frames, totals.chunks) == (frames, chunks.len() as u64)
                })
        };
        if !agrees(&ended) {
            return Ok(false);
        }
        (self.streams, self.ended, self.indexed) = (Arc::new(listing.streams), Some(ended), true);
        self.set_places();
        Ok(true)
    }

    fn set_places(&mut self) {
        let stored = self.streams.iter().flatten().filter(|info| info.stored_len > 0);
        let mut places: Vec<_> = stored.map(|info| (info.offset, info.stored_len)).collect();
        places.sort_unstable();
        self.places = Arc::new(places);
    }

    /// The header.
    #[must_use]
    pub fn header(&self) -> &Header {
        &self.head.header
    }

    /// The version that the file was written in.
    #[must_use]
    pub fn version(&self) -> Version {
        self.head.version
    }

    /// The first stream of tokens, which is the one to show if nobody says otherwise.
    #[must_use]
    pub fn first_video(&self) -> Option<(StreamId, &VideoStream)> {
        self.head.header.first_video()
    }

    /// Bytes of the whole file.
    #[must_use]
    pub const fn byte_len(&self) -> u64 {
        self.len
    }

    /// Whether the list of chunks comes from the index, so that the chunks themselves have not been looked at.
    #[must_use]
    pub const fn is_indexed(&self) -> bool {
        self.indexed
    }

    /// What was found wrong while the file was read to list its chunks, in order; empty if it has an index.
    #[must_use]
    pub fn damage(&self) -> &Problems<Error> {
        &self.damage
    }

    /// The file, unless something was found wrong with it: for those who copy only what is whole.
    ///
    /// # Errors
    /// The first of [`damage`](Self::damage).
    pub fn intact(mut self) -> Result<Self> {
        let Some(first) = self.damage.first() else {
            return Ok(self);
        };
        let (offset, chunk, found) = (first.offset().unwrap_or(0), first.chunk(), first.to_string());
        // Others may look at the same list.
        let damage = std::mem::replace(&mut self.damage, Arc::new(Problems::new(&self.limits)));
        let mine = Arc::into_inner(damage).and_then(|damage| damage.into_iter().next());
        Err(mine.unwrap_or_else(|| Broken::new("file", "an intact one", found).in_file(offset, chunk)))
    }

    /// Whether the file stops before its end record.
    #[must_use]
    pub fn is_truncated(&self) -> bool {
        self.damage
            .iter()
            .any(|error| error.kind() == ErrorKind::Truncated)
    }

    /// The chunks of a stream of tokens, in order: each has its [`sequence`](crate::ChunkHead::sequence) as its place here.
    ///
    /// A chunk that is missing has a place too, with 0 bits. Where several are missing in a row, nobody knows where one
    /// ended and the next began: they share the frames evenly. Empty if `stream` is not one of tokens.
    #[must_use]
    pub fn chunks(&self, stream: StreamId) -> &[ChunkInfo] {
        self.streams.get(stream.index()).map_or(&[], Vec::as_slice)
    }

    /// Frames of a stream of tokens, up to the end of its last chunk.
    #[must_use]
    pub fn frames(&self, stream: StreamId) -> PixelFrames {
        self.chunks(stream)
            .last()
            .map_or(PixelFrames(0), |last| last.end_frame())
    }

    /// What each stream holds: as the end record says, or as it was counted where there is no end record (then
    /// without digests, and without records of packets).
    #[must_use]
    pub fn totals(&self) -> Vec<Totals> {
        let counted = || {
            let counted = self.streams.iter().map(|chunks| Totals {
                frames: chunks.last().map_or(PixelFrames(0), |last| last.end_frame()),
                chunks: chunks.len() as u64,
                digest: None,
            });
            counted.collect()
        };
        self.ended.clone().unwrap_or_else(counted)
    }

    /// Which chunks of `stream` hold the frames of `frames`, and where decoding has to begin. `None` if the stream has
    /// none of these frames.
    #[must_use]
    pub fn chunks_for(&self, stream: StreamId, frames: Range<PixelFrames>) -> Option<Needed> {
        needed(stream, self.chunks(stream), frames)
    }

    /// As [`chunks_for`](Self::chunks_for), for the frames whose presentation begins in `times`, in ticks of the
    /// stream's time base. Right for variable rates too: reads the chunks at both ends for the times of their frames.
    ///
    /// # Errors
    /// [`Error::Io`] and [`Error::Limits`].
    pub fn chunks_for_times(&mut self, stream: StreamId, times: Range<i64>) -> Result<Option<Needed>> {
        let frames = self.frame_at(stream, times.start)?..self.frame_at(stream, times.end)?;
        Ok(self.chunks_for(stream, frames))
    }

    /// The first frame of `stream` that is shown at or after `time`, in ticks of its time base; the number of frames if
    /// none is. Reads at most one chunk. See [`ticks_of`](crate::ticks_of) for seconds.
    ///
    /// # Errors
    /// [`Error::Io`] and [`Error::Limits`]. In a chunk that is lost or damaged, frames count as evenly spaced.
    pub fn frame_at(&mut self, stream: StreamId, time: i64) -> Result<PixelFrames> {
        let after = self.chunks(stream).partition_point(|chunk| chunk.start < time);
        let Some(info) = after
            .checked_sub(1)
            .and_then(|at| self.chunks(stream).get(at))
            .copied()
        else {
            return Ok(PixelFrames(0));
        };
        let Some(frame_duration) = self.head.header.video(stream).map(|video| video.frame_duration) else {
            return Ok(PixelFrames(0));
        };
        let times = self.times(&info)?;
        let before = times.frames_before(time, info.frame_count, frame_duration);
        Ok(PixelFrames(info.first_frame.0.saturating_add(before)))
    }

    /// When frame `frame` of `stream` is shown, in ticks of its time base. For the frame after the last one, when the
    /// last one ends. 0 in a stream without frames.
    ///
    /// # Errors
    /// As for [`frame_at`](Self::frame_at).
    pub fn time_of(&mut self, stream: StreamId, frame: PixelFrames) -> Result<i64> {
        let chunks = self.chunks(stream);
        let at = chunks.partition_point(|chunk| chunk.end_frame() <= frame);
        let (Some(info), Some(video)) = (
            chunks.get(at).or(chunks.last()).copied(),
            self.head.header.video(stream),
        ) else {
            return Ok(0);
        };
        let frame_duration = video.frame_duration;
        let inside = frame.saturating_sub(info.first_frame).0.min(info.frame_count.0);
        Ok(self.times(&info)?.of(inside, frame_duration))
    }

    /// When the stream begins and ends, in ticks of its time base.
    ///
    /// # Errors
    /// As for [`frame_at`](Self::frame_at).
    pub fn span(&mut self, stream: StreamId) -> Result<Range<i64>> {
        let start = self.chunks(stream).first().map_or(0, |first| first.start);
        let end = self.time_of(stream, self.frames(stream))?;
        Ok(start..end.max(start))
    }

    /// When the frames of a chunk are shown; as the list of chunks has it if the chunk cannot be read.
    fn times(&mut self, info: &ChunkInfo) -> Result<Times> {
        let unknown = Times {
            start: info.start,
            durations: None,
        };
        if info.is_lost() {
            return Ok(unknown);
        }
        match self.read_stored(info) {
            Ok(chunk) => Ok(chunk.times),
            Err(error) if error.kind() == ErrorKind::Format => Ok(unknown),
            Err(error) => Err(error),
        }
    }

    /// Reads one chunk of [`chunks`](Self::chunks) and unpacks its `planes` most important planes, at least one;
    /// `u8::MAX` for all. Fewer are less work. If the chunk is not where the index has it, it is looked for in the whole
    /// file.
    ///
    /// # Errors
    /// [`Error::Format`] if the chunk is damaged, has other frames than the index says, or belongs to another file; [`Error::Parameter`] if the chunk is lost; [`Error::Limits`]; [`Error::Io`].
    pub fn read(&mut self, chunk: &ChunkInfo, planes: u8) -> Result<Chunk> {
        self.read_stored(chunk)?
            .unpack_planes_only(planes)
            .map_err(|broken| broken.in_file(chunk.offset, Some(chunk.sequence)))
    }

    /// As [`read`](Self::read), without unpacking: for tools that move chunks or drop planes.
    ///
    /// # Errors
    /// As for [`read`](Self::read).
    pub fn read_stored(&mut self, chunk: &ChunkInfo) -> Result<StoredChunk> {
        if chunk.is_lost() && chunk.stored_len == 0 {
            let found = format!("chunk {}, which is missing", chunk.sequence);
            return Err(Error::parameter(
                "chunk to read",
                "one that is in the file",
                found,
            ));
        }
        match self.read_stored_at(chunk) {
            // Damage leaves a chunk where it is: what is elsewhere, or is another chunk, shows that the index is wrong.
            Err(error) if self.indexed && error.kind() == ErrorKind::Format => {
                let other = matches!(error, Error::Format { what, .. } if what == index::NOT_AS_INDEXED);
                if !other && starts_here(&mut self.inner, chunk) {
                    return Err(error);
                }
                match self.look_for(chunk)? {
                    Some(found) => self.read_stored_at(&found),
                    None => Err(error),
                }
            }
            result => result,
        }
    }

    fn read_stored_at(&mut self, chunk: &ChunkInfo) -> Result<StoredChunk> {
        index::read_stored_at(
            &mut self.inner,
            &self.head.header,
            self.head.crc,
            chunk,
            &self.limits,
        )
    }

    /// The chunk with the number and frames of `chunk`, of which the index says something wrong. Reads the whole file the
    /// first time.
    fn look_for(&mut self, chunk: &ChunkInfo) -> Result<Option<ChunkInfo>> {
        if self.scanned.get().is_none() {
            let (listing, _) = scan(&mut self.inner, self.limits, &self.head.header)?;
            // Another thread may have been faster, with the same result.
            let _ = self.scanned.set(listing.streams);
        }
        let place = usize::try_from(chunk.sequence).unwrap_or(usize::MAX);
        let stream = self
            .scanned
            .get()
            .and_then(|streams| streams.get(chunk.stream.index()));
        let found = stream.and_then(|chunks| chunks.get(place)).copied();
        let frames = |info: &ChunkInfo| (info.first_frame, info.frame_count);
        Ok(found.filter(|found| !found.is_lost() && frames(found) == frames(chunk)))
    }

    /// The packets of `stream` that are heard or shown in `times`, in ticks of the stream's time base, in the order of
    /// the file. See [`PacketsIn`] for which these are.
    ///
    /// # Errors
    /// [`Error::Parameter`] if `stream` is not one of packets.
    pub fn packets(&mut self, stream: StreamId, times: Range<i64>) -> Result<PacketsIn<'_, R>> {
        PacketsIn::new(self, stream, times)
    }

    /// Keys and values of the file and its streams: all records, in the order of the file, where a later value of a key
    /// replaces an earlier one (LBIT §7.2). Reads what lies between the chunks, not the chunks. Damaged records are left
    /// out.
    ///
    /// # Errors
    /// [`Error::Io`] and [`Error::Limits`].
    pub fn metadata(&mut self) -> Result<Vec<Metadata>> {
        Ok(gaps::notes(self)?.0)
    }

    /// The chapters of the file: those of the last record (LBIT §7.3).
    ///
    /// # Errors
    /// As for [`metadata`](Self::metadata).
    pub fn chapters(&mut self) -> Result<Vec<Chapter>> {
        Ok(gaps::notes(self)?.1)
    }

    /// The files that go along, in the order of the file (LBIT §7.5). Damaged records are left out.
    ///
    /// # Errors
    /// As for [`metadata`](Self::metadata).
    pub fn attachments(&mut self) -> Result<Vec<Attachment>> {
        gaps::attachments(self)
    }

    /// Reads the chunks that `needed` names, one after the other, as a [`Reader`] in [`ReadMode::Resync`] would; see
    /// [`Part`] for packets and strictness.
    pub const fn part(self, needed: Needed) -> Part<R> {
        Part::new(self, needed)
    }

    /// The same file through another input that has the same bytes, so that several threads can read at the same time. The
    /// list of chunks is shared, not copied.
    #[must_use]
    pub fn through<S>(&self, input: S) -> File<S> {
        File {
            inner: input,
            len: self.len,
            limits: self.limits,
            head: self.head.clone(),
            streams: self.streams.clone(),
            places: self.places.clone(),
            indexed: self.indexed,
            scanned: self.scanned.clone(),
            ended: self.ended.clone(),
            damage: self.damage.clone(),
        }
    }

    /// Gives the input back, at any position.
    pub fn into_inner(self) -> R {
        self.inner
    }
}

/// Lists all chunks by reading the whole file; gives what the end record says as well.
fn scan<R: Read + Seek>(
    inner: &mut R,
    limits: Limits,
    header: &Header,
) -> Result<(Listing, Option<Vec<Totals>>)> {
    seek(inner, 0)?;
    let mut listing = Listing::new(header, &limits);
    let mut reader = Reader::with_mode(inner, limits, ReadMode::Resync)?;
    loop {
        match reader.next_stored_event() {
            Ok(Some(Event::Stored(chunk))) => listing.push(chunk.stream, reader.last_chunk().copied()),
            Ok(Some(Event::Missing {
                stream,
                chunks,
                frames,
            })) => {
                if let Some(video) = header.video(stream) {
                    listing.missing(stream, video, chunks, frames);
                }
            }
            Ok(Some(Event::Lost(lost))) => listing.damage.push(lost.reason),
            Ok(Some(_)) => {}
            Ok(None) => break,
            Err(error) if matches!(error.kind(), ErrorKind::Format | ErrorKind::Truncated) => {
                listing.damage.push(error);
                break;
            }
            Err(error) => return Err(error),
        }
    }
    let ended = reader.ended().map(<[Totals]>::to_vec);
    Ok((listing, ended))
}

/// Reads the header from the start.
fn read_head<R: Read + Seek>(inner: &mut R, limits: Limits) -> Result<Head> {
    seek(inner, 0)?;
    Reader::new(inner, limits)?.into_head()
}

fn seek(inner: &mut impl Seek, offset: u64) -> Result<()> {
    let moved = inner.seek(SeekFrom::Start(offset));
    moved.map(|_| ()).map_err(|source| Error::Io {
        action: "read",
        offset,
        source,
    })
}

/// Whether an entry of the index can be true of a chunk that follows `before` in its stream.
fn is_plausible(info: &ChunkInfo, before: Option<&ChunkInfo>, video: &VideoStream) -> bool {
    let held = video.frames_held(info.latent_frames, info.key && !info.is_lost());
    let alone = info.offset >= MAGIC.len() as u64
        && info.stored_len >= (HEADER_LEN + CRC_LEN) as u64
        && (1..=u64::from(video.chunk_latent_frames)).contains(&info.latent_frames.0)
        && (1..=held.0).contains(&info.frame_count.0)
        && info.bits <= video.bits;
    alone && before.is_none_or(|before| info.start >= before.start && info.segment >= before.segment)
}

/// What the end record says, if there is one in `between`, whole, and no chunk: what comes after the last chunk that an
/// index lists must not be another one.
fn end_between<R: Read + Seek>(file: &mut R, between: Range<u64>, header: &Header) -> Option<Vec<Totals>> {
    let mut at = between.start;
    let mut ended = None;
    while at < between.end {
        let fixed = read_at(file, at, HEADER_LEN as u64).ok()?;
        let record = RecordHeader::decode(fixed.first_chunk()?).ok()?;
        match record.tag {
            // An index lists no chunks of kinds that its writer did not know.
            Tag::CHUNK if !header.is_unknown(record.stream) => return None,
            Tag::END if ended.is_some() => return None,
            Tag::END => {
                let bytes = read_at(file, at, record.record_len().min(between.end - at)).ok()?;
                let (_, payload) = whole_record(&bytes, at, Tag::END, None).ok()?;
                let decoded = end::decode(payload, at + HEADER_LEN as u64, header.streams.len());
                ended = Some(decoded.ok()?);
            }
            _ => {}
        }
        at = at.checked_add(record.record_len())?;
    }
    ended.filter(|_| at == between.end)
}

/// Whether the record of `info` starts where it says.
fn starts_here<R: Read + Seek>(file: &mut R, info: &ChunkInfo) -> bool {
    let Ok(bytes) = read_at(file, info.offset, HEADER_LEN as u64) else {
        return false;
    };
    let record = bytes.first_chunk().map(RecordHeader::decode);
    let Some(Ok(record)) = record else {
        return false;
    };
    (record.tag, record.stream, record.sequence) == (Tag::CHUNK, info.stream, info.sequence)
        && record.record_len() == info.stored_len
}

/// The chunks of all streams, as they are found.
struct Listing {
    streams: Vec<Vec<ChunkInfo>>,
    damage: Problems<Error>,
}

impl Listing {
    fn new(header: &Header, limits: &Limits) -> Self {
        Self {
            streams: vec![Vec::new(); header.streams.len()],
            damage: Problems::new(limits),
        }
    }

    fn push(&mut self, stream: StreamId, info: Option<ChunkInfo>) {
        let (Some(chunks), Some(info)) = (self.streams.get_mut(stream.index()), info) else {
            return;
        };
        // The times of missing chunks are estimates; they must not go past the next time that is known.
        let missing = chunks
            .iter_mut()
            .rev()
            .take_while(|before| before.stored_len == 0);
        missing.for_each(|before| before.start = before.start.min(info.start));
        chunks.push(info);
    }

    /// Gives missing chunks their places. Nobody knows where one ended and the next began: they share the frames evenly.
    fn missing(&mut self, stream: StreamId, video: &VideoStream, numbers: Range<u64>, frames: Range<u64>) {
        let Some(chunks) = self.streams.get_mut(stream.index()) else {
            return;
        };
        let count = numbers.end.saturating_sub(numbers.start).max(1);
        let span = frames.end.saturating_sub(frames.start);
        let border = |at: u64| {
            let part = u128::from(span) * u128::from(at) / u128::from(count);
            frames.start.saturating_add(u64::try_from(part).unwrap_or(span))
        };
        let ticks = |frames: u64| {
            i64::try_from(frames.saturating_mul(u64::from(video.frame_duration))).unwrap_or(i64::MAX)
        };
        let before = chunks.last();
        let segment = before.map_or(0, |before| before.segment);
        let mut start = before.map_or(0, |before| {
            before.start.saturating_add(ticks(before.frame_count.0))
        });
        for (at, sequence) in (0..).zip(numbers) {
            let first_frame = PixelFrames(border(at));
            let frame_count = PixelFrames(border(at.saturating_add(1))).saturating_sub(first_frame);
            chunks.push(ChunkInfo {
                head: ChunkHead {
                    stream,
                    sequence,
                    first_frame,
                    frame_count,
                    latent_frames: latent_frames_needed(frame_count, video.strides[0], false),
                    key: false,
                    segment,
                },
                offset: 0,
                stored_len: 0,
                bits: 0,
                start,
            });
            start = start.saturating_add(ticks(frame_count.0));
        }
    }
}

/// A file whose end is in memory.
struct EndBlock<'a, R> {
    inner: &'a mut R,
    /// Byte offset of the block in the file.
    start: u64,
    block: Vec<u8>,
    position: u64,
}

impl<R: Read + Seek> Read for EndBlock<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let len = match self.position.checked_sub(self.start) {
            Some(at) => {
                let at = usize::try_from(at).unwrap_or(usize::MAX);
                self.block.get(at..).unwrap_or_default().read(buffer)?
            }
            None => {
                self.inner.seek(SeekFrom::Start(self.position))?;
                self.inner.read(buffer)?
            }
        };
        self.position += len as u64;
        Ok(len)
    }
}

impl<R: Read + Seek> Seek for EndBlock<'_, R> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let end = self.start.saturating_add(self.block.len() as u64);
        let position = match to {
            SeekFrom::Start(position) => Some(position),
            SeekFrom::End(by) => end.checked_add_signed(by),
            SeekFrom::Current(by) => self.position.checked_add_signed(by),
        };
        self.position = position.ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
        Ok(self.position)
    }
}

#[cfg(test)]
mod tests;

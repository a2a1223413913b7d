//! Opens `.lbit` files and pipes, and seeks in files.

use latentbit_media::path_of;
use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::Context;
use latentbit_container::{
    ChunkInfo, Error, ErrorKind, Event, File as LbitFile, Header, MAGIC, Part, PixelFrames, ReadMode, Reader,
    StreamId, Times, VideoStream, ticks_of,
};

use crate::exit::{UsageError, usage};
use crate::limits::limits;
use crate::streaming::notes::Notes;
use latentbit_media::{MediaError, MediaErrorKind, Start, is_address, is_media};

/// Counts the bytes that are read.
pub struct Counted<R> {
    inner: R,
    count: Arc<AtomicU64>,
}

impl<R> Counted<R> {
    /// Counts what is read from `inner`; the second result holds the count.
    pub fn new(inner: R) -> (Self, Arc<AtomicU64>) {
        let count = Arc::new(AtomicU64::new(0));
        let counted = Self {
            inner,
            count: count.clone(),
        };
        (counted, count)
    }
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let len = self.inner.read(buffer)?;
        self.count.fetch_add(len as u64, Ordering::Relaxed);
        Ok(len)
    }
}

impl<R: Seek> Seek for Counted<R> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.inner.seek(to)
    }
}

/// The frames that are wanted of a stream; all by default.
#[derive(Clone, Copy, Debug, Default)]
pub struct WantedFrames {
    /// Where they start; a time is a presentation time.
    pub start: Option<Start>,
    /// How many there are at most.
    pub frames: Option<u64>,
}

impl WantedFrames {
    /// Their indices, if frame `first` is the first of them.
    pub fn range_from(&self, first: u64) -> Range<u64> {
        first
            ..self
                .frames
                .map_or(u64::MAX, |frames| first.saturating_add(frames))
    }
}

/// A point in a stream of tokens: a frame by its index, or when it is shown, in ticks of the video.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Point {
    Frame(u64),
    Tick(i64),
}

impl Point {
    /// The point in `video` that a command line names.
    pub fn new(start: Start, video: &VideoStream) -> Self {
        match start {
            Start::Frames(frame) => Self::Frame(frame),
            Start::Seconds(seconds) => Self::Tick(ticks_of(seconds, video.time_base)),
        }
    }

    /// How many of the `frames` of a chunk come before it, in a video with this `frame_duration`.
    pub fn frames_before(self, frames: &Range<u64>, times: &Times, frame_duration: u32) -> u64 {
        let count = frames.end.saturating_sub(frames.start);
        match self {
            Self::Frame(frame) => frame.saturating_sub(frames.start).min(count),
            Self::Tick(time) => times.frames_before(time, PixelFrames(count), frame_duration),
        }
    }
}

/// Where events come from.
pub enum LbitSource {
    /// A whole stream, read front to back, with what was read of it already.
    Stream(
        Box<Reader<Counted<Box<dyn Read + Send>>>>,
        VecDeque<latentbit_container::Result<Option<Event>>>,
    ),
    /// A part of a file, and what stands after its end if the file is cut off there.
    Part(Box<Part<Counted<File>>>, Option<Error>),
}

impl LbitSource {
    /// The header of the file.
    pub fn header(&self) -> &Header {
        match self {
            Self::Stream(reader, _) => reader.header(),
            Self::Part(part, _) => part.file().header(),
        }
    }

    /// The next event; `None` at the end.
    ///
    /// # Errors
    /// As for [`Reader::next_event`] and [`Part::next_event`].
    pub fn next_event(&mut self) -> latentbit_container::Result<Option<Event>> {
        match self {
            Self::Stream(reader, early) => early.pop_front().unwrap_or_else(|| reader.next_event()),
            Self::Part(part, cut_off) => or_cut_off(part.next_event(), cut_off),
        }
    }

    /// As [`next_event`](Self::next_event), with chunks as they are stored.
    ///
    /// # Errors
    /// As for [`next_event`](Self::next_event).
    pub fn next_stored_event(&mut self) -> latentbit_container::Result<Option<Event>> {
        match self {
            Self::Stream(reader, early) => early.pop_front().unwrap_or_else(|| reader.next_stored_event()),
            Self::Part(part, cut_off) => or_cut_off(part.next_stored_event(), cut_off),
        }
    }
}

/// An event of a part; after the last one, that the file is cut off there, once.
fn or_cut_off(
    event: latentbit_container::Result<Option<Event>>,
    cut_off: &mut Option<Error>,
) -> latentbit_container::Result<Option<Event>> {
    match event? {
        Some(event) => Ok(Some(event)),
        None => cut_off.take().map_or(Ok(None), Err),
    }
}

/// Files that are read once to list their chunks if they have no index, whatever is wanted of them: one of a single chunk
/// has none. Of larger ones the list is made only to seek.
const MOST_LISTED: u64 = 16 << 20;

/// Records that are looked through for notes at the beginning of a pipe.
const MOST_NOTES: usize = 1000;

/// A stream that is being read.
pub struct LbitInput {
    /// The file's name, or "stdin".
    pub place: String,
    pub source: LbitSource,
    /// The stream of tokens that is looked at.
    pub stream: StreamId,
    /// What the header says of it.
    pub video: VideoStream,
    /// Whether reading may begin in the middle.
    pub joining: bool,
    /// Bytes read so far; of a part, those of the index too.
    pub bytes: Arc<AtomicU64>,
    /// Bytes of packets and attachments among what was read; of a part, none.
    pub beside: Arc<AtomicU64>,
    /// How many frames it has: by the list of its chunks, or by the header.
    pub frames: Option<u64>,
    /// Whether that was counted. If not, it is what the index or the header says, and there may be more.
    pub counted: bool,
    strict: bool,
    /// The same file with the list of its chunks, and the bytes read that way; none for a pipe or a large file without an
    /// index, and once a part is being read.
    file: Option<(LbitFile<Counted<File>>, Arc<AtomicU64>)>,
    /// The file, if it can be read again.
    again: Option<File>,
}

/// What a seek found.
pub struct Seeked {
    /// The wanted frames, by index.
    pub wanted: WantedFrames,
    /// How many of them the stream has.
    pub frames: u64,
    /// How many frames have to be decoded for them.
    pub decoded: u64,
    /// Bytes of the chunks that hold them.
    pub bytes: u64,
}

/// The bytes of a file, or of stdin for `-`, and a name for messages.
pub fn open_bytes(path_or_dash: &str) -> anyhow::Result<(String, Box<dyn Read + Send>)> {
    if path_or_dash == "-" {
        return Ok(("stdin".to_owned(), Box::new(io::stdin())));
    }
    let file = File::open(path_of(path_or_dash)).map_err(|e| MediaError::io(path_or_dash, "open", e))?;
    Ok((path_or_dash.to_owned(), Box::new(file)))
}

/// Fails for what cannot hold tokens: an address, a video, a picture. What may be a damaged file of tokens passes.
///
/// # Errors
/// A wrong usage that says what to type instead.
pub fn refuse_others(path_or_dash: &str) -> anyhow::Result<()> {
    let path = Path::new(path_or_dash);
    if is_address(path_or_dash) && !path.exists() {
        return usage(format!(
            "{path_or_dash}: this is an address, and tokens are read from files and pipes only; send it through stdin: \
             curl -fsSL {path_or_dash} | latentbit ... -"
        ));
    }
    let named = path
        .extension()
        .is_some_and(|extension| extension.eq_ignore_ascii_case("lbit"));
    if path_or_dash == "-" || named || !path.is_file() || !is_media(path_or_dash) {
        return Ok(());
    }
    usage(format!(
        "{path_or_dash}: this is a video or a picture and holds no tokens; make some of it: latentbit encode {path_or_dash} -o {}",
        path.with_extension("lbit").display()
    ))
}

/// A file that can be read more than once, unless it is stdin or a pipe.
pub fn seekable(path_or_dash: &str) -> anyhow::Result<Option<BufReader<File>>> {
    if path_or_dash == "-" {
        return Ok(None);
    }
    let opening = |e| MediaError::io(path_or_dash, "open", e);
    // Opening a pipe only to look at it would take what is in it.
    if !std::fs::metadata(path_of(path_or_dash))
        .map_err(opening)?
        .is_file()
    {
        return Ok(None);
    }
    Ok(Some(BufReader::new(
        File::open(path_of(path_or_dash)).map_err(opening)?,
    )))
}

/// A file that is read more than once.
pub fn open_file(path: &str) -> anyhow::Result<BufReader<File>> {
    refuse_others(path)?;
    match seekable(path)? {
        Some(file) => Ok(file),
        None => usage(format!(
            "{path}: this command reads its input more than once, so it needs a file and no pipe"
        )),
    }
}

/// Opens a stream and reads its header.
pub fn open(path_or_dash: &str, mode: ReadMode) -> anyhow::Result<LbitInput> {
    refuse_others(path_or_dash)?;
    let (place, inner) = open_bytes(path_or_dash)?;
    let bytes = Arc::new(AtomicU64::new(0));
    let count = bytes.clone();
    let reader = Reader::with_mode(Counted { inner, count }, limits(), mode).map_err(|error| {
        let place = match error.kind() {
            ErrorKind::Format if error.offset().is_some_and(|offset| offset >= MAGIC.len() as u64) => {
                format!(
                    "{place}: its start is damaged; `latentbit recover` can do without, if there is a copy"
                )
            }
            _ => place.clone(),
        };
        anyhow::Error::from(error).context(place)
    })?;
    let first = reader.header().first_video();
    let Some((stream, video)) = first.map(|(stream, video)| (stream, video.clone())) else {
        let message = "there is no video in this file";
        return Err(MediaError::new(MediaErrorKind::Invalid, &place, message).into());
    };
    let mut input = LbitInput {
        place,
        source: LbitSource::Stream(Box::new(reader), VecDeque::new()),
        stream,
        joining: mode == ReadMode::Join,
        bytes,
        beside: Arc::default(),
        frames: video.frame_count.map(PixelFrames::into),
        video,
        counted: false,
        strict: mode == ReadMode::Strict,
        file: None,
        again: seekable(path_or_dash)?.map(BufReader::into_inner),
    };
    input.list_chunks(MOST_LISTED);
    Ok(input)
}

impl LbitInput {
    /// Lists the chunks by the index or, where a file of at most `most_listed` bytes has none, by reading it. Faults are
    /// ignored here: reading the stream will come across them.
    fn list_chunks(&mut self, most_listed: u64) {
        let Some(file) = &self.again else { return };
        let small = file.metadata().is_ok_and(|about| about.len() <= most_listed);
        let open = |scan: bool| {
            let (counted, bytes) = Counted::new(file.try_clone().ok()?);
            let opened = match scan {
                true => LbitFile::open(counted, limits()).map(Some),
                false => LbitFile::with_index(counted, limits()),
            };
            Some((opened.ok()??, bytes))
        };
        self.file = open(false).or_else(|| small.then(|| open(true)).flatten());
        if let Some((file, _)) = &self.file {
            let totals = file.totals();
            self.frames = totals.get(self.stream.index()).map(|totals| totals.frames.0);
            self.counted = !file.is_indexed();
        }
    }

    /// What the file says before its first chunk; of one whose chunks are listed, all that it says. To be asked before
    /// [`seek`](Self::seek).
    pub fn notes(&mut self) -> Notes {
        if let Some((file, _)) = &mut self.file
            && let (Ok(metadata), Ok(chapters), Ok(attachments)) =
                (file.metadata(), file.chapters(), file.attachments())
        {
            return Notes {
                metadata,
                chapters,
                attachments,
            };
        }
        let mut notes = Notes::default();
        // Whoever joins a stream midway leaves out what comes before a key chunk.
        if self.joining {
            return notes;
        }
        let LbitSource::Stream(reader, early) = &mut self.source else {
            return notes;
        };
        loop {
            let event = reader.next_stored_event();
            let more = match &event {
                Ok(Some(Event::Metadata(metadata))) => {
                    notes.metadata.push(metadata.clone());
                    true
                }
                Ok(Some(Event::Chapters(chapters))) => {
                    notes.chapters.clone_from(chapters);
                    true
                }
                Ok(Some(Event::Attachment(attachment))) => {
                    notes.attachments.push(attachment.clone());
                    true
                }
                _ => false,
            };
            // A fault or a chunk is for whoever reads the stream.
            early.push_back(event);
            if !more || early.len() >= MOST_NOTES {
                return notes;
            }
        }
    }

    /// The first frame of each group, if the chunks are listed.
    pub fn key_frames(&self) -> Option<Vec<PixelFrames>> {
        let (file, _) = self.file.as_ref()?;
        let chunks = file.chunks(self.stream);
        let keys = chunks.iter().filter(|chunk| chunk.key);
        Some(keys.map(|chunk| chunk.first_frame).collect())
    }

    /// The chunks, if they are listed.
    pub fn chunks(&self) -> Option<Vec<ChunkInfo>> {
        let (file, _) = self.file.as_ref()?;
        Some(file.chunks(self.stream).to_vec())
    }

    /// Seeks to the group of the first wanted frame. Reading goes on there, with the packets of `streams`. `around` adds so
    /// many frames before and after the wanted ones.
    ///
    /// Returns `None` if that is the first group, or if nothing can be sought: in a pipe, and in a file without an index that
    /// is damaged, which a reading of all of it tells best. The stream is read from its start then.
    ///
    /// # Errors
    /// A usage error if the stream has none of the frames; a file that cannot be read.
    pub fn seek(
        &mut self,
        wanted: WantedFrames,
        around: u64,
        streams: &[StreamId],
    ) -> anyhow::Result<Option<Seeked>> {
        let Some(start) = wanted.start else {
            return Ok(None);
        };
        if self.file.is_none() {
            self.list_chunks(u64::MAX);
        }
        let Some((mut file, bytes)) = self.file.take() else {
            return Ok(None);
        };
        if file
            .damage()
            .iter()
            .any(|error| error.kind() != ErrorKind::Truncated)
        {
            self.file = Some((file, bytes));
            return Ok(None);
        }
        let first = match Point::new(start, &self.video) {
            Point::Frame(first) => first,
            Point::Tick(time) => {
                let frame = file.frame_at(self.stream, time);
                frame.with_context(|| self.place.clone())?.0
            }
        };
        let range = wanted.range_from(first);
        let chunks_for = |start, end| file.chunks_for(self.stream, PixelFrames(start)..PixelFrames(end));
        let Some(held) = chunks_for(range.start, range.end) else {
            return Err(UsageError(AFTER_THE_END.to_owned()).into());
        };
        let with_context = chunks_for(
            range.start.saturating_sub(around),
            range.end.saturating_add(around),
        );
        let needed = with_context.unwrap_or_else(|| held.clone());
        if needed.from_key == 0 {
            self.file = Some((file, bytes));
            return Ok(None);
        }
        let frames = held.frames.end.saturating_sub(held.frames.start).0;
        let chunks = file
            .chunks(self.stream)
            .get(held.first..held.end)
            .unwrap_or_default();
        let end = chunks.last().map_or(held.frames.end, |last| {
            PixelFrames(last.first_frame.0 + last.frame_count.0)
        });
        let decoded = end.saturating_sub(needed.decoded_from).0;
        let held_bytes = chunks.iter().map(|chunk| chunk.stored_len).sum();
        let seeked = Seeked {
            wanted: WantedFrames {
                start: Some(Start::Frames(first)),
                frames: wanted.frames,
            },
            frames,
            decoded,
            bytes: held_bytes,
        };
        let cut_off = match file.damage().first() {
            // What comes after the wanted frames is not looked at.
            Some(error) if needed.end == file.chunks(self.stream).len() => cut_off(error),
            _ => None,
        };
        let part = file.part(needed);
        let part = if self.strict { part.strict() } else { part };
        // Without streams there is no need to read chunks for the times of their packets.
        let part = match streams.is_empty() {
            true => part,
            false => part.with_packets(streams).with_context(|| self.place.clone())?,
        };
        self.source = LbitSource::Part(Box::new(part), cut_off);
        self.bytes = bytes;
        Ok(Some(seeked))
    }
}

/// What a listing found at the end of a file that is cut off.
fn cut_off(error: &Error) -> Option<Error> {
    match *error {
        Error::Truncated {
            offset,
            inside,
            chunks,
            frames,
        } => Some(Error::Truncated {
            offset,
            inside,
            chunks,
            frames,
        }),
        _ => None,
    }
}

/// The message for a start behind the last frame.
pub const AFTER_THE_END: &str = "the start point lies after the end of the stream";

/// Fails if `--bits` asks for more bits than tokens have.
pub fn check_bits(bits: Option<u8>, video: &VideoStream) -> anyhow::Result<()> {
    match bits {
        Some(bits) if bits > video.bits => usage(format!(
            "--bits {bits}: tokens of this stream have {}",
            video.bits
        )),
        _ => Ok(()),
    }
}

//! Opens `.lbit` files and pipes.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use latentbit_container::{
    ChunkInfo, ErrorKind, Limits, MAGIC, PixelFrames, ReadMode, Reader, StreamId, VideoStream, read_index,
    read_totals,
};

use crate::exit::usage;
use latentbit_media::{MediaError, MediaErrorKind};

/// Counts the bytes that go by.
pub struct Counted<R> {
    inner: R,
    count: Arc<AtomicU64>,
}

impl<R> Counted<R> {
    /// Counts what is read of `inner`; the second result tells how much it was.
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

/// A stream that is being read.
pub struct Input {
    /// The file's name, or "stdin".
    pub place: String,
    pub reader: Reader<Counted<Box<dyn Read + Send>>>,
    /// The stream of tokens that is looked at.
    pub stream: StreamId,
    /// What the header says of it.
    pub video: VideoStream,
    /// Whether reading may begin in the middle.
    pub joining: bool,
    /// Bytes read so far.
    pub bytes: Arc<AtomicU64>,
}

/// The bytes of a file, or of stdin for `-`, and a name for messages.
pub fn open_bytes(path_or_dash: &str) -> anyhow::Result<(String, Box<dyn Read + Send>)> {
    if path_or_dash == "-" {
        return Ok(("stdin".to_owned(), Box::new(io::stdin())));
    }
    let file = File::open(path_or_dash).map_err(|e| MediaError::io(path_or_dash, "open", e))?;
    Ok((path_or_dash.to_owned(), Box::new(file)))
}

/// A file that can be read more than once, unless it is stdin or a pipe.
pub fn seekable(path_or_dash: &str) -> anyhow::Result<Option<BufReader<File>>> {
    if path_or_dash == "-" {
        return Ok(None);
    }
    let opening = |e| MediaError::io(path_or_dash, "open", e);
    // Opening a pipe only to look at it would take what is in it.
    if !std::fs::metadata(path_or_dash).map_err(opening)?.is_file() {
        return Ok(None);
    }
    Ok(Some(BufReader::new(File::open(path_or_dash).map_err(opening)?)))
}

/// A file that is read more than once.
pub fn open_file(path: &str) -> anyhow::Result<BufReader<File>> {
    match seekable(path)? {
        Some(file) => Ok(file),
        None => usage(format!(
            "{path}: this command reads its input more than once, so it needs a file and no pipe"
        )),
    }
}

/// Opens a stream and reads its header.
pub fn open(path_or_dash: &str, mode: ReadMode) -> anyhow::Result<Input> {
    let (place, inner) = open_bytes(path_or_dash)?;
    let bytes = Arc::new(AtomicU64::new(0));
    let count = bytes.clone();
    let reader = Reader::with_mode(Counted { inner, count }, Limits::default(), mode).map_err(|error| {
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
    Ok(Input {
        place,
        reader,
        stream,
        video,
        joining: mode == ReadMode::Join,
        bytes,
    })
}

/// What is known of a stream before its chunks are read.
pub struct Known {
    /// How many frames it has: by the index or, since a file of one chunk needs none, by the end record, or by the header.
    pub frames: Option<u64>,
    /// The index; none for a pipe or a file without one.
    pub index: Option<Index>,
}

/// What a file's index tells.
pub struct Index(Vec<ChunkInfo>);

/// Looks at the header of a stream and at the end of its file, which a pipe and a file that was cut off have not.
pub fn known(path_or_dash: &str, input: &Input) -> Known {
    let mut file = seekable(path_or_dash).ok().flatten();
    let index = file.as_mut().and_then(|file| index(file, input.stream));
    let frames = match (&index, &mut file) {
        (Some(index), _) => index.frame_count(),
        (None, Some(file)) => frames_by_totals(file, input),
        (None, None) => None,
    };
    let frames = frames.or(input.video.frame_count.map(PixelFrames::into));
    Known { frames, index }
}

fn index(file: &mut BufReader<File>, stream: StreamId) -> Option<Index> {
    let mut chunks = read_index(file, &Limits::default()).ok()??;
    chunks.retain(|chunk| chunk.stream == stream);
    Some(Index(chunks))
}

fn frames_by_totals(file: &mut BufReader<File>, input: &Input) -> Option<u64> {
    let totals = read_totals(file, input.reader.header()).ok()??;
    let totals = totals.get(usize::from(input.stream.0))?;
    Some(totals.frames.0)
}

impl Index {
    fn frame_count(&self) -> Option<u64> {
        let last = self.0.last()?;
        Some(last.first_frame.0.saturating_add(last.frame_count.0))
    }

    /// The frames at which its groups begin.
    pub fn key_frames(&self) -> Vec<PixelFrames> {
        let keys = self.0.iter().filter(|chunk| chunk.key);
        keys.map(|chunk| chunk.first_frame).collect()
    }
}

/// Refuses to look at more bits than tokens have.
pub fn check_bits(bits: Option<u8>, video: &VideoStream) -> anyhow::Result<()> {
    match bits {
        Some(bits) if bits > video.bits => usage(format!(
            "--bits {bits}: tokens of this stream have {}",
            video.bits
        )),
        _ => Ok(()),
    }
}

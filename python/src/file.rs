//! A `.lbit` file that is open for reading.

use std::ops::Range;
use std::sync::Arc;

use latentbit_container::{
    self as container, Attachment, Chapter, ChunkInfo, File, Limits, Needed, PixelFrames, StreamId,
    TokenGrid, Version, VideoStream,
};
use pyo3::prelude::*;

use crate::error::{self, FormatError, LimitsError, LostChunkError};
use crate::source::{BLOCK, Cursor, Source};

/// An open file. Chunks are read without a lock, each with a cursor of its own, so that threads can read at the same time.
pub struct Opened {
    source: Arc<Source>,
    /// A name for messages.
    pub place: String,
    pub version: Version,
    stream: StreamId,
    pub video: VideoStream,
    limits: Limits,
    /// The chunks of the stream; the number of each is its index here.
    pub chunks: Vec<ChunkInfo>,
    /// Whether they come from the index.
    pub indexed: bool,
    /// Whether the file stops before its end.
    pub truncated: bool,
    /// What was found wrong with the file.
    pub damage: Vec<String>,
    /// What every reading shares; never read through by itself.
    file: File<Cursor>,
}

/// Keys and values, where later ones replace earlier ones, and chapters.
pub type About = (Vec<(String, String)>, Vec<Chapter>);

impl Opened {
    /// Opens a source and lists the chunks of a stream, the first one of tokens if none is named.
    ///
    /// The caller must be detached from the interpreter.
    pub fn new(source: Source, place: String, stream: Option<u16>, limits: Limits) -> PyResult<Self> {
        let source = Arc::new(source);
        let file = File::open(Cursor::new(source.clone(), BLOCK), limits)
            .map_err(|error| error::container(error, &place))?;
        let header = file.header();
        let found = match stream {
            None => header.first_video(),
            Some(id) => header.video(StreamId(id)).map(|video| (StreamId(id), video)),
        };
        let Some((stream, video)) = found.map(|(stream, video)| (stream, video.clone())) else {
            let message = match stream {
                None => format!("{place}: there is no video in this file"),
                Some(id) => format!("{place}: stream {id} is no video"),
            };
            return Err(FormatError::new_err(message));
        };
        Ok(Self {
            source,
            place,
            version: file.version(),
            stream,
            video,
            limits,
            chunks: file.chunks(stream).to_vec(),
            indexed: file.is_indexed(),
            truncated: file.is_truncated(),
            damage: file.damage().iter().map(ToString::to_string).collect(),
            file,
        })
    }

    /// Bytes of the whole file.
    pub fn len(&self) -> u64 {
        self.source.len()
    }

    /// The grid of a chunk's tokens: no steps if they are lost.
    pub fn grid(&self, chunk: &ChunkInfo) -> TokenGrid {
        let grid = self.video.grid(chunk.latent_frames);
        match chunk.is_lost() {
            true => TokenGrid { t: 0, ..grid },
            false => grid,
        }
    }

    /// Reads a chunk with at most `planes` planes.
    ///
    /// The caller must be detached from the interpreter, here and below.
    pub fn load(&self, chunk: &ChunkInfo, planes: u8) -> PyResult<container::Chunk> {
        if chunk.is_lost() {
            return Err(LostChunkError::new_err(format!(
                "{}: chunk {}: its tokens are lost, frames {} to {}; other chunks are not touched by that",
                self.place,
                chunk.sequence,
                chunk.first_frame,
                chunk.end_frame().0.saturating_sub(1)
            )));
        }
        // One request for the whole chunk. The source bounds it by its own length.
        let len = usize::try_from(chunk.stored_len).unwrap_or(usize::MAX);
        let most = self.limits.max_chunk_bytes.unwrap_or(u64::MAX);
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        let found = self.with(len.min(most.saturating_add(BLOCK)), |file| {
            file.read(chunk, planes)
        })?;
        // What was said of the chunk came from the index, which is a hint and no authority.
        if (found.head, found.times.start) != (chunk.head, chunk.start) {
            return Err(FormatError::new_err(format!(
                "{}: chunk {}: the index says other things of it than the chunk itself; `latentbit index` writes a new one",
                self.place, chunk.sequence
            )));
        }
        Ok(found)
    }

    /// Fails if so many frames of these chunks are lost that making them up would take more than the limits allow.
    pub fn check_lost(&self, chunks: Range<usize>) -> PyResult<()> {
        let chunks = self.chunks.get(chunks).unwrap_or_default();
        let lost = chunks.iter().filter(|chunk| chunk.is_lost());
        self.check_made_up(lost.fold(0u64, |frames, chunk| frames.saturating_add(chunk.frame_count.0)))
    }

    /// Fails if making up so many frames would take more than the limits allow.
    pub fn check_made_up(&self, frames: u64) -> PyResult<()> {
        match self.limits.max_missing_frames {
            Some(most) if frames > most => Err(LimitsError::new_err(format!(
                "{}: {frames} of these frames are lost, and at most {most} are made up; ask for fewer, or open the file with \
                 trusted=True",
                self.place
            ))),
            _ => Ok(()),
        }
    }

    /// Reads through a cursor of its own, `block` bytes at a time.
    fn with<T>(
        &self,
        block: usize,
        run: impl FnOnce(&mut File<Cursor>) -> container::Result<T>,
    ) -> PyResult<T> {
        let mut file = self.file.through(Cursor::new(self.source.clone(), block));
        run(&mut file).map_err(|error| error::container(error, &self.place))
    }

    /// The chunks that hold these frames, and where decoding them begins; none if there are no such frames.
    pub fn chunks_for(&self, frames: Range<u64>) -> Option<Needed> {
        let frames = PixelFrames(frames.start)..PixelFrames(frames.end);
        self.file.chunks_for(self.stream, frames)
    }

    /// The first frame that is shown at or after `time`, in ticks.
    pub fn frame_at(&self, time: i64) -> PyResult<u64> {
        self.with(BLOCK, |file| Ok(file.frame_at(self.stream, time)?.0))
    }

    /// Reads metadata and chapters, which lie between the chunks.
    pub fn about(&self) -> PyResult<About> {
        self.with(BLOCK, |file| {
            let all = file.metadata()?;
            let of = |stream| all.iter().filter(move |metadata| metadata.stream == stream);
            // Entries of the stream replace those of the file.
            let entries = of(StreamId::NONE).chain(of(self.stream));
            let entries = entries.flat_map(|metadata| metadata.entries.clone()).collect();
            Ok((entries, file.chapters()?))
        })
    }

    /// Reads the files that go along.
    pub fn attachments(&self) -> PyResult<Vec<Attachment>> {
        self.with(BLOCK, |file| file.attachments())
    }
}

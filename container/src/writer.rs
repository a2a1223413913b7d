//! Writing a stream, front to back (LBIT §2).

use std::io::{self, Write};

use crate::chunk::Chunk;
use crate::error::{Broken, Error, Result};
use crate::header::Header;
use crate::index::{self, ChunkInfo, MAX_ENTRIES};
use crate::parser::Totals;
use crate::record::{self, MAGIC, Tag};
use crate::stored::StoredChunk;
use crate::track::{Track, check_alone};

/// How planes are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// As they are.
    Raw,
    /// Each plane as a zstd frame, where that is smaller.
    Zstd {
        /// The level, in the range that zstd gives; more is slower and smaller.
        level: i32,
    },
}

impl Default for Compression {
    /// zstd at level 3.
    fn default() -> Self {
        Self::Zstd { level: 3 }
    }
}

/// How a [`Writer`] writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WriterOptions {
    /// How planes are stored.
    pub compression: Compression,
    /// Whether to end with an index. It takes 56 bytes of memory per chunk while writing; an endless stream has no
    /// use for it.
    pub index: bool,
}

impl Default for WriterOptions {
    /// zstd at level 3, with an index.
    fn default() -> Self {
        Self {
            compression: Compression::default(),
            index: true,
        }
    }
}

/// What a [`Writer`] wrote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Summary {
    /// Frames and chunks.
    pub totals: Totals,
    /// Bytes of the whole stream.
    pub bytes: u64,
}

/// Writes a stream to anything that takes bytes: no seeking, no field is changed later.
///
/// Header and chunks are each handed over as a whole and flushed, so whoever reads the other end of a pipe sees a
/// chunk as soon as it is written. A writer that is dropped without [`finish`](Self::finish) leaves a stream that
/// readers report as truncated.
#[derive(Debug)]
pub struct Writer<W: Write> {
    inner: W,
    header: Header,
    options: WriterOptions,
    track: Track,
    index: Vec<ChunkInfo>,
    offset: u64,
    buffer: Vec<u8>,
    /// Whether a write failed: nobody knows then how much of it went out, so nothing may follow.
    failed: bool,
}

impl<W: Write> Writer<W> {
    /// Starts a stream: writes magic and header and flushes them.
    ///
    /// # Errors
    /// [`Error::Parameter`] if `header` breaks a rule of [`Header::validate`]; [`Error::Io`].
    pub fn new(inner: W, header: &Header, options: WriterOptions) -> Result<Self> {
        let payload = header.encode().map_err(Broken::by_caller)?;
        let mut writer = Self {
            inner,
            header: header.clone(),
            options,
            track: Track::default(),
            index: Vec::new(),
            offset: 0,
            buffer: MAGIC.to_vec(),
            failed: false,
        };
        writer.append(Tag::HEAD, &payload)?;
        writer.flush()?;
        Ok(writer)
    }

    /// The header that was written.
    #[must_use]
    pub const fn header(&self) -> &Header {
        &self.header
    }

    /// Frames and chunks written so far.
    #[must_use]
    pub const fn totals(&self) -> Totals {
        Totals {
            frames: self.track.frames,
            chunks: self.track.chunks,
        }
    }

    /// Writes the next chunk and flushes it.
    ///
    /// # Errors
    /// [`Error::Parameter`] if the chunk does not fit the header, or is not the next one; nothing has been written
    /// then. [`Error::Io`].
    pub fn write_chunk(&mut self, chunk: &Chunk) -> Result<()> {
        self.write_stored(&StoredChunk::pack(chunk, self.options.compression)?)
    }

    /// Writes the next chunk as it was stored in another stream, and flushes it. Its compressed planes are not
    /// looked into.
    ///
    /// # Errors
    /// As for [`write_chunk`](Self::write_chunk).
    pub fn write_stored(&mut self, chunk: &StoredChunk) -> Result<()> {
        let mut track = self.track.clone();
        let payload = check_alone(&self.header, chunk)
            .and_then(|()| track.check_next(chunk))
            .and_then(|()| track.accept(&self.header, chunk))
            .and_then(|()| chunk.encode())
            .map_err(Broken::by_caller)?;
        self.append(Tag::CHUNK, &payload)?;
        let (offset, stored_len) = (self.offset, self.buffer.len() as u64);
        self.flush()?;
        self.track = track;
        if self.options.index {
            if self.index.len() == MAX_ENTRIES {
                self.options.index = false;
                self.index = Vec::new();
            } else {
                self.index.push(ChunkInfo::new(offset, stored_len, chunk));
            }
        }
        Ok(())
    }

    /// Ends the stream: writes end record, index and tail, flushes, and gives the inner writer back.
    ///
    /// # Errors
    /// [`Error::Parameter`] if the header promised another number of frames; [`Error::Io`]. The stream has no end
    /// record then and will be read as truncated.
    pub fn finish(mut self) -> Result<(W, Summary)> {
        let totals = self.totals();
        if let Some(promised) = self
            .header
            .frame_count
            .filter(|&promised| promised != totals.frames)
        {
            return Err(Error::parameter(
                "frame count of the stream",
                promised,
                totals.frames,
            ));
        }
        let mut payload = totals.frames.0.to_le_bytes().to_vec();
        payload.extend_from_slice(&totals.chunks.to_le_bytes());
        self.append(Tag::END, &payload)?;

        let mut place = None;
        if let Some(payload) = self.options.index.then(|| index::encode(&self.index)).flatten() {
            let before = self.buffer.len();
            self.append(Tag::INDEX, &payload)?;
            let len = u32::try_from(self.buffer.len() - before);
            place = len.ok().map(|len| (self.offset + before as u64, len));
        }
        self.append(Tag::TAIL, &index::encode_tail(place))?;
        self.flush()?;
        Ok((
            self.inner,
            Summary {
                totals,
                bytes: self.offset,
            },
        ))
    }

    fn append(&mut self, tag: Tag, payload: &[u8]) -> Result<()> {
        record::append(&mut self.buffer, tag, self.track.chunks, payload).map_err(Broken::by_caller)
    }

    fn flush(&mut self) -> Result<()> {
        let result = match self.failed {
            true => Err(io::Error::other("an earlier write to this stream failed")),
            false => self
                .inner
                .write_all(&self.buffer)
                .and_then(|()| self.inner.flush()),
        };
        self.failed = result.is_err();
        result.map_err(|source| Error::Io {
            action: "write",
            offset: self.offset,
            source,
        })?;
        self.offset += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }
}

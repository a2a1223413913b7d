//! Writing a file, front to back (LBIT §2).

use std::io::{self, Write};

use crate::attachment::Attachment;
use crate::chunk::Chunk;
use crate::coder::Compression;
use crate::end::{self, Digest, Totals};
use crate::error::{Broken, Error, Result};
use crate::ground::StreamId;
use crate::header::{Header, Stream};
use crate::index::{self, ChunkInfo, MAX_ENTRIES};
use crate::limits::Limits;
use crate::metadata::{self, Chapter, Metadata};
use crate::packets::{self, Packet};
use crate::record::{self, MAGIC, Tag};
use crate::stored::{StoredChunk, Unpacked};
use crate::track::{Track, check_alone};

/// Bytes of records that may wait for the next chunk.
const MOST_WAITING: usize = 1 << 16;

/// How a [`Writer`] writes; begin with [`default`](Self::default).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct WriterOptions {
    /// How planes are stored.
    pub compression: Compression,
    /// Whether to end with an index, if there is more than one chunk. It takes 80 bytes of memory per chunk while
    /// writing; an endless stream has no use for it.
    pub index: bool,
    /// Chunks after which the header is repeated at the next key chunk, for those who join midway; 0 for never. The
    /// header is also repeated at the end of a file of several chunks, unless this is 0.
    pub header_interval: u32,
    /// Whether to end with digests of what the streams hold.
    pub digests: bool,
}

impl Default for WriterOptions {
    /// The default coder, an index, a copy of the header every 32 chunks, digests.
    fn default() -> Self {
        Self {
            compression: Compression::default(),
            index: true,
            header_interval: 32,
            digests: true,
        }
    }
}

impl WriterOptions {
    /// Sets how planes are stored.
    #[must_use]
    pub const fn with_compression(mut self, compression: Compression) -> Self {
        self.compression = compression;
        self
    }

    /// Sets whether to end with an index.
    #[must_use]
    pub const fn with_index(mut self, index: bool) -> Self {
        self.index = index;
        self
    }

    /// Sets the chunks after which the header is repeated; 0 for never.
    #[must_use]
    pub const fn with_header_interval(mut self, chunks: u32) -> Self {
        self.header_interval = chunks;
        self
    }

    /// Sets whether to end with digests.
    #[must_use]
    pub const fn with_digests(mut self, digests: bool) -> Self {
        self.digests = digests;
        self
    }
}

/// What a [`Writer`] wrote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// What is in each stream.
    pub totals: Vec<Totals>,
    /// Bytes of the whole file.
    pub bytes: u64,
}

/// Writes a file to anything that takes bytes: no seeking, no field is changed later.
///
/// Header and chunks are each handed over as a whole and flushed, so whoever reads the other end of a pipe sees a
/// chunk as soon as it is written. A writer that is dropped without [`finish`](Self::finish) leaves a file that
/// readers report as truncated.
#[derive(Debug)]
pub struct Writer<W: Write> {
    inner: W,
    header: Header,
    header_payload: Vec<u8>,
    header_crc: u32,
    options: WriterOptions,
    streams: Vec<StreamState>,
    chunks: u64,
    /// Chunks since the header was written last.
    since_header: u32,
    header_copies: u64,
    index: Vec<ChunkInfo>,
    offset: u64,
    buffer: Vec<u8>,
    /// Bytes of attachments.
    attached: u64,
    /// Whether a write failed: nobody knows then how much of it went out, so nothing may follow.
    failed: bool,
}

/// What went into one stream.
#[derive(Clone, Debug, Default)]
struct StreamState {
    track: Track,
    packets: u64,
    digest: Digest,
}

impl<W: Write> Writer<W> {
    /// Starts a file: writes magic and header and flushes them.
    ///
    /// # Errors
    /// [`Error::Parameter`] if `header` breaks a rule of [`Header::validate`]; [`Error::Io`].
    pub fn new(inner: W, header: &Header, options: WriterOptions) -> Result<Self> {
        let payload = header.encode().map_err(Broken::by_caller)?;
        let mut writer = Self {
            inner,
            header: header.clone(),
            header_crc: crc32fast::hash(&payload),
            header_payload: Vec::new(),
            options,
            streams: vec![StreamState::default(); header.streams.len()],
            chunks: 0,
            since_header: 0,
            header_copies: 0,
            index: Vec::new(),
            offset: 0,
            buffer: MAGIC.to_vec(),
            attached: 0,
            failed: false,
        };
        writer.append(Tag::HEAD, StreamId::NONE, 0, &payload)?;
        writer.header_payload = payload;
        writer.flush()?;
        Ok(writer)
    }

    /// The header that was written.
    #[must_use]
    pub const fn header(&self) -> &Header {
        &self.header
    }

    /// What was written so far of a stream.
    #[must_use]
    pub fn totals(&self, stream: StreamId) -> Totals {
        let digest = self.options.digests;
        self.streams
            .get(stream.index())
            .map(|state| Totals {
                frames: state.track.frames,
                // A stream has the one or the other.
                chunks: state.track.chunks.max(state.packets),
                digest: digest.then(|| state.digest.finish()),
            })
            .unwrap_or_default()
    }

    /// Writes the next chunk of its stream and flushes it.
    ///
    /// # Errors
    /// [`Error::Parameter`] if the chunk does not fit the header, or is not the next one; nothing has been written
    /// then. [`Error::Io`].
    pub fn write_chunk(&mut self, chunk: &Chunk) -> Result<()> {
        let (stored, unpacked) = StoredChunk::pack_all(chunk, self.options.compression)?;
        self.write_unpacked(&stored, self.options.digests.then_some(&unpacked))
    }

    /// Writes the next chunk as it was stored in another file, and flushes it. It is unpacked only for the digest; with
    /// [`WriterOptions::digests`] off, nobody looks into its coded planes.
    ///
    /// # Errors
    /// As for [`write_chunk`](Self::write_chunk), or if its planes cannot be unpacked.
    pub fn write_stored(&mut self, chunk: &StoredChunk) -> Result<()> {
        let unpacked = match self.options.digests && !chunk.is_lost() {
            true => Some(chunk.unpacked().map_err(Broken::by_caller)?),
            false => None,
        };
        self.write_unpacked(chunk, unpacked.as_ref())
    }

    /// Whether what chunks hold goes into a digest.
    pub(crate) const fn digests(&self) -> bool {
        self.options.digests
    }

    /// Writes the next chunk; `unpacked` is what it holds, for the digest.
    pub(crate) fn write_unpacked(&mut self, chunk: &StoredChunk, unpacked: Option<&Unpacked>) -> Result<()> {
        let stream = chunk.stream;
        let (Some(video), Some(state)) = (self.header.video(stream), self.streams.get(stream.index())) else {
            return Err(Error::parameter("stream of a chunk", "one of tokens", stream));
        };
        let mut track = state.track.clone();
        let payload = check_alone(video, chunk)
            .and_then(|()| track.check_next(chunk))
            .and_then(|()| track.accept(video.frames_held(chunk.latent_frames, chunk.key), chunk))
            .and_then(|()| chunk.encode(self.header_crc))
            .map_err(Broken::by_caller)?;
        let interval = self.options.header_interval;
        if chunk.key && interval > 0 && self.since_header >= interval {
            self.append_header_copy()?;
        }
        let before = self.buffer.len();
        self.append(Tag::CHUNK, stream, chunk.sequence, &payload)?;
        let (offset, stored_len) = (self.offset + before as u64, (self.buffer.len() - before) as u64);
        self.flush()?;
        if let Some(state) = self.streams.get_mut(stream.index()) {
            state.track = track;
            if let Some(unpacked) = unpacked {
                state.digest.chunk(chunk.grid, unpacked);
            }
        }
        self.chunks += 1;
        self.since_header = self.since_header.saturating_add(1);
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

    /// Writes packets of one stream, in the order in which they are decoded. They go out with the next chunk, or at the
    /// end; if there are more than the default [`Limits`](crate::Limits) of readers allow in a record, in several records.
    ///
    /// # Errors
    /// [`Error::Parameter`] if `stream` is not one of packets or there are none.
    pub fn write_packets(&mut self, stream: StreamId, packets: &[Packet]) -> Result<()> {
        if self.header.packets(stream).is_none() {
            return Err(Error::parameter("stream of packets", "one of packets", stream));
        }
        let mut rest = packets;
        while let Some((now, later)) = rest.split_at_checked(packets::in_one_record(rest)) {
            self.write_packet_record(stream, now)?;
            rest = later;
            if rest.is_empty() {
                break;
            }
        }
        Ok(())
    }

    fn write_packet_record(&mut self, stream: StreamId, packets: &[Packet]) -> Result<()> {
        let payload = packets::encode(packets).map_err(Broken::by_caller)?;
        let Some(state) = self.streams.get_mut(stream.index()) else {
            return Err(Error::parameter("stream of packets", "one of packets", stream));
        };
        let sequence = state.packets;
        state.packets += 1;
        packets
            .iter()
            .for_each(|packet| state.digest.packet(&packet.data));
        self.append_beside(Tag::PACKETS, stream, sequence, &payload)
    }

    /// Writes keys and values about the file or a stream, at any time. They go out with the next chunk, or at the end.
    ///
    /// # Errors
    /// [`Error::Parameter`] if a key is empty, longer than 255 bytes or has control characters, or if it is about a stream
    /// that the file does not have.
    pub fn write_metadata(&mut self, metadata: &Metadata) -> Result<()> {
        metadata::check_stream(&self.header, metadata.stream).map_err(Broken::by_caller)?;
        let payload = metadata.encode().map_err(Broken::by_caller)?;
        self.append_beside(Tag::METADATA, metadata.stream, 0, &payload)
    }

    /// Writes chapters, at any time. They go out with the next chunk, or at the end.
    ///
    /// # Errors
    /// [`Error::Parameter`] if one ends before it starts.
    pub fn write_chapters(&mut self, chapters: &[Chapter]) -> Result<()> {
        let payload = metadata::encode_chapters(chapters).map_err(Broken::by_caller)?;
        self.append_beside(Tag::CHAPTERS, StreamId::NONE, 0, &payload)
    }

    /// Writes a file that goes along, at any time; readers of a pipe want it before the first chunk.
    ///
    /// # Errors
    /// [`Error::Parameter`] if one of its texts has control characters, or if all attachments together are over the default
    /// [`Limits::max_attachment_bytes`]; nothing has been written then.
    pub fn write_attachment(&mut self, attachment: &Attachment) -> Result<()> {
        let payload = attachment.encode().map_err(Broken::by_caller)?;
        let attached = self.attached.saturating_add(payload.len() as u64);
        if let Some(most) = Limits::default().max_attachment_bytes
            && attached > most
        {
            let expected = format!("at most {most} bytes, as readers take them");
            return Err(Error::parameter("attachments of a file", expected, attached));
        }
        self.attached = attached;
        self.append_beside(Tag::ATTACHMENT, StreamId::NONE, 0, &payload)
    }

    /// Ends the file: writes end record, index and tail, flushes, and gives the inner writer back.
    ///
    /// # Errors
    /// [`Error::Parameter`] if the header promised another number of frames; [`Error::Io`]. The file has no end record
    /// then and will be read as truncated.
    pub fn finish(mut self) -> Result<(W, Summary)> {
        let totals: Vec<Totals> = self.header.ids().map(|id| self.totals(id)).collect();
        for (stream, totals) in self.header.streams.iter().zip(&totals) {
            let promised = match stream {
                Stream::Video(video) => video.frame_count,
                _ => None,
            };
            if let Some(promised) = promised.filter(|&promised| promised != totals.frames) {
                return Err(Error::parameter(
                    "frame count of the stream",
                    promised,
                    totals.frames,
                ));
            }
        }
        // With a single chunk neither a second header nor an index is worth its bytes.
        if self.chunks > 1 && self.options.header_interval > 0 {
            self.append_header_copy()?;
        }
        let payload = end::encode(&totals).map_err(Broken::by_caller)?;
        self.append(Tag::END, StreamId::NONE, 0, &payload)?;
        if self.options.index && self.chunks > 1 {
            let before = self.buffer.len();
            let payload = index::encode(&self.index);
            self.append(Tag::INDEX, StreamId::NONE, 0, &payload)?;
            let len = u32::try_from(self.buffer.len() - before);
            let place = len.ok().map(|len| (self.offset + before as u64, len));
            self.append(Tag::TAIL, StreamId::NONE, 0, &index::encode_tail(place))?;
        }
        self.flush()?;
        let bytes = self.offset;
        Ok((self.inner, Summary { totals, bytes }))
    }

    fn append_header_copy(&mut self) -> Result<()> {
        let payload = std::mem::take(&mut self.header_payload);
        let appended = self.append(Tag::HEAD_COPY, StreamId::NONE, self.header_copies, &payload);
        self.header_payload = payload;
        self.header_copies += 1;
        self.since_header = 0;
        appended
    }

    /// Appends what goes out with the next chunk, or before it where there is much of it.
    fn append_beside(&mut self, tag: Tag, stream: StreamId, sequence: u64, payload: &[u8]) -> Result<()> {
        self.append(tag, stream, sequence, payload)?;
        match self.buffer.len() > MOST_WAITING {
            true => self.flush(),
            false => Ok(()),
        }
    }

    fn append(&mut self, tag: Tag, stream: StreamId, sequence: u64, payload: &[u8]) -> Result<()> {
        record::append(&mut self.buffer, tag, stream, sequence, payload).map_err(Broken::by_caller)
    }

    fn flush(&mut self) -> Result<()> {
        let result = match self.failed {
            true => Err(io::Error::other("an earlier write to this file failed")),
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

#[cfg(test)]
mod tests;

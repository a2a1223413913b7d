//! Reading a stream from anything that gives bytes.

use std::io::{ErrorKind, Read, Seek, SeekFrom};

use crate::chunk::Chunk;
use crate::end::Totals;
use crate::error::{Error, Result};
use crate::ground::StreamId;
use crate::header::{Header, Version};
use crate::index::ChunkInfo;
use crate::limits::Limits;
use crate::parser::{Event, Head, Next, Parser, ReadMode, Status};
use crate::stored::StoredChunk;

/// Bytes asked for at a time.
const READ_LEN: usize = 1 << 16;

/// Reads a stream front to back, without seeking.
///
/// A chunk comes out as soon as its last byte is there. It needs no buffering of its own around the input.
#[derive(Debug)]
pub struct Reader<R: Read> {
    inner: R,
    parser: Parser,
    header: Header,
    version: Version,
    buffer: Vec<u8>,
}

impl<R: Read + Seek> Reader<R> {
    /// Reads a file in [`ReadMode::Resync`] from its start; if its header is damaged, under a copy of it from further on.
    ///
    /// # Errors
    /// Any kind but [`Error::Parameter`], if there is neither a header nor a copy of one.
    pub fn salvaging(mut inner: R, limits: Limits) -> Result<Self> {
        let head = find_head(&mut inner, limits)?;
        Self::from_parser(inner, Parser::with_head(limits, head))
    }
}

/// The header of a file, or a copy of it; leaves the file at its start.
pub(crate) fn find_head<R: Read + Seek>(inner: &mut R, limits: Limits) -> Result<Head> {
    let start = |inner: &mut R| {
        inner.seek(SeekFrom::Start(0)).map_err(|source| Error::Io {
            action: "read",
            offset: 0,
            source,
        })
    };
    start(inner)?;
    let head = Reader::with_mode(&mut *inner, limits, ReadMode::Join)?.into_head()?;
    start(inner)?;
    Ok(head)
}

impl<R: Read> Reader<R> {
    /// Reads magic and header; later stops at the first fault ([`ReadMode::Strict`]).
    ///
    /// # Errors
    /// Any kind but [`Error::Parameter`].
    pub fn new(inner: R, limits: Limits) -> Result<Self> {
        Self::with_mode(inner, limits, ReadMode::Strict)
    }

    /// Reads magic and header; later does about damage what `mode` says.
    ///
    /// # Errors
    /// Any kind but [`Error::Parameter`].
    pub fn with_mode(inner: R, limits: Limits, mode: ReadMode) -> Result<Self> {
        Self::from_parser(inner, Parser::new(limits, mode))
    }

    /// Reads a file in [`ReadMode::Resync`] under a header that is known from elsewhere, with chunks as they lie, whatever
    /// their numbers.
    pub(crate) fn in_any_order(inner: R, limits: Limits, head: Head) -> Result<Self> {
        let mut parser = Parser::with_head(limits, head);
        parser.set_any_order();
        Self::from_parser(inner, parser)
    }

    /// Offset and length of the record that the last event came from.
    pub(crate) const fn last_record(&self) -> (u64, u64) {
        self.parser.last_record()
    }

    fn from_parser(mut inner: R, mut parser: Parser) -> Result<Self> {
        let mut buffer = vec![0; READ_LEN];
        while !parser.poll_header()? {
            fill(&mut inner, &mut parser, &mut buffer)?;
        }
        match (parser.header().cloned(), parser.version()) {
            (Some(header), Some(version)) => Ok(Self {
                inner,
                parser,
                header,
                version,
                buffer,
            }),
            // `poll_header` gives true only with a header; an error is still better than a panic.
            _ => Err(Error::parameter("reader state", "a header", "none")),
        }
    }

    /// The header.
    #[must_use]
    pub const fn header(&self) -> &Header {
        &self.header
    }

    /// The version that the stream was written in.
    #[must_use]
    pub const fn version(&self) -> Version {
        self.version
    }

    /// How far the reading has come. After `None` from a `next` function it says that the stream was complete; after
    /// an error, whether it was cut off or is damaged.
    #[must_use]
    pub const fn status(&self) -> Status {
        self.parser.status()
    }

    /// What has gone by of a stream; see [`Parser::so_far`].
    #[must_use]
    pub fn so_far(&self, stream: StreamId) -> Totals {
        self.parser.so_far(stream)
    }

    /// What the end record says of each stream, once it was read.
    #[must_use]
    pub fn ended(&self) -> Option<&[Totals]> {
        self.parser.ended()
    }

    /// Byte offset of the end of the end record, once it was read.
    #[must_use]
    pub const fn end_offset(&self) -> Option<u64> {
        self.parser.end_offset()
    }

    /// Where the chunk that came last lies.
    #[must_use]
    pub const fn last_chunk(&self) -> Option<&ChunkInfo> {
        self.parser.last_chunk()
    }

    /// The next chunk, or `None` after the last one. In [`ReadMode::Resync`] it passes over what is lost; see
    /// [`next_event`](Self::next_event).
    ///
    /// # Errors
    /// Any kind but [`Error::Parameter`]. A stream that was cut off gives all its complete chunks, then
    /// [`Error::Truncated`]. After an error other than [`Error::Io`] comes `None`.
    pub fn next_chunk(&mut self) -> Result<Option<Chunk>> {
        loop {
            match self.next_event()? {
                Some(Event::Chunk(chunk)) => return Ok(Some(chunk)),
                Some(_) => {}
                None => return Ok(None),
            }
        }
    }

    /// The next chunk as it is stored, or `None` after the last one; for tools that move chunks or drop planes.
    /// Compressed planes are not looked into: their checksums are right, but whoever wrote them may have been wrong.
    ///
    /// # Errors
    /// As for [`next_chunk`](Self::next_chunk).
    pub fn next_stored(&mut self) -> Result<Option<StoredChunk>> {
        loop {
            match self.pump(false)? {
                Some(Event::Stored(chunk)) => return Ok(Some(chunk)),
                Some(_) => {}
                None => return Ok(None),
            }
        }
    }

    /// The next chunk, or in [`ReadMode::Resync`] the next report of damage; `None` at the end.
    ///
    /// # Errors
    /// As for [`next_chunk`](Self::next_chunk).
    pub fn next_event(&mut self) -> Result<Option<Event>> {
        self.pump(true)
    }

    /// As [`next_event`](Self::next_event), with chunks as they are stored.
    ///
    /// # Errors
    /// As for [`next_chunk`](Self::next_chunk).
    pub fn next_stored_event(&mut self) -> Result<Option<Event>> {
        self.pump(false)
    }

    /// The header with its checksum.
    pub(crate) fn into_head(self) -> Result<Head> {
        // There is one, or reading would have failed; an error is still better than a panic.
        let head = self.parser.head().cloned();
        head.ok_or_else(|| Error::parameter("reader state", "a header", "none"))
    }

    /// Gives the input back. What was read ahead of the last chunk is lost.
    pub fn into_inner(self) -> R {
        self.inner
    }

    fn pump(&mut self, unpack: bool) -> Result<Option<Event>> {
        self.parser.set_unpack(unpack);
        loop {
            match self.parser.poll()? {
                Next::Event(event) => return Ok(Some(event)),
                Next::End => return Ok(None),
                Next::NeedInput => fill(&mut self.inner, &mut self.parser, &mut self.buffer)?,
            }
        }
    }
}

fn fill(inner: &mut impl Read, parser: &mut Parser, buffer: &mut [u8]) -> Result<()> {
    loop {
        match inner.read(buffer) {
            Ok(0) => parser.finish(),
            Ok(len) => parser.push(&buffer[..len.min(buffer.len())]),
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(source) => {
                return Err(Error::Io {
                    action: "read",
                    offset: parser.input_offset(),
                    source,
                });
            }
        }
        return Ok(());
    }
}

#[cfg(test)]
mod tests;

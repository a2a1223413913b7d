//! What comes out of a parser.

use std::ops::Range;

use crate::attachment::Attachment;
use crate::chunk::Chunk;
use crate::error::Error;
use crate::ground::StreamId;
use crate::metadata::{Chapter, Metadata};
use crate::packets::Packets;
use crate::stored::StoredChunk;

/// What a reader does about damage (LBIT §10).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum ReadMode {
    /// Stop at the first fault with an error.
    #[default]
    Strict,
    /// Report what is lost and go on at the next intact record. Damage to the magic or the header, limits, and features
    /// this reader does not know still end the reading.
    Resync,
    /// As [`Resync`](Self::Resync), but the start may be missing or damaged too: reading begins at the header or at the
    /// first copy of it. The first chunk that comes, whatever its number, counts as the beginning of its stream.
    Join,
}

/// How far the reading of a file has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Status {
    /// There may be more.
    Reading,
    /// The end record was read; in [`ReadMode::Strict`] all that it counts was read too.
    Complete {
        /// Whether the tail is there as well. Without it no chunk is missing, but seeking needs a scan.
        tail: bool,
    },
    /// The input ended before the end record.
    Truncated {
        /// Where the input ended.
        offset: u64,
    },
    /// Reading ended with another error.
    Failed,
}

/// A stretch of the file that could not be read.
#[derive(Debug)]
#[non_exhaustive]
pub struct Lost {
    /// Where it starts, as a byte offset from the start of the file.
    pub offset: u64,
    /// How long it is.
    pub bytes: u64,
    /// What is wrong with it.
    pub reason: Error,
}

/// What comes out of a file after its header.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event {
    /// The next chunk.
    Chunk(Chunk),
    /// The next chunk, not unpacked, if [`Parser::set_unpack`](crate::Parser::set_unpack) asked for that.
    Stored(StoredChunk),
    /// Packets of another codec.
    Packets(Packets),
    /// Keys and values about the file or a stream.
    Metadata(Metadata),
    /// The chapters of the file.
    Chapters(Vec<Chapter>),
    /// A file that goes along.
    Attachment(Attachment),
    /// Bytes that could not be read; never in [`ReadMode::Strict`].
    Lost(Lost),
    /// Chunks whose tokens are lost: their place was held by whoever wrote the file, or (never in
    /// [`ReadMode::Strict`]) they should have come before the next event and did not. They never have more frames in
    /// all than [`Limits::max_missing_frames`](crate::Limits::max_missing_frames).
    Missing {
        /// The stream that they belong to.
        stream: StreamId,
        /// Their numbers.
        chunks: Range<u64>,
        /// The indices of their frames.
        frames: Range<u64>,
    },
}

/// What a [`Parser`](crate::Parser) has to say.
#[derive(Debug)]
pub enum Next {
    /// It needs more bytes: [`Parser::push`](crate::Parser::push) some, or say that there are none with
    /// [`Parser::finish`](crate::Parser::finish).
    NeedInput,
    /// Something was read.
    Event(Event),
    /// The file is at its end; see [`Parser::status`](crate::Parser::status).
    End,
}

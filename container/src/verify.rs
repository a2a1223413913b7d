//! Whether a file is whole, in every byte that can be checked.

use std::io::{ErrorKind as IoErrorKind, Read, Seek, SeekFrom};

use crate::end::Totals;
use crate::error::{Error, Result};
use crate::header::{Header, Version};
use crate::index::{self, ChunkInfo};
use crate::limits::Limits;
use crate::parser::{Event, Next, Parser, ReadMode, Status};
use crate::problems::Problems;
use crate::reader::find_head;

/// Bytes asked for at a time.
const READ_LEN: usize = 1 << 16;

/// What [`verify`] found.
#[derive(Debug)]
#[non_exhaustive]
pub struct Verification {
    /// The header, if it or a copy of it could be read.
    pub header: Option<Header>,
    /// The version that the file was written in.
    pub version: Option<Version>,
    /// Bytes of the file.
    pub bytes: u64,
    /// Chunks that are intact: checksums, lengths, order, and tokens that can be unpacked.
    pub chunks: u64,
    /// Chunks whose tokens are lost: gaps in the numbers, and places that the file holds for what was lost earlier.
    pub lost_chunks: u64,
    /// Frames of those.
    pub lost_frames: u64,
    /// What the end record says of each stream.
    pub totals: Option<Vec<Totals>>,
    /// How the file ends.
    pub status: Status,
    /// What is wrong, in order; empty if the file is whole.
    pub problems: Problems<Error>,
}

impl Verification {
    /// Whether nothing is wrong and no tokens are lost.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.problems.is_empty() && self.lost_chunks == 0
    }
}

/// Reads a whole file and checks everything: each checksum, all lengths, the order of records, that tokens can be
/// unpacked, totals, digests and the index.
///
/// # Errors
/// [`Error::Io`]; anything else is in the result.
pub fn verify<R: Read>(input: R, limits: &Limits) -> Result<Verification> {
    run(input, limits, Parser::new(*limits, ReadMode::Join))
}

/// As [`verify`]; where the header is damaged and a copy of it is not, chunks before the copy are read as well.
///
/// # Errors
/// [`Error::Io`]; anything else is in the result.
pub fn verify_file<R: Read + Seek>(mut input: R, limits: &Limits) -> Result<Verification> {
    match find_head(&mut input, *limits) {
        Ok(head) => run(input, limits, Parser::with_head(*limits, head)),
        Err(error @ Error::Io { .. }) => Err(error),
        Err(_) => {
            input.seek(SeekFrom::Start(0)).map_err(|source| Error::Io {
                action: "read",
                offset: 0,
                source,
            })?;
            verify(input, limits)
        }
    }
}

/// Reads all of `input`; `lenient` is a parser that goes on after damage.
fn run<R: Read>(mut input: R, limits: &Limits, mut lenient: Parser) -> Result<Verification> {
    // One that stops at the first fault, for rules that only hold in a file without any; one that finds all faults.
    let mut strict = Strict::new(limits);
    let mut found = Verification {
        header: None,
        version: None,
        bytes: 0,
        chunks: 0,
        lost_chunks: 0,
        lost_frames: 0,
        totals: None,
        status: Status::Reading,
        problems: Problems::new(limits),
    };
    let mut buffer = vec![0; READ_LEN];
    loop {
        let len = match input.read(&mut buffer) {
            Ok(len) => len.min(buffer.len()),
            Err(error) if error.kind() == IoErrorKind::Interrupted => continue,
            Err(source) => {
                return Err(Error::Io {
                    action: "read",
                    offset: found.bytes,
                    source,
                });
            }
        };
        found.bytes += len as u64;
        for parser in [&mut strict.parser, &mut lenient] {
            match len {
                0 => parser.finish(),
                _ => parser.push(&buffer[..len]),
            }
        }
        strict.run();
        let done = found.take_all(&mut lenient);
        if len == 0 || done {
            break;
        }
    }
    found.header = lenient.header().cloned();
    found.version = lenient.version();
    found.totals = lenient.ended().map(<[Totals]>::to_vec);
    found.status = lenient.status();
    // What is wrong with the index is, also where the file holds places of lost chunks.
    if found.problems.is_empty() {
        let error = strict
            .index_error
            .or(strict.error.filter(|_| found.lost_chunks == 0));
        error.into_iter().for_each(|error| found.problems.push(error));
    }
    Ok(found)
}

impl Verification {
    /// Takes what `parser` has to say; true if it will say no more.
    fn take_all(&mut self, parser: &mut Parser) -> bool {
        loop {
            match parser.poll() {
                Ok(Next::NeedInput) => return false,
                Ok(Next::End) => return true,
                Ok(Next::Event(Event::Chunk(_))) => self.chunks += 1,
                Ok(Next::Event(Event::Lost(lost))) => self.problems.push(lost.reason),
                Ok(Next::Event(Event::Missing { chunks, frames, .. })) => {
                    self.lost_chunks += chunks.end - chunks.start;
                    self.lost_frames += frames.end - frames.start;
                }
                Ok(Next::Event(_)) => {}
                Err(error) => {
                    self.problems.push(error);
                    return true;
                }
            }
        }
    }
}

/// A strict reading that also compares the index with what it saw. It leaves the planes to the other reading: what is
/// wrong with them is found there, and none is unpacked twice.
struct Strict {
    parser: Parser,
    chunks: Vec<ChunkInfo>,
    error: Option<Error>,
    /// Of a file without any other.
    index_error: Option<Error>,
}

impl Strict {
    fn new(limits: &Limits) -> Self {
        let mut parser = Parser::new(*limits, ReadMode::Strict);
        parser.keep_index();
        parser.set_unpack(false);
        Self {
            parser,
            chunks: Vec::new(),
            error: None,
            index_error: None,
        }
    }

    fn run(&mut self) {
        while self.error.is_none() && self.index_error.is_none() {
            match self.parser.poll() {
                Ok(Next::Event(Event::Stored(_))) => {
                    self.chunks.extend(self.parser.last_chunk().copied());
                }
                Ok(Next::Event(_)) => {}
                Ok(Next::NeedInput) => return,
                Ok(Next::End) => {
                    self.index_error = self.compare_index().err();
                    return;
                }
                Err(error) => self.error = Some(error),
            }
        }
    }

    fn compare_index(&mut self) -> Result<()> {
        let Some((offset, payload)) = self.parser.take_index() else {
            return Ok(());
        };
        let index = index::decode(&payload, offset)?;
        let wrong = index
            .iter()
            .zip(&self.chunks)
            .find(|(entry, chunk)| entry != chunk);
        let (expected, found) = match wrong {
            None if index.len() == self.chunks.len() => return Ok(()),
            None => (
                format!("{} entries", self.chunks.len()),
                format!("{}", index.len()),
            ),
            Some((entry, chunk)) => (told(chunk), told(entry)),
        };
        Err(crate::error::Broken::new("index", expected, found).in_file(offset, None))
    }
}

/// All that an index says of a chunk.
fn told(chunk: &ChunkInfo) -> String {
    let ChunkInfo {
        head,
        offset,
        stored_len,
        bits,
        start,
    } = chunk;
    let key = if head.key { "key chunk" } else { "chunk" };
    format!(
        "{key} {} of {}, {stored_len} bytes at byte {offset}, {} frames from frame {}, {} latent frames, {bits} bits, segment \
         {}, start {start}",
        head.sequence, head.stream, head.frame_count, head.first_frame, head.latent_frames, head.segment
    )
}

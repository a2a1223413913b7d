//! Files that lost chunks, made of intact ones: for tests and research.

use std::io::{Read, Seek, SeekFrom, Write};

use super::{copy_rest, intact, write};
use crate::error::{Error, Result};
use crate::index::ChunkInfo;
use crate::limits::Limits;
use crate::parser::Event;
use crate::reader::Reader;
use crate::stored::StoredChunk;
use crate::units::PixelFrames;
use crate::writer::{Writer, WriterOptions};

/// How a chunk is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// Its record is left out, and all other bytes of the file stay as they are: what a channel does that loses
    /// packets. The end record still counts it, and the index points to where it was.
    LeaveOut,
    /// A lost chunk holds its place (LBIT §5.4), as in a file that was recovered from damage.
    Hold,
    /// This many of its most important planes stay, at least one: what a channel does that protects them best.
    KeepPlanes(u8),
}

/// What came of [`degrade`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Degraded {
    /// The chunks that were lost, or lost planes, as they were.
    pub lost: Vec<ChunkInfo>,
    /// Chunks of all streams of the input, lost ones included.
    pub chunks: u64,
    /// Their frames.
    pub frames: PixelFrames,
    /// Bytes of the output.
    pub bytes: u64,
}

/// Copies an intact file and loses those chunks that `choose` picks; it is asked for each in the order of the file.
/// Chunks that are lost already are not asked for.
///
/// # Errors
/// [`Error::Parameter`] if no plane is to stay. Any error of a strict [`Reader`](crate::Reader) or a [`Writer`].
pub fn degrade<R: Read + Seek, W: Write>(
    mut input: R,
    output: W,
    loss: Loss,
    mut choose: impl FnMut(&ChunkInfo) -> bool,
    limits: &Limits,
    options: WriterOptions,
) -> Result<(W, Degraded)> {
    if loss == Loss::KeepPlanes(0) {
        return Err(Error::parameter("planes to keep", "at least 1", 0));
    }
    let start = input.stream_position().map_err(|source| reading(0, source))?;
    let mut reader = Reader::new(&mut input, *limits)?;
    let mut listed = Vec::new();
    while reader.next_stored()?.is_some() {
        listed.extend(reader.last_chunk().copied());
    }
    let intact_chunks = listed.iter().filter(|chunk| !chunk.is_lost());
    let lost: Vec<ChunkInfo> = intact_chunks.filter(|chunk| choose(chunk)).copied().collect();
    input
        .seek(SeekFrom::Start(start))
        .map_err(|source| reading(0, source))?;
    let (output, bytes) = match loss {
        Loss::LeaveOut => leave_out(input, output, &lost)?,
        Loss::Hold => rewrite(input, output, &lost, limits, options, StoredChunk::lose)?,
        Loss::KeepPlanes(planes) => rewrite(input, output, &lost, limits, options, |chunk| {
            chunk.truncate_bits(planes);
        })?,
    };
    let degraded = Degraded {
        chunks: listed.len() as u64,
        frames: listed.iter().fold(PixelFrames(0), |sum, chunk| {
            PixelFrames(sum.0.saturating_add(chunk.frame_count.0))
        }),
        lost,
        bytes,
    };
    Ok((output, degraded))
}

fn reading(offset: u64, source: std::io::Error) -> Error {
    Error::Io {
        action: "read",
        offset,
        source,
    }
}

/// Copies all bytes but those of the records of `lost`, which are in the order of the file.
fn leave_out<R: Read, W: Write>(mut input: R, mut output: W, lost: &[ChunkInfo]) -> Result<(W, u64)> {
    let (mut at, mut written) = (0, 0);
    let mut buffer = vec![0; 1 << 16];
    let ends = lost.iter().map(|chunk| (chunk.offset, chunk.stored_len));
    // After the last record that is left out comes all the rest.
    for (offset, skipped) in ends.chain([(u64::MAX, 0)]) {
        for (until, keep) in [(offset, true), (offset.saturating_add(skipped), false)] {
            while at < until {
                let want = usize::try_from(until - at)
                    .unwrap_or(usize::MAX)
                    .min(buffer.len());
                let read = match input.read(&mut buffer[..want]) {
                    Ok(0) => break,
                    Ok(read) => read,
                    Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                    Err(source) => return Err(reading(at, source)),
                };
                at += read as u64;
                if keep {
                    output
                        .write_all(&buffer[..read])
                        .map_err(|source| writing(written, source))?;
                    written += read as u64;
                }
            }
        }
    }
    output.flush().map_err(|source| writing(written, source))?;
    Ok((output, written))
}

fn writing(offset: u64, source: std::io::Error) -> Error {
    Error::Io {
        action: "write",
        offset,
        source,
    }
}

/// Copies all records, those of `lost` by way of `change`.
fn rewrite<R: Read, W: Write>(
    input: R,
    output: W,
    lost: &[ChunkInfo],
    limits: &Limits,
    options: WriterOptions,
    change: impl Fn(&mut StoredChunk),
) -> Result<(W, u64)> {
    let mut reader = intact(input, limits)?;
    let mut writer = Writer::new(output, reader.header(), options)?;
    let mut lost = lost.iter().peekable();
    while let Some(event) = reader.next_stored_event()? {
        match event {
            Event::Stored(mut chunk) => {
                let here = |info: &&ChunkInfo| (info.stream, info.sequence) == (chunk.stream, chunk.sequence);
                if lost.next_if(here).is_some() {
                    change(&mut chunk);
                }
                write(&mut writer, &chunk, (reader.last_record().0, chunk.sequence))?;
            }
            other => copy_rest(&mut writer, &other)?,
        }
    }
    let (output, summary) = writer.finish()?;
    Ok((output, summary.bytes))
}

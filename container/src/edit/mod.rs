//! Making files out of files without touching tokens: trim, cut, concat, recover, degrade, and a new index.
//!
//! Chunks are copied as they are stored. Records of types that this crate does not know are left out, because nobody
//! can say whether they would still be true.

mod bursts;
mod concat;
mod cut;
mod degrade;
mod gap;
mod recover;
mod reindex;
mod trim;

use std::io::{Read, Write};

pub use bursts::Bursts;
pub use concat::concat;
pub use cut::cut;
pub use degrade::{Degraded, Loss, degrade};
pub use gap::{Border, Gap};
pub use recover::{Recovered, recover};
pub use reindex::reindex;
pub use trim::trim;

use crate::error::{Error, Result};
use crate::header::{Header, Stream};
use crate::limits::Limits;
use crate::parser::Event;
use crate::reader::Reader;
use crate::stored::StoredChunk;
use crate::units::PixelFrames;
use crate::writer::Writer;

/// Fails if `header` has streams that cannot be copied, because nobody knows what is in them.
fn check_known(header: &Header) -> Result<()> {
    match header
        .streams
        .iter()
        .find(|stream| matches!(stream, Stream::Unknown { .. }))
    {
        Some(Stream::Unknown { kind }) => Err(Error::parameter(
            "file to copy",
            "streams of tokens and of packets; recover it with a newer version of LatentBit",
            format!("one of kind {kind}"),
        )),
        _ => Ok(()),
    }
}

/// Copies everything that `reader` has left, chunks by way of `change`.
fn copy<R: Read, W: Write>(
    reader: &mut Reader<R>,
    writer: &mut Writer<W>,
    mut change: impl FnMut(&mut StoredChunk),
) -> Result<()> {
    while let Some(event) = reader.next_stored_event()? {
        match event {
            Event::Stored(mut chunk) => {
                change(&mut chunk);
                write(writer, &chunk, (reader.last_record().0, chunk.sequence))?;
            }
            other => copy_rest(writer, &other)?,
        }
    }
    Ok(())
}

/// Writes a chunk that was read at byte `from.0` with the number `from.1`. It is unpacked once, for the digest; if that
/// cannot be done the file that it is from is damaged, whatever its checksums say.
fn write<W: Write>(writer: &mut Writer<W>, chunk: &StoredChunk, from: (u64, u64)) -> Result<()> {
    let unpacked = match chunk.is_lost() || !writer.digests() {
        true => None,
        false => {
            let unpacked = chunk.unpacked();
            Some(unpacked.map_err(|broken| broken.in_file(from.0, Some(from.1)))?)
        }
    };
    writer.write_unpacked(chunk, unpacked.as_ref())
}

/// Copies what is no chunk.
fn copy_rest<W: Write>(writer: &mut Writer<W>, event: &Event) -> Result<()> {
    match event {
        Event::Packets(packets) => writer.write_packets(packets.stream, &packets.packets),
        Event::Metadata(metadata) => writer.write_metadata(metadata),
        Event::Chapters(chapters) => writer.write_chapters(chapters),
        Event::Attachment(attachment) => writer.write_attachment(attachment),
        _ => Ok(()),
    }
}

/// When a chunk ends, in ticks of its stream. Saturates.
fn end_time(chunk: &StoredChunk, frame_duration: u32) -> i64 {
    let PixelFrames(frames) = chunk.frame_count;
    chunk.times.of(frames, frame_duration)
}

/// A reader of an intact file.
fn intact<R: Read>(input: R, limits: &Limits) -> Result<Reader<R>> {
    let reader = Reader::new(input, *limits)?;
    check_known(reader.header())?;
    Ok(reader)
}

#[cfg(test)]
mod tests;

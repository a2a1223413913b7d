//! A new index for a file whose own is missing or damaged.

use std::io::{Read, Seek, SeekFrom, Write};

use crate::error::{Broken, Error, Result};
use crate::ground::StreamId;
use crate::index;
use crate::limits::Limits;
use crate::parser::{Event, ReadMode};
use crate::reader::Reader;
use crate::record::{self, Tag};

/// Copies a file up to its end record, byte for byte, and writes an index of its chunks after it. Gives the number of
/// bytes written.
///
/// # Errors
/// [`Error::Truncated`] if there is no end record, [`Error::Format`] if any chunk is damaged or missing: such a file
/// needs [`recover`](super::recover). [`Error::Limits`], [`Error::Unsupported`], [`Error::Io`].
pub fn reindex<R: Read + Seek, W: Write>(mut input: R, mut output: W, limits: &Limits) -> Result<u64> {
    let read_failed = |source| Error::Io {
        action: "read",
        offset: 0,
        source,
    };
    input.seek(SeekFrom::Start(0)).map_err(read_failed)?;
    let mut reader = Reader::with_mode(&mut input, *limits, ReadMode::Resync)?;
    let mut chunks = Vec::new();
    while let Some(event) = reader.next_stored_event()? {
        match event {
            Event::Stored(_) => chunks.extend(reader.last_chunk().copied()),
            // What comes after the end record is made anew.
            Event::Lost(lost) if reader.end_offset().is_none_or(|end| lost.offset < end) => {
                return Err(lost.reason);
            }
            Event::Missing { chunks, .. } => {
                let found = format!(
                    "chunks {} to {} missing",
                    chunks.start,
                    chunks.end.saturating_sub(1)
                );
                let expected = "all chunks; use recover";
                return Err(Broken::new("file", expected, found).in_file(0, Some(chunks.start)));
            }
            _ => {}
        }
    }
    let Some(end) = reader.end_offset() else {
        return Err(Error::Truncated {
            offset: 0,
            inside: "the stream",
            chunks: chunks.len() as u64,
            frames: reader.so_far(StreamId(0)).frames.0,
        });
    };
    input.seek(SeekFrom::Start(0)).map_err(read_failed)?;
    let write_failed = |source| Error::Io {
        action: "write",
        offset: 0,
        source,
    };
    std::io::copy(&mut input.take(end), &mut output).map_err(write_failed)?;

    let mut rest = Vec::new();
    let payload = index::encode(&chunks);
    let mut append = |tag, payload: &[u8]| {
        record::append(&mut rest, tag, StreamId::NONE, 0, payload).map_err(Broken::by_caller)?;
        Ok::<_, Error>(rest.len())
    };
    let len = append(Tag::INDEX, &payload)?;
    let place = u32::try_from(len).ok().map(|len| (end, len));
    append(Tag::TAIL, &index::encode_tail(place))?;
    output
        .write_all(&rest)
        .and_then(|()| output.flush())
        .map_err(write_failed)?;
    Ok(end + rest.len() as u64)
}

//! The index at the end of a stream, for readers that can seek (LBIT §7).

use std::io::{Read, Seek, SeekFrom};

use crate::chunk::Chunk;
use crate::error::{Broken, Error, Result};
use crate::fields::Fields;
use crate::header::Header;
use crate::limits::{Limits, within};
use crate::record::{CRC_LEN, HEADER_LEN, RECORD_VERSION, RecordHeader, Tag, check_crc};
use crate::stored::StoredChunk;
use crate::track::check_alone;
use crate::units::{LatentFrames, PixelFrames};

/// Bytes of the payload before the entries, and of one entry.
const PREFIX_LEN: usize = 8;
const ENTRY_LEN: usize = 28;

/// Bytes of the tail's payload, and of the whole record.
pub(crate) const TAIL_PAYLOAD_LEN: usize = 12;
pub(crate) const TAIL_LEN: u64 = (HEADER_LEN + TAIL_PAYLOAD_LEN + CRC_LEN) as u64;

/// More chunks than this are not indexed; 2^24 chunks are over four months of video.
pub(crate) const MAX_ENTRIES: usize = 1 << 24;

/// Where a chunk lies in the stream, and what is in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChunkInfo {
    /// Byte offset of its record.
    pub offset: u64,
    /// Bytes of its record, sync word and checksums included.
    pub stored_len: u64,
    /// Number in the stream, from 0.
    pub sequence: u64,
    /// Index of its first frame.
    pub first_frame: PixelFrames,
    /// Frames of the video in it.
    pub frame_count: PixelFrames,
    /// Latent frames in it.
    pub latent_frames: LatentFrames,
    /// Whether it starts a group.
    pub key: bool,
    /// Bits per token.
    pub bits: u8,
}

impl ChunkInfo {
    pub(crate) fn new(offset: u64, stored_len: u64, chunk: &StoredChunk) -> Self {
        Self {
            offset,
            stored_len,
            sequence: chunk.sequence,
            first_frame: chunk.first_frame,
            frame_count: chunk.frame_count,
            latent_frames: chunk.latent_frames,
            key: chunk.key,
            bits: chunk.bits(),
        }
    }
}

/// The payload of an index record; `None` if a number does not fit, in which case the stream goes without an index.
pub(crate) fn encode(chunks: &[ChunkInfo]) -> Option<Vec<u8>> {
    let count = u32::try_from(chunks.len()).ok()?;
    let mut out = Vec::with_capacity(PREFIX_LEN + chunks.len() * ENTRY_LEN);
    out.extend_from_slice(&(ENTRY_LEN as u16).to_le_bytes());
    out.extend_from_slice(&[0; 2]);
    out.extend_from_slice(&count.to_le_bytes());
    for chunk in chunks {
        out.extend_from_slice(&chunk.offset.to_le_bytes());
        out.extend_from_slice(&chunk.first_frame.0.to_le_bytes());
        out.extend_from_slice(&u32::try_from(chunk.stored_len).ok()?.to_le_bytes());
        out.extend_from_slice(&u32::try_from(chunk.frame_count.0).ok()?.to_le_bytes());
        out.extend_from_slice(&u16::try_from(chunk.latent_frames.0).ok()?.to_le_bytes());
        out.extend_from_slice(&[u8::from(chunk.key), chunk.bits]);
    }
    Some(out)
}

/// Reads the payload of an index record that starts at `offset`.
pub(crate) fn decode(payload: &[u8], offset: u64) -> Result<Vec<ChunkInfo>> {
    let mut fields = Fields::new(payload, offset, None);
    let entry_len = usize::from(fields.u16("length of an index entry")?);
    fields.u16("reserved field")?;
    let count = fields.u32("number of index entries")?;
    let whole = (count as usize).checked_mul(entry_len);
    if entry_len < ENTRY_LEN || whole != Some(fields.remaining()) {
        let expected = format!("{count} entries of at least {ENTRY_LEN} bytes to fill the payload");
        let found = format!("entries of {entry_len} bytes in {} bytes", fields.remaining());
        return Err(Broken::new("index", expected, found).in_file(offset, None));
    }
    let mut chunks: Vec<ChunkInfo> = Vec::with_capacity(count as usize);
    for sequence in 0..u64::from(count) {
        let at = fields.offset();
        let mut entry = Fields::new(fields.bytes(entry_len, "index entry")?, at, Some(sequence));
        let chunk = ChunkInfo {
            offset: entry.u64("index entry")?,
            first_frame: PixelFrames(entry.u64("index entry")?),
            stored_len: u64::from(entry.u32("index entry")?),
            frame_count: PixelFrames(u64::from(entry.u32("index entry")?)),
            latent_frames: LatentFrames(u64::from(entry.u16("index entry")?)),
            key: entry.u8("index entry")? & 1 != 0,
            bits: entry.u8("index entry")?,
            sequence,
        };
        // An index that jumps about would send a reader in circles.
        let (least_offset, next_frame) = chunks.last().map_or((0, Some(PixelFrames(0))), |last| {
            (
                last.offset.saturating_add(last.stored_len),
                last.first_frame.checked_add(last.frame_count),
            )
        });
        if chunk.offset < least_offset || Some(chunk.first_frame) != next_frame {
            let expected = "a chunk right behind the one before";
            let found = format!("frame {} at byte {}", chunk.first_frame, chunk.offset);
            return Err(Broken::new("index entry", expected, found).in_file(at, Some(sequence)));
        }
        chunks.push(chunk);
    }
    Ok(chunks)
}

/// The payload of a tail record; `index` is offset and length of the index record.
pub(crate) fn encode_tail(index: Option<(u64, u32)>) -> [u8; TAIL_PAYLOAD_LEN] {
    let (offset, len) = index.unwrap_or((0, 0));
    let mut out = [0; TAIL_PAYLOAD_LEN];
    out[..8].copy_from_slice(&offset.to_le_bytes());
    out[8..].copy_from_slice(&len.to_le_bytes());
    out
}

/// Reads the index of a file by way of its tail, without reading the chunks (LBIT §7.3).
///
/// `None` says that the file has no index, or no tail because it was cut off: use [`scan`](crate::scan) then.
/// The index is a shortcut: [`read_chunk_at`] checks each chunk that it points to. The position of `file` is
/// changed.
///
/// # Errors
/// [`Error::Format`] if tail or index are damaged, [`Error::Limits`] if the index is too large, [`Error::Io`].
pub fn read_index<R: Read + Seek>(file: &mut R, limits: &Limits) -> Result<Option<Vec<ChunkInfo>>> {
    let len = file.seek(SeekFrom::End(0)).map_err(|source| Error::Io {
        action: "read",
        offset: 0,
        source,
    })?;
    let Some(tail_at) = len.checked_sub(TAIL_LEN) else {
        return Ok(None);
    };
    let tail = read_at(file, tail_at, TAIL_LEN)?;
    let mut fields = Fields::new(&tail, tail_at, None);
    // A file that ends in anything but a tail was cut off or never finished: no error, just no index.
    let Ok(record) = RecordHeader::decode(&fields.array("tail")?) else {
        return Ok(None);
    };
    if record.tag != Tag::TAIL || record.payload_len as usize != TAIL_PAYLOAD_LEN {
        return Ok(None);
    }
    let payload = fields.bytes(TAIL_PAYLOAD_LEN, "tail")?;
    check_crc(
        "checksum of the tail",
        crc32fast::hash(payload),
        fields.bytes(CRC_LEN, "tail")?,
    )
    .map_err(|broken| broken.in_file(tail_at, None))?;
    let mut fields = Fields::new(payload, tail_at + HEADER_LEN as u64, None);
    let (index_at, index_len) = (fields.u64("tail")?, u64::from(fields.u32("tail")?));
    if (index_at, index_len) == (0, 0) {
        return Ok(None);
    }
    let frame_len = (HEADER_LEN + CRC_LEN) as u64;
    if index_len < frame_len || index_at.checked_add(index_len).is_none_or(|end| end > tail_at) {
        let found = format!("{index_len} bytes at byte {index_at}");
        return Err(
            Broken::new("place of the index", "a record before the tail", found).in_file(tail_at, None),
        );
    }
    let payload_len = index_len - frame_len;
    within(
        limits.max_index_bytes,
        "max_index_bytes",
        "length of the index",
        payload_len,
        index_at,
    )?;

    let bytes = read_at(file, index_at, index_len)?;
    let (record, payload) = whole_record(&bytes, index_at, Tag::INDEX, None)?;
    if record.version > RECORD_VERSION {
        return Ok(None);
    }
    let chunks = decode(payload, index_at + HEADER_LEN as u64)?;
    if chunks
        .last()
        .is_some_and(|last| last.offset.saturating_add(last.stored_len) > index_at)
    {
        let broken = Broken::new("index entry", "chunks before the index", "one behind it");
        return Err(broken.in_file(index_at, None));
    }
    Ok(Some(chunks))
}

/// Reads one chunk of a seekable file, as [`read_index`] or [`scan`](crate::scan) found it.
///
/// # Errors
/// [`Error::Format`] if there is no intact chunk, or not this one, at that place; [`Error::Limits`]; [`Error::Io`].
pub fn read_chunk_at<R: Read + Seek>(
    file: &mut R,
    header: &Header,
    info: &ChunkInfo,
    limits: &Limits,
) -> Result<Chunk> {
    let frame_len = (HEADER_LEN + CRC_LEN) as u64;
    let chunk = Some(info.sequence);
    let payload_len = info.stored_len.checked_sub(frame_len).ok_or_else(|| {
        Broken::new("length of a record", "at least 32 bytes", info.stored_len).in_file(info.offset, chunk)
    })?;
    within(
        limits.max_chunk_bytes,
        "max_chunk_bytes",
        "length of a chunk",
        payload_len,
        info.offset,
    )?;
    let bytes = read_at(file, info.offset, info.stored_len)?;
    let (record, payload) = whole_record(&bytes, info.offset, Tag::CHUNK, chunk)?;
    let stored = StoredChunk::decode(payload, info.offset + HEADER_LEN as u64, record.sequence, limits)?;
    let found = ChunkInfo::new(info.offset, info.stored_len, &stored);
    if found != *info {
        let (expected, found) = (format!("{info:?}"), format!("{found:?}"));
        return Err(Broken::new("chunk in the index", expected, found).in_file(info.offset, chunk));
    }
    check_alone(header, &stored)
        .and_then(|()| stored.try_unpack())
        .map_err(|broken| broken.in_file(info.offset, chunk))
}

/// Reads exactly `len` bytes, growing with what arrives, so that a false length costs nothing.
fn read_at<R: Read + Seek>(file: &mut R, offset: u64, len: u64) -> Result<Vec<u8>> {
    let failed = |source| Error::Io {
        action: "read",
        offset,
        source,
    };
    file.seek(SeekFrom::Start(offset)).map_err(failed)?;
    let mut bytes = Vec::new();
    file.take(len).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 != len {
        let found = format!("{} bytes until the end of the file", bytes.len());
        return Err(Broken::new("record", format!("{len} bytes"), found).in_file(offset, None));
    }
    Ok(bytes)
}

/// Checks that `bytes`, which lie at `offset`, are exactly one record of type `tag`; gives its payload.
fn whole_record(bytes: &[u8], offset: u64, tag: Tag, chunk: Option<u64>) -> Result<(RecordHeader, &[u8])> {
    let mut fields = Fields::new(bytes, offset, chunk);
    let record = RecordHeader::decode(&fields.array("record header")?)
        .map_err(|broken| broken.in_file(offset, chunk))?;
    if record.tag != tag || record.record_len() != bytes.len() as u64 {
        let expected = format!("{tag} of {} bytes", bytes.len());
        let found = format!("{} of {} bytes", record.tag, record.record_len());
        return Err(Broken::new("record", expected, found).in_file(offset, chunk));
    }
    if record.tag.is_critical() && (record.version > RECORD_VERSION || record.flags != 0) {
        return Err(Error::Unsupported {
            offset,
            what: "version or flags of a record",
            expected: format!("version {RECORD_VERSION}, no flags"),
            found: format!("version {}, flags {:#04x}", record.version, record.flags),
        });
    }
    let payload = fields.bytes(record.payload_len as usize, "record payload")?;
    check_crc(
        "payload checksum",
        crc32fast::hash(payload),
        fields.bytes(CRC_LEN, "payload checksum")?,
    )
    .map_err(|broken| broken.in_file(offset, chunk))?;
    Ok((record, payload))
}

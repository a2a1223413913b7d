//! The index at the end of a file, for readers that can seek (LBIT §8.2).

use std::collections::BTreeMap;
use std::io::{Read, Seek, SeekFrom};
use std::ops::{Deref, DerefMut};

use crate::chunk::{ChunkHead, has_head};
use crate::error::{Broken, Error, Result};
use crate::fields::{Fields, put_signed, put_varint};
use crate::ground::StreamId;
use crate::header::Header;
use crate::limits::{Limits, within};
use crate::record::{CRC_LEN, HEADER_LEN, RECORD_VERSION, RecordHeader, Tag, check_crc};
use crate::stored::{FIXED_LEN, StoredChunk};
use crate::track::check_alone;
use crate::units::{LatentFrames, PixelFrames};
use crate::work::spend;

/// Bytes that an entry takes at least.
const LEAST_ENTRY_LEN: usize = 9;

/// Bytes that the record of a chunk takes at least.
const LEAST_CHUNK_LEN: u64 = (HEADER_LEN + FIXED_LEN + CRC_LEN) as u64;

/// Flag of a chunk that starts a group.
const KEY: u8 = 1;

/// Bytes of the tail's payload, and of the whole record.
pub(crate) const TAIL_PAYLOAD_LEN: usize = 12;
pub(crate) const TAIL_LEN: u64 = (HEADER_LEN + TAIL_PAYLOAD_LEN + CRC_LEN) as u64;

/// More chunks than this are not indexed; 2^20 chunks are over six days of video.
pub(crate) const MAX_ENTRIES: usize = 1 << 20;

/// What is wrong where an intact chunk is not what its entry says.
pub(crate) const NOT_AS_INDEXED: &str = "chunk in the index";

/// Where a chunk lies in the file, and what is in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChunkInfo {
    /// Where it belongs.
    pub head: ChunkHead,
    /// Byte offset of its record; 0 if there is none.
    pub offset: u64,
    /// Bytes of its record, sync word and checksums included; 0 if there is none, because the chunk is missing.
    pub stored_len: u64,
    /// Bits per token; 0 if its tokens are lost.
    pub bits: u8,
    /// When its first frame is shown.
    pub start: i64,
}

has_head!(ChunkInfo);

impl ChunkInfo {
    /// Whether its tokens are lost, so that only its place is known.
    #[must_use]
    pub const fn is_lost(&self) -> bool {
        self.bits == 0
    }

    pub(crate) fn new(offset: u64, stored_len: u64, chunk: &StoredChunk) -> Self {
        Self {
            offset,
            stored_len,
            head: chunk.head,
            bits: chunk.bits(),
            start: chunk.times.start,
        }
    }
}

/// What an entry is told against: the chunk of its stream before it.
#[derive(Clone, Copy, Default)]
struct Before {
    sequence: u64,
    next_frame: PixelFrames,
    segment: u32,
    start: i64,
}

/// The payload of an index record.
pub(crate) fn encode(chunks: &[ChunkInfo]) -> Vec<u8> {
    let mut out = Vec::with_capacity(4 + chunks.len() * 12);
    put_varint(&mut out, chunks.len() as u64);
    let mut end = 0u64;
    let mut streams = BTreeMap::<StreamId, Before>::new();
    for chunk in chunks {
        let before = streams.entry(chunk.stream).or_default();
        put_varint(&mut out, u64::from(chunk.stream.0));
        // What lies between two chunks is told, so that entries stay short wherever in a file they are.
        put_varint(&mut out, chunk.offset.wrapping_sub(end));
        put_varint(&mut out, chunk.stored_len);
        put_varint(&mut out, chunk.frame_count.0);
        put_varint(&mut out, chunk.latent_frames.0);
        out.extend_from_slice(&[if chunk.key { KEY } else { 0 }, chunk.bits]);
        put_varint(&mut out, u64::from(chunk.segment.wrapping_sub(before.segment)));
        put_signed(&mut out, chunk.start.wrapping_sub(before.start));
        end = chunk.offset.wrapping_add(chunk.stored_len);
        (before.segment, before.start) = (chunk.segment, chunk.start);
    }
    out
}

/// Reads the payload of an index record that starts at `offset`.
pub(crate) fn decode(payload: &[u8], offset: u64) -> Result<Vec<ChunkInfo>> {
    let mut fields = Fields::new(payload, offset, None);
    let count = fields.varint("number of index entries")?;
    // Each entry stands for a chunk before the index. So the list takes little more memory than the file has bytes.
    let chunks = usize::try_from(offset / LEAST_CHUNK_LEN).unwrap_or(usize::MAX);
    let most = (fields.remaining() / LEAST_ENTRY_LEN).min(chunks);
    let count = usize::try_from(count).unwrap_or(usize::MAX);
    if count > most {
        let expected =
            format!("at most {most}, which is what the record and the file before it have room for");
        return Err(Broken::new("number of index entries", expected, count).in_file(offset, None));
    }
    let mut chunks = Vec::with_capacity(count);
    let mut end = 0u64;
    let mut streams = BTreeMap::<StreamId, Before>::new();
    for _ in 0..count {
        let at = fields.offset();
        let what = "index entry";
        let bad = |expected: &str, found: u64| Broken::new(what, expected, found).in_file(at, None);
        let stream = fields.varint(what)?;
        let stream = StreamId(u16::try_from(stream).map_err(|_| bad("a stream below 65536", stream))?);
        let gap = fields.varint(what)?;
        let stored_len = fields.varint(what)?;
        let before = streams.entry(stream).or_default();
        let offset = end
            .checked_add(gap)
            .ok_or_else(|| bad("an offset below 2^64", gap))?;
        let (frames, latent_frames) = (fields.varint(what)?, fields.varint(what)?);
        let [flags, bits] = fields.array(what)?;
        let chunk = ChunkInfo {
            head: ChunkHead {
                stream,
                sequence: before.sequence,
                first_frame: before.next_frame,
                frame_count: PixelFrames(frames),
                latent_frames: LatentFrames(latent_frames),
                key: flags & KEY != 0,
                segment: before.segment.wrapping_add(fields.varint(what)? as u32),
            },
            offset,
            stored_len,
            bits,
            start: before.start.wrapping_add(fields.signed(what)?),
        };
        end = chunk
            .offset
            .checked_add(stored_len)
            .ok_or_else(|| bad("an end below 2^64", stored_len))?;
        *before = Before {
            sequence: before.sequence + 1,
            next_frame: before
                .next_frame
                .checked_add(chunk.frame_count)
                .ok_or_else(|| bad("less than 2^64 frames in all", chunk.frame_count.0))?,
            segment: chunk.segment,
            start: chunk.start,
        };
        chunks.push(chunk);
    }
    fields.end("index")?;
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

/// An index and where its record lies.
pub(crate) struct Located {
    pub offset: u64,
    pub chunks: Vec<ChunkInfo>,
}

/// Reads the index of a file by way of its tail, without reading the chunks (LBIT §8.3). The position of `file` is changed.
///
/// `None` says that the file has no index, or no tail because it was cut off. The index is a shortcut:
/// [`read_stored_at`] checks each chunk that it points to.
///
/// # Errors
/// [`Error::Format`] if tail or index are damaged, [`Error::Limits`] if the index is too large, [`Error::Io`].
pub(crate) fn locate<R: Read + Seek>(file: &mut R, limits: &Limits) -> Result<Option<Located>> {
    let len = file_len(file)?;
    let Some(tail_at) = len.checked_sub(TAIL_LEN) else {
        return Ok(None);
    };
    let tail = read_at(file, tail_at, TAIL_LEN)?;
    let mut fields = Fields::new(&tail, tail_at, None);
    // A file that ends in anything but a tail was cut off or never finished: no error, just no index.
    let Ok(record) = RecordHeader::decode(&fields.array("tail")?) else {
        return Ok(None);
    };
    let tail = record.tag == Tag::TAIL && record.is_readable();
    if !tail || record.payload_len as usize != TAIL_PAYLOAD_LEN {
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
        None,
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
    Ok(Some(Located {
        offset: index_at,
        chunks,
    }))
}

/// Reads one chunk without unpacking it; it must have been written under a header with the checksum `header_crc`.
///
/// # Errors
/// [`Error::Format`] if there is no intact chunk, or not this one, at that place; [`Error::Limits`]; [`Error::Io`].
pub(crate) fn read_stored_at<R: Read + Seek>(
    file: &mut R,
    header: &Header,
    header_crc: u32,
    info: &ChunkInfo,
    limits: &Limits,
) -> Result<StoredChunk> {
    let frame_len = (HEADER_LEN + CRC_LEN) as u64;
    let (chunk, offset) = (Some(info.sequence), info.offset);
    let in_file = |broken: Broken| broken.in_file(offset, chunk);
    let video = header
        .video(info.stream)
        .ok_or_else(|| in_file(Broken::new("stream of a chunk", "one of tokens", info.stream)))?;
    let payload_len = info.stored_len.checked_sub(frame_len).ok_or_else(|| {
        in_file(Broken::new(
            "length of a record",
            "at least 32 bytes",
            info.stored_len,
        ))
    })?;
    let what = "length of a chunk";
    within(
        limits.max_chunk_bytes,
        "max_chunk_bytes",
        what,
        payload_len,
        offset,
        chunk,
    )?;
    let bytes = read_at(file, offset, info.stored_len)?;
    let (record, payload) = whole_record(&bytes, offset, Tag::CHUNK, chunk)?;
    let payload_at = offset + HEADER_LEN as u64;
    let (stored, crc) = StoredChunk::decode(
        payload,
        payload_at,
        record.stream,
        record.sequence,
        video.depth_step.is_some(),
        limits,
    )?;
    if header_crc != crc && !cfg!(fuzzing) {
        let expected = format!("{header_crc:08x}, that of this file");
        let found = format!("{crc:08x}, that of another one");
        return Err(in_file(Broken::new(
            "header checksum of a chunk",
            expected,
            found,
        )));
    }
    let found = ChunkInfo::new(offset, info.stored_len, &stored);
    if found != *info {
        let (expected, found) = (format!("{info:?}"), format!("{found:?}"));
        return Err(in_file(Broken::new(NOT_AS_INDEXED, expected, found)));
    }
    check_alone(video, &stored).map_err(in_file)?;
    Ok(stored)
}

/// How long a file is.
pub(crate) fn file_len<R: Seek>(file: &mut R) -> Result<u64> {
    file.seek(SeekFrom::End(0)).map_err(|source| Error::Io {
        action: "read",
        offset: 0,
        source,
    })
}

/// Reads exactly `len` bytes, growing with what arrives, so that a false length costs nothing.
pub(crate) fn read_at<R: Read + Seek>(file: &mut R, offset: u64, len: u64) -> Result<Vec<u8>> {
    let failed = |source| Error::Io {
        action: "read",
        offset,
        source,
    };
    file.seek(SeekFrom::Start(offset)).map_err(failed)?;
    let mut bytes = Vec::new();
    file.take(len).read_to_end(&mut bytes).map_err(failed)?;
    spend(bytes.len());
    if bytes.len() as u64 != len {
        let found = format!("{} bytes until the end of the file", bytes.len());
        return Err(Broken::new("record", format!("{len} bytes"), found).in_file(offset, None));
    }
    Ok(bytes)
}

/// Checks that `bytes`, which lie at `offset`, are exactly one record of type `tag`; gives its payload.
pub(crate) fn whole_record(
    bytes: &[u8],
    offset: u64,
    tag: Tag,
    chunk: Option<u64>,
) -> Result<(RecordHeader, &[u8])> {
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
            chunk,
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

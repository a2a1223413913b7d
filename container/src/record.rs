//! The frame around everything in a stream: sync word, type, lengths and checksums (LBIT §3).

use std::fmt;

use crate::error::Broken;
use crate::ground::StreamId;

/// The first eight bytes of every `.lbit` stream (LBIT §2).
///
/// The first byte is not ASCII and the line ends would not survive a transfer as text, nor would the lone LF of
/// the sync word that comes next.
pub const MAGIC: [u8; 8] = *b"\x8cLBIT\r\n\x1a";

/// The four bytes that start every record (LBIT §3.1).
pub const SYNC: [u8; 4] = *b"\xa7LB\n";

pub(crate) const HEADER_LEN: usize = 28;
pub(crate) const CRC_LEN: usize = 4;

/// The highest record version that this crate reads, and the one it writes.
pub(crate) const RECORD_VERSION: u8 = 0;

/// A record type: four ASCII letters or digits, of which the first is a letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tag(pub [u8; 4]);

impl Tag {
    pub const HEAD: Self = Self(*b"HEAD");
    pub const CHUNK: Self = Self(*b"CHNK");
    pub const END: Self = Self(*b"ENDS");
    pub const INDEX: Self = Self(*b"indx");
    pub const TAIL: Self = Self(*b"tail");
    pub const HEAD_COPY: Self = Self(*b"head");
    pub const PACKETS: Self = Self(*b"pack");
    pub const METADATA: Self = Self(*b"meta");
    pub const CHAPTERS: Self = Self(*b"chap");
    pub const ATTACHMENT: Self = Self(*b"atch");

    /// Whether a reader that does not know the type must give up; else it skips the record.
    pub const fn is_critical(self) -> bool {
        self.0[0].is_ascii_uppercase()
    }

    fn is_valid(self) -> bool {
        self.0[0].is_ascii_alphabetic() && self.0.iter().all(u8::is_ascii_alphanumeric)
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`", self.0.escape_ascii())
    }
}

/// The fixed start of a record, sync word and checksum left out.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RecordHeader {
    pub tag: Tag,
    pub version: u8,
    pub flags: u8,
    /// The stream that it belongs to, or [`StreamId::NONE`].
    pub stream: StreamId,
    pub payload_len: u32,
    /// Records of the same type and stream before this one.
    pub sequence: u64,
}

impl RecordHeader {
    pub fn encode(&self) -> [u8; HEADER_LEN] {
        let mut out = [0; HEADER_LEN];
        out[..4].copy_from_slice(&SYNC);
        out[4..8].copy_from_slice(&self.tag.0);
        out[8] = self.version;
        out[9] = self.flags;
        out[10..12].copy_from_slice(&self.stream.0.to_le_bytes());
        out[12..16].copy_from_slice(&self.payload_len.to_le_bytes());
        out[16..24].copy_from_slice(&self.sequence.to_le_bytes());
        let crc = crc32fast::hash(&out[..24]);
        out[24..].copy_from_slice(&crc.to_le_bytes());
        out
    }

    pub fn decode(bytes: &[u8; HEADER_LEN]) -> Result<Self, Broken> {
        let (fields, crc) = bytes.split_at(24);
        if fields[..4] != SYNC {
            return Err(bad_sync(&fields[..4]));
        }
        check_crc("record header checksum", crc32fast::hash(fields), crc)?;
        let tag = Tag([fields[4], fields[5], fields[6], fields[7]]);
        if !tag.is_valid() {
            return Err(Broken::new("record type", "four ASCII letters or digits", tag));
        }
        let mut payload_len = [0; 4];
        payload_len.copy_from_slice(&fields[12..16]);
        let mut sequence = [0; 8];
        sequence.copy_from_slice(&fields[16..24]);
        Ok(Self {
            tag,
            version: fields[8],
            flags: fields[9],
            stream: StreamId(u16::from_le_bytes([fields[10], fields[11]])),
            payload_len: u32::from_le_bytes(payload_len),
            sequence: u64::from_le_bytes(sequence),
        })
    }

    /// The number of the chunk, if it is one.
    pub fn chunk(&self) -> Option<u64> {
        (self.tag == Tag::CHUNK).then_some(self.sequence)
    }

    /// Whether this crate reads its payload while it goes through a file; if not, the record is skipped. The index is
    /// read from behind.
    pub fn is_known(&self) -> bool {
        let critical = matches!(self.tag, Tag::HEAD | Tag::CHUNK | Tag::END);
        let ancillary = matches!(
            self.tag,
            Tag::TAIL | Tag::HEAD_COPY | Tag::PACKETS | Tag::METADATA | Tag::CHAPTERS | Tag::ATTACHMENT
        );
        critical || (ancillary && self.is_readable())
    }

    /// Whether it is of a version, and without flags, that this crate can read.
    pub fn is_readable(&self) -> bool {
        self.version == RECORD_VERSION && self.flags == 0
    }

    /// Bytes of the whole record.
    pub fn record_len(&self) -> u64 {
        HEADER_LEN as u64 + u64::from(self.payload_len) + CRC_LEN as u64
    }
}

/// What to say of bytes that should be a sync word; `found` may be shorter than one.
pub(crate) fn bad_sync(found: &[u8]) -> Broken {
    Broken::new("sync word", hex(&SYNC), hex(found))
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect::<Vec<_>>()
        .join(" ")
}

/// Compares a checksum with its stored form (LBIT §3.3).
pub(crate) fn check_crc(what: &'static str, computed: u32, stored: &[u8]) -> Result<(), Broken> {
    // A fuzzer cannot guess checksums; with them on it would never get past the first record.
    if cfg!(fuzzing) || stored == computed.to_le_bytes() {
        return Ok(());
    }
    let mut found = [0; 4];
    for (to, from) in found.iter_mut().zip(stored) {
        *to = *from;
    }
    Err(Broken::new(
        what,
        format!("{computed:08x}"),
        format!("{:08x}", u32::from_le_bytes(found)),
    ))
}

/// Appends a whole record to `out`.
pub(crate) fn append(
    out: &mut Vec<u8>,
    tag: Tag,
    stream: StreamId,
    sequence: u64,
    payload: &[u8],
) -> Result<(), Broken> {
    let payload_len = u32::try_from(payload.len())
        .map_err(|_| Broken::new("record payload", "at most 4294967295 bytes", payload.len()))?;
    let header = RecordHeader {
        tag,
        version: RECORD_VERSION,
        flags: 0,
        stream,
        payload_len,
        sequence,
    };
    out.extend_from_slice(&header.encode());
    out.extend_from_slice(payload);
    out.extend_from_slice(&crc32fast::hash(payload).to_le_bytes());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksum_is_the_one_of_the_specification() {
        assert_eq!(crc32fast::hash(b"123456789"), 0xcbf4_3926);
    }

    #[test]
    fn header_round_trip() {
        let header = RecordHeader {
            tag: Tag::CHUNK,
            version: 0,
            flags: 0,
            stream: StreamId(9),
            payload_len: 77,
            sequence: 1 << 40,
        };
        let decoded = RecordHeader::decode(&header.encode()).unwrap();
        assert!(decoded.tag == Tag::CHUNK);
        assert_eq!((decoded.payload_len, decoded.sequence), (77, 1 << 40));
        assert_eq!(decoded.stream, StreamId(9));
        assert_eq!(decoded.record_len(), 28 + 77 + 4);
    }

    #[test]
    fn every_bit_of_a_header_is_checked() {
        let header = RecordHeader {
            tag: Tag::HEAD,
            version: 0,
            flags: 0,
            stream: StreamId::NONE,
            payload_len: 9,
            sequence: 3,
        };
        for bit in 0..HEADER_LEN * 8 {
            let mut bytes = header.encode();
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(RecordHeader::decode(&bytes).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn critical_by_the_first_letter() {
        assert!(Tag::HEAD.is_critical() && Tag::CHUNK.is_critical() && Tag::END.is_critical());
        assert!(!Tag::INDEX.is_critical() && !Tag::TAIL.is_critical());
        assert!(!Tag(*b"1abc").is_valid() && !Tag(*b"ab c").is_valid());
    }
}

//! Records put together by hand, for what the writer would refuse to write (LBIT §3).

pub const MAGIC_LEN: usize = 8;
pub const NONE: u16 = 0xffff;

/// A record with right checksums.
pub fn record(tag: &[u8; 4], stream: u16, sequence: u64, payload: &[u8]) -> Vec<u8> {
    with_version(tag, 0, 0, stream, sequence, payload)
}

/// A record of any version and flags, with right checksums.
pub fn with_version(
    tag: &[u8; 4],
    version: u8,
    flags: u8,
    stream: u16,
    sequence: u64,
    payload: &[u8],
) -> Vec<u8> {
    let mut out = b"\xa7LB\n".to_vec();
    out.extend_from_slice(tag);
    out.extend_from_slice(&[version, flags]);
    out.extend_from_slice(&stream.to_le_bytes());
    out.extend_from_slice(&(payload.len() as u32).to_le_bytes());
    out.extend_from_slice(&sequence.to_le_bytes());
    out.extend_from_slice(&crc32fast::hash(&out).to_le_bytes());
    out.extend_from_slice(payload);
    out.extend_from_slice(&crc32fast::hash(payload).to_le_bytes());
    out
}

/// One record of an intact file.
#[derive(Clone, Debug)]
pub struct Record {
    pub tag: [u8; 4],
    pub stream: u16,
    pub sequence: u64,
    pub payload: Vec<u8>,
}

impl Record {
    pub fn bytes(&self) -> Vec<u8> {
        record(&self.tag, self.stream, self.sequence, &self.payload)
    }
}

/// The records of an intact file.
pub fn split(bytes: &[u8]) -> Vec<Record> {
    let mut rest = &bytes[MAGIC_LEN..];
    let mut records = Vec::new();
    while !rest.is_empty() {
        let len = u32::from_le_bytes(rest[12..16].try_into().unwrap()) as usize;
        records.push(Record {
            tag: rest[4..8].try_into().unwrap(),
            stream: u16::from_le_bytes(rest[10..12].try_into().unwrap()),
            sequence: u64::from_le_bytes(rest[16..24].try_into().unwrap()),
            payload: rest[28..28 + len].to_vec(),
        });
        rest = &rest[28 + len + 4..];
    }
    records
}

/// A file of these records, with right checksums and what depends on the header set right in chunks.
pub fn join(records: &[Record]) -> Vec<u8> {
    let mut out = b"\x8cLBIT\r\n\x1a".to_vec();
    records.iter().for_each(|record| out.extend(record.bytes()));
    out
}

/// The number of the first record of a type.
pub fn find(records: &[Record], tag: &[u8; 4]) -> usize {
    records.iter().position(|record| record.tag == *tag).unwrap()
}

/// The chunk of a number.
pub fn chunk(records: &mut [Record], number: u64) -> &mut Record {
    records
        .iter_mut()
        .find(|record| record.tag == *b"CHNK" && record.sequence == number)
        .unwrap()
}

//! The end record: what the file held (LBIT §8.1).

use std::io::{Read, Seek};

use sha2::{Digest as _, Sha256};

use crate::error::{Broken, Result};
use crate::fields::Fields;
use crate::ground::TokenGrid;
use crate::header::Header;
use crate::index::{file_len, read_at, whole_record};
use crate::record::{CRC_LEN, HEADER_LEN, SYNC, Tag};
use crate::units::PixelFrames;

/// Bytes of the payload before the totals, and of the totals of a stream.
const START_LEN: usize = 4;
const TOTALS_LEN: usize = 48;

/// What one stream of a file holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Frames of a stream of tokens, else 0.
    pub frames: PixelFrames,
    /// Chunks of a stream of tokens, or packet records.
    pub chunks: u64,
    /// SHA-256 of the contents, whatever coder stored them (LBIT §8.1); none if it was not computed.
    pub digest: Option<[u8; 32]>,
}

/// Bytes of the end record of a file with `streams` streams.
pub(crate) const fn record_len(streams: usize) -> u64 {
    (HEADER_LEN + START_LEN + TOTALS_LEN * streams + CRC_LEN) as u64
}

/// The digest of a stream: SHA-256 over its contents in order, whatever coder stored them (LBIT §8.1).
#[derive(Clone, Debug, Default)]
pub(crate) struct Digest(Sha256);

impl Digest {
    /// Takes a chunk in: its number of bits and sides, then its packed planes.
    pub fn chunk(&mut self, grid: TokenGrid, bits: u8, packed: &[u8]) {
        self.0.update([bits]);
        for side in [grid.t, grid.h, grid.w] {
            self.0.update(side.to_le_bytes());
        }
        self.0.update(packed);
    }

    /// Takes the data of a packet in, after its length.
    pub fn packet(&mut self, data: &[u8]) {
        self.0.update((data.len() as u64).to_le_bytes());
        self.0.update(data);
    }

    pub fn finish(&self) -> [u8; 32] {
        self.0.clone().finalize().into()
    }
}

/// The payload of an end record, for all streams in order.
pub(crate) fn encode(streams: &[Totals]) -> Result<Vec<u8>, Broken> {
    let count = u16::try_from(streams.len())
        .map_err(|_| Broken::new("number of streams", "less than 65536", streams.len()))?;
    let mut out = Vec::with_capacity(START_LEN + TOTALS_LEN * streams.len());
    out.extend_from_slice(&count.to_le_bytes());
    out.extend_from_slice(&[0; 2]);
    for totals in streams {
        out.extend_from_slice(&totals.frames.0.to_le_bytes());
        out.extend_from_slice(&totals.chunks.to_le_bytes());
        out.extend_from_slice(&totals.digest.unwrap_or_default());
    }
    Ok(out)
}

/// Reads the payload of an end record of a file with `streams` streams.
pub(crate) fn decode(payload: &[u8], offset: u64, streams: usize) -> Result<Vec<Totals>> {
    let mut fields = Fields::new(payload, offset, None);
    let count = fields.u16("number of streams")?;
    if usize::from(count) != streams {
        let expected = format!("{streams} as in the header");
        return Err(
            Broken::new("number of streams in the end record", expected, count).in_file(offset, None),
        );
    }
    fields.u16("reserved field")?;
    (0..count)
        .map(|_| {
            Ok(Totals {
                frames: PixelFrames(fields.u64("number of frames")?),
                chunks: fields.u64("number of chunks")?,
                digest: Some(fields.array("digest")?).filter(|digest| *digest != [0; 32]),
            })
        })
        .collect()
    // Later minor versions append fields.
}

/// What the end record says of each stream of a file that ends in one, without reading the chunks (LBIT §8.1).
///
/// A file of one chunk needs no index, so this tells what [`read_index`](crate::read_index) cannot. `None` says that the
/// file ends in something else: it was cut off, has a tail, or was written in a later version. The position of `file` is
/// changed.
///
/// # Errors
/// [`Error::Format`](crate::Error::Format) if the record is damaged, [`Error::Unsupported`](crate::Error::Unsupported) if it is of a later kind, [`Error::Io`](crate::Error::Io).
pub fn read_totals<R: Read + Seek>(file: &mut R, header: &Header) -> Result<Option<Vec<Totals>>> {
    let streams = header.streams.len();
    let record_len = record_len(streams);
    let Some(offset) = file_len(file)?.checked_sub(record_len) else {
        return Ok(None);
    };
    let bytes = read_at(file, offset, record_len)?;
    let start: Vec<u8> = SYNC.iter().chain(&Tag::END.0).copied().collect();
    if !bytes.starts_with(&start) {
        return Ok(None);
    }
    let (_, payload) = whole_record(&bytes, offset, Tag::END, None)?;
    decode(payload, offset + HEADER_LEN as u64, streams).map(Some)
}

//! The end record: what the file held (LBIT §8.1).

use sha2::{Digest as _, Sha256};

use crate::error::{Broken, Result};
use crate::fields::Fields;
use crate::ground::TokenGrid;
use crate::stored::Unpacked;
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

/// The digest of a stream: SHA-256 over its contents in order, whatever coder stored them (LBIT §8.1).
#[derive(Clone, Debug, Default)]
pub(crate) struct Digest(Sha256);

impl Digest {
    /// Takes a chunk in: its number of bits and sides, its depths if it has any, then its packed planes.
    pub fn chunk(&mut self, grid: TokenGrid, chunk: &Unpacked) {
        self.0.update([chunk.bits]);
        for side in [grid.t, grid.h, grid.w] {
            self.0.update(side.to_le_bytes());
        }
        if let Some(depths) = &chunk.depths {
            self.0.update(&depths.values);
        }
        self.0.update(&chunk.packed);
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

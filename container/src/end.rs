//! The end record: what the file held (LBIT §8.1).

use crate::error::{Broken, Result};
use crate::fields::Fields;
use crate::units::PixelFrames;

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

/// The payload of an end record, for all streams in order.
pub(crate) fn encode(streams: &[Totals]) -> Result<Vec<u8>, Broken> {
    let count = u16::try_from(streams.len())
        .map_err(|_| Broken::new("number of streams", "less than 65536", streams.len()))?;
    let mut out = Vec::with_capacity(4 + 48 * streams.len());
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

//! Chunks as they lie in the stream: plane by plane, each stored raw or as a zstd frame (LBIT §5).

use crate::bits::{pack_planes, padding_is_zero, plane_len, unpack_planes};
use crate::chunk::{Chunk, TokenGrid, Tokens};
use crate::error::{Broken, Error, Result};
use crate::fields::Fields;
use crate::limits::{Limits, within};
use crate::units::{LatentFrames, PixelFrames};
use crate::writer::Compression;

/// Flag of a chunk that starts a group.
const KEY: u8 = 1;

/// Bytes of a chunk's payload before the table of planes.
const FIXED_LEN: usize = 28;

/// How the bytes of a plane are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PlaneCodec {
    /// As they are.
    Raw,
    /// As one zstd frame.
    Zstd,
}

/// One bit-plane as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredPlane {
    /// How `bytes` are to be read.
    pub codec: PlaneCodec,
    /// The stored bytes.
    pub bytes: Vec<u8>,
}

/// A chunk whose planes have not been unpacked.
///
/// Planes can be dropped and chunks moved from file to file without unpacking them:
/// see [`Reader::next_stored`](crate::Reader::next_stored) and
/// [`Writer::write_stored`](crate::Writer::write_stored).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredChunk {
    /// Number in the stream, from 0.
    pub sequence: u64,
    /// Index of its first frame in the stream.
    pub first_frame: PixelFrames,
    /// Frames of the video in it.
    pub frame_count: PixelFrames,
    /// Latent frames in it.
    pub latent_frames: LatentFrames,
    /// Whether it starts a group.
    pub key: bool,
    /// Sides of its block of tokens.
    pub grid: TokenGrid,
    /// Its planes, the most important first; 1 to 64.
    pub planes: Vec<StoredPlane>,
}

impl StoredChunk {
    /// Packs the tokens of `chunk`; each plane is compressed only if that makes it smaller.
    ///
    /// # Errors
    /// [`Error::Parameter`] if the tokens break a rule of [`Tokens::validate`] or zstd refuses the level.
    pub fn pack(chunk: &Chunk, compression: Compression) -> Result<Self> {
        chunk.tokens.validate()?;
        let packed = pack_planes(&chunk.tokens.values, chunk.tokens.bits);
        let mut compressor = match compression {
            Compression::Raw => None,
            Compression::Zstd { level } => Some(new_compressor(level)?),
        };
        let len = plane_len(chunk.tokens.values.len());
        let mut planes = Vec::with_capacity(usize::from(chunk.tokens.bits));
        for plane in packed.chunks_exact(len.max(1)) {
            let smaller =
                match &mut compressor {
                    None => None,
                    Some(zstd) => Some(zstd.compress(plane).map_err(|error| {
                        Error::parameter("bit-plane", "bytes that zstd can compress", error)
                    })?)
                    .filter(|frame| frame.len() < len),
                };
            planes.push(match smaller {
                Some(bytes) => StoredPlane {
                    codec: PlaneCodec::Zstd,
                    bytes,
                },
                None => StoredPlane {
                    codec: PlaneCodec::Raw,
                    bytes: plane.to_vec(),
                },
            });
        }
        Ok(Self {
            sequence: chunk.sequence,
            first_frame: chunk.first_frame,
            frame_count: chunk.frame_count,
            latent_frames: chunk.latent_frames,
            key: chunk.key,
            grid: chunk.tokens.grid,
            planes,
        })
    }

    /// Bits per token.
    #[must_use]
    pub fn bits(&self) -> u8 {
        u8::try_from(self.planes.len()).unwrap_or(u8::MAX)
    }

    /// Keeps the `bits` most important planes, at least one; does nothing if there are no more than that.
    pub fn truncate_bits(&mut self, bits: u8) {
        self.planes.truncate(usize::from(bits).max(1));
    }

    /// Unpacks the tokens.
    ///
    /// # Errors
    /// [`Error::Parameter`] if a plane does not hold what the grid asks for; a chunk from a
    /// [`Reader`](crate::Reader) fails only in its compressed planes.
    pub fn unpack(&self) -> Result<Chunk> {
        self.try_unpack().map_err(Broken::by_caller)
    }

    /// Allocates only what the grid asks for, which whoever made `self` must have checked.
    pub(crate) fn try_unpack(&self) -> Result<Chunk, Broken> {
        let tokens = self.grid.len();
        let len = plane_len(tokens);
        let total = len
            .checked_mul(self.planes.len())
            .filter(|_| !self.grid.is_empty() && (1..=64).contains(&self.planes.len()))
            .ok_or_else(|| Broken::new("token grid", "a grid that fits in memory", self.grid))?;
        // Lengths of raw planes are compared before anything is allocated; those of zstd frames are in the frame.
        for plane in &self.planes {
            let unpacked = match plane.codec {
                PlaneCodec::Raw => plane.bytes.len() as u64,
                PlaneCodec::Zstd => frame_content(&plane.bytes)?,
            };
            if unpacked != len as u64 {
                return Err(Broken::new(
                    "length of a bit-plane",
                    format!("{len} bytes"),
                    unpacked,
                ));
            }
        }
        let mut packed = vec![0; total];
        let mut decompressor = None;
        for (to, plane) in packed.chunks_exact_mut(len).zip(&self.planes) {
            match plane.codec {
                PlaneCodec::Raw => to.copy_from_slice(&plane.bytes),
                PlaneCodec::Zstd => decompress(&mut decompressor, &plane.bytes, to)?,
            }
            if !padding_is_zero(to, tokens) {
                return Err(Broken::new(
                    "bit-plane",
                    "zero bits after the last token",
                    "others",
                ));
            }
        }
        Ok(Chunk {
            sequence: self.sequence,
            first_frame: self.first_frame,
            frame_count: self.frame_count,
            latent_frames: self.latent_frames,
            key: self.key,
            tokens: Tokens {
                grid: self.grid,
                bits: self.bits(),
                values: unpack_planes(&packed, tokens),
            },
        })
    }

    pub(crate) fn encode(&self) -> Result<Vec<u8>, Broken> {
        let frames = u32::try_from(self.frame_count.0)
            .map_err(|_| Broken::new("frames of a chunk", "less than 2^32", self.frame_count))?;
        let latent = u16::try_from(self.latent_frames.0)
            .map_err(|_| Broken::new("latent frames of a chunk", "less than 65536", self.latent_frames))?;
        if !(1..=64).contains(&self.planes.len()) {
            return Err(Broken::new("bits per token", "1 to 64", self.planes.len()));
        }
        let len = plane_len(self.grid.len());
        let stored: usize = self.planes.iter().map(|plane| plane.bytes.len()).sum();
        let mut out = Vec::with_capacity(FIXED_LEN + self.planes.len() * 5 + stored);
        out.extend_from_slice(&self.first_frame.0.to_le_bytes());
        out.extend_from_slice(&frames.to_le_bytes());
        out.extend_from_slice(&latent.to_le_bytes());
        out.extend_from_slice(&[if self.key { KEY } else { 0 }, self.bits()]);
        for side in [self.grid.t, self.grid.h, self.grid.w] {
            out.extend_from_slice(&side.to_le_bytes());
        }
        out.extend(self.planes.iter().map(|plane| match plane.codec {
            PlaneCodec::Raw => 0,
            PlaneCodec::Zstd => 1,
        }));
        for plane in &self.planes {
            let stored = plane.bytes.len();
            match plane.codec {
                PlaneCodec::Raw if stored == len => {}
                PlaneCodec::Zstd if (1..len).contains(&stored) => match u32::try_from(stored) {
                    Ok(stored) => out.extend_from_slice(&stored.to_le_bytes()),
                    Err(_) => return Err(Broken::new("stored bit-plane", "less than 4 GiB", stored)),
                },
                PlaneCodec::Raw => {
                    return Err(Broken::new("raw bit-plane", format!("{len} bytes"), stored));
                }
                PlaneCodec::Zstd => {
                    return Err(Broken::new(
                        "compressed bit-plane",
                        format!("1 to {} bytes", len - 1),
                        stored,
                    ));
                }
            }
        }
        for plane in &self.planes {
            out.extend_from_slice(&plane.bytes);
        }
        Ok(out)
    }

    /// Reads the payload of a chunk record that starts at `offset`. Everything but the insides of zstd frames is
    /// checked, and nothing larger than the payload is allocated.
    pub(crate) fn decode(payload: &[u8], offset: u64, sequence: u64, limits: &Limits) -> Result<Self> {
        let chunk = Some(sequence);
        let mut fields = Fields::new(payload, offset, chunk);
        let first_frame = PixelFrames(fields.u64("first frame")?);
        let frame_count = PixelFrames(u64::from(fields.u32("frame count")?));
        let latent_frames = LatentFrames(u64::from(fields.u16("latent frames")?));
        let at = fields.offset();
        let flags = fields.u8("chunk flags")?;
        if flags & !KEY != 0 {
            let (expected, found) = (format!("{KEY:#04x}"), format!("{flags:#04x}"));
            return Err(Error::Unsupported {
                offset: at,
                what: "chunk flags",
                expected,
                found,
            });
        }
        let at = fields.offset();
        let bits = fields.u8("bits per token")?;
        if !(1..=64).contains(&bits) {
            return Err(Broken::new("bits per token", "1 to 64", bits).in_file(at, chunk));
        }
        let at = fields.offset();
        let grid = TokenGrid {
            t: fields.u32("token grid")?,
            h: fields.u32("token grid")?,
            w: fields.u32("token grid")?,
        };
        let tokens = grid.checked_len().filter(|&tokens| tokens > 0);
        let Some(tokens) = tokens else {
            return Err(Broken::new("token grid", "1 to 2^64 - 1 tokens", grid).in_file(at, chunk));
        };
        within(
            limits.max_chunk_tokens,
            "max_chunk_tokens",
            "number of tokens",
            tokens,
            at,
        )?;
        let len = tokens.div_ceil(8);
        let unpacked = len.saturating_mul(u64::from(bits));
        within(
            limits.max_chunk_bytes,
            "max_chunk_bytes",
            "unpacked length of a chunk",
            unpacked,
            at,
        )?;

        let codecs_at = fields.offset();
        let codecs = fields.bytes(usize::from(bits), "table of bit-planes")?;
        let mut table = Vec::with_capacity(codecs.len());
        for (number, &codec) in (0..).zip(codecs) {
            let at = fields.offset();
            table.push(match codec {
                0 => (PlaneCodec::Raw, len),
                1 => {
                    let stored = u64::from(fields.u32("length of a bit-plane")?);
                    if stored == 0 || stored >= len {
                        let expected = format!("1 to {} bytes", len.saturating_sub(1));
                        return Err(Broken::new("length of a compressed bit-plane", expected, stored)
                            .in_file(at, chunk));
                    }
                    (PlaneCodec::Zstd, stored)
                }
                other => {
                    return Err(Error::Unsupported {
                        offset: codecs_at + number,
                        what: "codec of a bit-plane",
                        expected: "0 and 1".to_owned(),
                        found: other.to_string(),
                    });
                }
            });
        }
        let mut planes = Vec::with_capacity(table.len());
        for (codec, stored) in table {
            let stored = usize::try_from(stored).unwrap_or(usize::MAX);
            planes.push(StoredPlane {
                codec,
                bytes: fields.bytes(stored, "bit-plane")?.to_vec(),
            });
        }
        fields.end("chunk payload")?;
        Ok(Self {
            sequence,
            first_frame,
            frame_count,
            latent_frames,
            key: flags & KEY != 0,
            grid,
            planes,
        })
    }
}

fn new_compressor(level: i32) -> Result<zstd::bulk::Compressor<'static>> {
    let known = zstd::compression_level_range();
    if !known.contains(&level) {
        let expected = format!("{} to {}", known.start(), known.end());
        return Err(Error::parameter("zstd level", expected, level));
    }
    let refused = |error: std::io::Error| Error::parameter("zstd settings", "ones that zstd takes", error);
    let mut compressor = zstd::bulk::Compressor::new(level).map_err(refused)?;
    // Level, content size and window are all that readers rely on; the record has a checksum of its own.
    compressor.include_checksum(false).map_err(refused)?;
    compressor.include_contentsize(true).map_err(refused)?;
    Ok(compressor)
}

/// The content size that a zstd frame declares, if `bytes` are exactly one frame.
fn frame_content(bytes: &[u8]) -> Result<u64, Broken> {
    let one_frame = || {
        Broken::new(
            "compressed bit-plane",
            "one zstd frame with its content size",
            "other bytes",
        )
    };
    let size = zstd::zstd_safe::find_frame_compressed_size(bytes).map_err(|_| one_frame())?;
    if size != bytes.len() {
        return Err(one_frame());
    }
    match zstd::zstd_safe::get_frame_content_size(bytes) {
        Ok(Some(content)) => Ok(content),
        _ => Err(one_frame()),
    }
}

fn decompress(
    decompressor: &mut Option<zstd::bulk::Decompressor<'static>>,
    from: &[u8],
    to: &mut [u8],
) -> Result<(), Broken> {
    let bad = |found: String| Broken::new("compressed bit-plane", "a valid zstd frame", found);
    let zstd = match decompressor {
        Some(zstd) => zstd,
        None => decompressor.insert(zstd::bulk::Decompressor::new().map_err(|error| bad(error.to_string()))?),
    };
    match zstd.decompress_to_buffer(from, to) {
        Ok(written) if written == to.len() => Ok(()),
        Ok(written) => Err(bad(format!("one of {written} bytes"))),
        Err(error) => Err(bad(error.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;
    use crate::testing::chunk;
    use proptest::prelude::*;

    const GRID: TokenGrid = TokenGrid { t: 2, h: 9, w: 31 };

    #[test]
    fn smaller_planes_are_compressed() {
        let mut values: Vec<u64> = (0..GRID.len() as u64)
            .map(|i| i.wrapping_mul(0x9e37_79b9_7f4a_7c15))
            .collect();
        values.iter_mut().for_each(|value| *value = *value >> 62 & 2 | 1);
        let chunk = chunk(GRID, 2, values);
        let stored = StoredChunk::pack(&chunk, Compression::Zstd { level: 3 }).unwrap();
        assert_eq!(stored.planes[0].codec, PlaneCodec::Zstd);
        assert_eq!(stored.unpack().unwrap(), chunk);
        let raw = StoredChunk::pack(&chunk, Compression::Raw).unwrap();
        assert!(raw.planes.iter().all(|plane| plane.codec == PlaneCodec::Raw));
        assert_eq!(raw.unpack().unwrap(), chunk);
    }

    #[test]
    fn dropping_planes_needs_no_unpacking() {
        let values: Vec<u64> = (0..GRID.len() as u64).collect();
        let mut chunk = chunk(GRID, 10, values);
        let mut stored = StoredChunk::pack(&chunk, Compression::Zstd { level: 3 }).unwrap();
        stored.truncate_bits(4);
        chunk.tokens.truncate_bits(4);
        assert_eq!(stored.unpack().unwrap(), chunk);
        stored.truncate_bits(0);
        assert_eq!(stored.bits(), 1);
    }

    #[test]
    fn a_wrong_level_is_the_callers_error() {
        let chunk = chunk(GRID, 1, vec![0; GRID.len()]);
        let error = StoredChunk::pack(&chunk, Compression::Zstd { level: 1000 }).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Parameter);
        assert!(error.to_string().contains("zstd level"));
    }

    #[test]
    fn zstd_frames_must_fill_their_plane() {
        let chunk = chunk(GRID, 1, vec![0; GRID.len()]);
        let good = StoredChunk::pack(&chunk, Compression::Zstd { level: 1 }).unwrap();
        let len = plane_len(GRID.len());
        for wrong in [len - 1, len + 1, 1 << 30] {
            let mut stored = good.clone();
            stored.planes[0].bytes = zstd::bulk::compress(&vec![0; wrong], 1).unwrap();
            assert!(
                stored
                    .unpack()
                    .unwrap_err()
                    .to_string()
                    .contains("length of a bit-plane")
            );
        }
        let mut two = good.clone();
        two.planes[0].bytes.extend_from_slice(&good.planes[0].bytes);
        assert!(two.unpack().unwrap_err().to_string().contains("one zstd frame"));
    }

    #[test]
    fn padding_must_be_zero() {
        let chunk = chunk(TokenGrid { t: 1, h: 1, w: 3 }, 1, vec![1; 3]);
        let mut stored = StoredChunk::pack(&chunk, Compression::Raw).unwrap();
        stored.planes[0].bytes[0] |= 8;
        assert!(
            stored
                .unpack()
                .unwrap_err()
                .to_string()
                .contains("after the last token")
        );
    }

    #[test]
    fn limits_come_before_lengths() {
        let grid = TokenGrid {
            t: u32::MAX,
            h: u32::MAX,
            w: 1,
        };
        let chunk = StoredChunk {
            grid,
            ..StoredChunk::pack(&chunk(GRID, 1, vec![0; GRID.len()]), Compression::Raw).unwrap()
        };
        let mut payload = vec![0; FIXED_LEN];
        payload[15] = 1;
        for (at, side) in [(16, grid.t), (20, grid.h), (24, grid.w)] {
            payload[at..at + 4].copy_from_slice(&side.to_le_bytes());
        }
        payload.push(0);
        let kind = |limits: &Limits| StoredChunk::decode(&payload, 0, 0, limits).unwrap_err().kind();
        assert_eq!(kind(&Limits::default()), ErrorKind::Limits);
        assert_eq!(kind(&Limits::none()), ErrorKind::Format);
        assert!(chunk.unpack().is_err());
    }

    proptest! {
        #[test]
        fn round_trip(
            t in 1u32..4, h in 1u32..9, w in 1u32..12, bits in 1u8..=64, level in proptest::option::of(1i32..4),
            seed in any::<u64>(), sparse in any::<bool>(),
        ) {
            let grid = TokenGrid { t, h, w };
            let mut state = seed | 1;
            let values = (0..grid.len()).map(|_| {
                state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
                if sparse { 0 } else { state >> (64 - bits) }
            }).collect();
            let chunk = chunk(grid, bits, values);
            let compression = level.map_or(Compression::Raw, |level| Compression::Zstd { level });
            let payload = StoredChunk::pack(&chunk, compression).unwrap().encode().unwrap();
            let stored = StoredChunk::decode(&payload, 0, chunk.sequence, &Limits::default()).unwrap();
            prop_assert_eq!(stored.unpack().unwrap(), chunk);
        }
    }
}

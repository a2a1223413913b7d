//! Chunks as they lie in the file: plane by plane, each stored by itself (LBIT §5).

use crate::ground::{StreamId, TokenGrid};
use std::ops::{Deref, DerefMut};

use crate::bits::{pack_planes, plane_len, unpack_planes};
use crate::chunk::{Chunk, ChunkHead, Tokens, has_head};
use crate::coder::{self, Coder, Compression, StoredPlane};
use crate::error::{Broken, Error, Result};
use crate::fields::{Fields, put_varint};
use crate::limits::{Limits, within};
use crate::times::Times;
use crate::units::{LatentFrames, PixelFrames};

/// Flag of a chunk that starts a group.
const KEY: u8 = 1;
/// Flag of a chunk whose tokens are lost.
const LOST: u8 = 2;
/// Flag of a chunk that says how long each frame is shown.
const TIMES: u8 = 4;

/// Bytes of a chunk's payload before what varies in length.
const FIXED_LEN: usize = 40;

/// A chunk whose planes have not been unpacked.
///
/// Planes can be dropped and chunks moved from file to file without unpacking them:
/// see [`Reader::next_stored`](crate::Reader::next_stored) and
/// [`Writer::write_stored`](crate::Writer::write_stored).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredChunk {
    /// Where it belongs.
    pub head: ChunkHead,
    /// When its frames are shown.
    pub times: Times,
    /// Sides of its block of tokens.
    pub grid: TokenGrid,
    /// What made those planes that are coded.
    pub coder: Coder,
    /// Its planes, the most important first; 1 to 64, or none if its tokens are lost.
    pub planes: Vec<StoredPlane>,
}

has_head!(StoredChunk);

impl StoredChunk {
    /// Packs the tokens of `chunk`; each plane is compressed only if that makes it smaller.
    ///
    /// # Errors
    /// [`Error::Parameter`] if the tokens break a rule of [`Tokens::validate`] or the coder refuses its settings.
    pub fn pack(chunk: &Chunk, compression: Compression) -> Result<Self> {
        Self::pack_all(chunk, compression).map(|(stored, _)| stored)
    }

    /// Packs the tokens of `chunk`; gives the packed planes as well, before a coder had them.
    pub(crate) fn pack_all(chunk: &Chunk, compression: Compression) -> Result<(Self, Vec<u8>)> {
        chunk.tokens.validate()?;
        let grid = chunk.tokens.grid;
        let packed = pack_planes(&chunk.tokens.values, chunk.tokens.bits);
        let (coder, planes) = coder::encode(compression, grid, &packed)?;
        let stored = Self {
            head: chunk.head,
            times: chunk.times.clone(),
            grid,
            coder,
            planes,
        };
        Ok((stored, packed))
    }

    /// Bits per token; 0 if the tokens are lost.
    #[must_use]
    pub fn bits(&self) -> u8 {
        u8::try_from(self.planes.len()).unwrap_or(u8::MAX)
    }

    /// Whether it only holds the place of a chunk whose tokens are lost.
    #[must_use]
    pub const fn is_lost(&self) -> bool {
        self.planes.is_empty()
    }

    /// Keeps the `bits` most important planes, at least one; does nothing if there are no more than that.
    pub fn truncate_bits(&mut self, bits: u8) {
        let mut planes = std::mem::take(&mut self.planes);
        planes.truncate(usize::from(bits).max(1));
        (self.coder, self.planes) = coder::settle(self.coder, planes);
    }

    /// Unpacks the tokens.
    ///
    /// # Errors
    /// [`Error::Parameter`] if a plane does not hold what the grid asks for, or if the tokens are lost; a chunk from a
    /// [`Reader`](crate::Reader) fails only in its coded planes.
    pub fn unpack(&self) -> Result<Chunk> {
        let packed = self.packed().map_err(Broken::by_caller)?;
        Ok(self.with_tokens(&packed))
    }

    /// The planes, packed, one after the other. Allocates only what the grid asks for, which whoever made `self` must
    /// have checked.
    pub(crate) fn packed(&self) -> Result<Vec<u8>, Broken> {
        let len = plane_len(self.grid.len());
        let total = len
            .checked_mul(self.planes.len())
            .filter(|_| !self.grid.is_empty() && (1..=64).contains(&self.planes.len()))
            .ok_or_else(|| Broken::new("token grid", "1 to 64 planes that fit in memory", self.grid))?;
        // A raw plane shows what a false grid claims before anything is allocated.
        if let Some(plane) = self
            .planes
            .iter()
            .find(|plane| !plane.coded && plane.bytes.len() != len)
        {
            let expected = format!("{len} bytes");
            return Err(Broken::new("length of a bit-plane", expected, plane.bytes.len()));
        }
        let mut packed = vec![0; total];
        coder::decode(self.coder, self.grid, &self.planes, &mut packed)?;
        Ok(packed)
    }

    /// The chunk with the tokens of `packed`, which [`packed`](Self::packed) gave.
    pub(crate) fn with_tokens(&self, packed: &[u8]) -> Chunk {
        Chunk {
            head: self.head,
            times: self.times.clone(),
            tokens: Tokens {
                grid: self.grid,
                bits: self.bits(),
                values: unpack_planes(packed, self.grid.len()),
            },
        }
    }

    /// The payload of its record, in a file whose header's checksum is `header_crc`.
    pub(crate) fn encode(&self, header_crc: u32) -> Result<Vec<u8>, Broken> {
        let frames = u32::try_from(self.frame_count.0)
            .map_err(|_| Broken::new("frames of a chunk", "less than 2^32", self.frame_count))?;
        let latent = u16::try_from(self.latent_frames.0)
            .map_err(|_| Broken::new("latent frames of a chunk", "less than 65536", self.latent_frames))?;
        if self.planes.len() > 64 {
            return Err(Broken::new("bits per token", "at most 64", self.planes.len()));
        }
        self.times.check(self.frame_count)?;
        let len = plane_len(self.grid.len());
        let stored: usize = self.planes.iter().map(|plane| plane.bytes.len()).sum();
        let mut out = Vec::with_capacity(FIXED_LEN + self.planes.len() * 3 + stored);
        out.extend_from_slice(&header_crc.to_le_bytes());
        out.extend_from_slice(&self.first_frame.0.to_le_bytes());
        out.extend_from_slice(&self.times.start.to_le_bytes());
        out.extend_from_slice(&frames.to_le_bytes());
        out.extend_from_slice(&self.segment.to_le_bytes());
        out.extend_from_slice(&latent.to_le_bytes());
        let flag = |set: bool, flag: u8| if set { flag } else { 0 };
        out.push(
            flag(self.key, KEY) | flag(self.is_lost(), LOST) | flag(self.times.durations.is_some(), TIMES),
        );
        out.push(self.bits());
        for side in [self.grid.t, self.grid.h, self.grid.w] {
            let side = u16::try_from(side)
                .map_err(|_| Broken::new("token grid", "sides of at most 65535", self.grid))?;
            out.extend_from_slice(&side.to_le_bytes());
        }
        out.extend_from_slice(&[self.coder.id(), 0]);
        for &ticks in self.times.durations.iter().flatten() {
            put_varint(&mut out, u64::from(ticks));
        }
        for plane in &self.planes {
            match (plane.coded, len.checked_sub(plane.bytes.len())) {
                (true, Some(saved @ 1..)) if self.coder != Coder::Raw && !plane.bytes.is_empty() => {
                    put_varint(&mut out, saved as u64);
                }
                (false, Some(0)) if self.coder == Coder::Raw => {}
                (false, Some(0)) => put_varint(&mut out, 0),
                _ => {
                    let expected = match plane.coded {
                        true => format!("1 to {} bytes, made by a coder", len.saturating_sub(1)),
                        false => format!("{len} bytes"),
                    };
                    return Err(Broken::new("stored bit-plane", expected, plane.bytes.len()));
                }
            }
        }
        for plane in &self.planes {
            out.extend_from_slice(&plane.bytes);
        }
        Ok(out)
    }

    /// Reads the payload of a chunk record that starts at `offset`; the second result is the checksum of the header
    /// that it was written under. Everything but the insides of coded planes is checked, and nothing larger than a few
    /// times the payload is allocated.
    pub(crate) fn decode(
        payload: &[u8],
        offset: u64,
        stream: StreamId,
        sequence: u64,
        limits: &Limits,
    ) -> Result<(Self, u32)> {
        let chunk = Some(sequence);
        let mut fields = Fields::new(payload, offset, chunk);
        let header_crc = fields.u32("header checksum of a chunk")?;
        let first_frame = PixelFrames(fields.u64("first frame")?);
        let start = fields.i64("start time")?;
        let frames = fields.u32("frame count")?;
        let segment = fields.u32("segment")?;
        let latent_frames = LatentFrames(u64::from(fields.u16("latent frames")?));
        let at = fields.offset();
        let flags = fields.u8("chunk flags")?;
        if flags & !(KEY | LOST | TIMES) != 0 {
            return Err(Error::Unsupported {
                offset: at,
                chunk,
                what: "chunk flags",
                expected: format!("those of {:#04x}", KEY | LOST | TIMES),
                found: format!("{flags:#04x}"),
            });
        }
        let at = fields.offset();
        let bits = fields.u8("bits per token")?;
        let legal = if flags & LOST == 0 { 1..=64 } else { 0..=0 };
        if !legal.contains(&bits) {
            let expected = "1 to 64, or 0 in a chunk that is lost";
            return Err(Broken::new("bits per token", expected, bits).in_file(at, chunk));
        }
        let at = fields.offset();
        let mut side = || fields.u16("token grid").map(u32::from);
        let grid = TokenGrid {
            t: side()?,
            h: side()?,
            w: side()?,
        };
        let tokens = grid.checked_len().filter(|&tokens| tokens > 0);
        let Some(tokens) = tokens else {
            return Err(Broken::new("token grid", "sides of at least 1", grid).in_file(at, chunk));
        };
        let within_limits = |limit, name, what, found| within(limit, name, what, found, at, chunk);
        within_limits(
            limits.max_chunk_tokens,
            "max_chunk_tokens",
            "number of tokens",
            tokens,
        )?;
        let len = tokens.div_ceil(8);
        let unpacked = len.saturating_mul(u64::from(bits));
        let what = "unpacked length of a chunk";
        within_limits(limits.max_chunk_bytes, "max_chunk_bytes", what, unpacked)?;

        let at = fields.offset();
        let id = fields.u8("coder")?;
        let Some(coder) = Coder::from_id(id) else {
            let known: Vec<String> = Coder::ALL.map(|coder| coder.id().to_string()).into();
            return Err(Error::Unsupported {
                offset: at,
                chunk,
                what: "coder",
                expected: known.join(", "),
                found: id.to_string(),
            });
        };
        fields.u8("reserved field")?;
        let durations = match flags & TIMES {
            0 => None,
            _ => Some(durations(&mut fields, frames, chunk)?),
        };
        let mut lengths = Vec::with_capacity(usize::from(bits));
        for _ in 0..bits {
            let at = fields.offset();
            let saved = match coder {
                Coder::Raw => 0,
                _ => fields.varint("bytes saved in a bit-plane")?,
            };
            match len
                .checked_sub(saved)
                .and_then(|stored| usize::try_from(stored).ok())
            {
                Some(stored @ 1..) => lengths.push((saved > 0, stored)),
                _ => {
                    let expected = format!("less than the {len} bytes that it has");
                    return Err(Broken::new("bytes saved in a bit-plane", expected, saved).in_file(at, chunk));
                }
            }
        }
        let mut planes = Vec::with_capacity(lengths.len());
        for (coded, stored) in lengths {
            let bytes = fields.bytes(stored, "bit-plane")?.to_vec();
            planes.push(StoredPlane { coded, bytes });
        }
        fields.end("chunk payload")?;
        let stored = Self {
            head: ChunkHead {
                stream,
                sequence,
                first_frame,
                frame_count: PixelFrames(u64::from(frames)),
                latent_frames,
                key: flags & KEY != 0,
                segment,
            },
            times: Times { start, durations },
            grid,
            coder,
            planes,
        };
        Ok((stored, header_crc))
    }
}

fn durations(fields: &mut Fields<'_>, frames: u32, chunk: Option<u64>) -> Result<Vec<u32>> {
    // Each takes a byte at least, so a false count does not make memory.
    let mut durations = Vec::with_capacity((frames as usize).min(fields.remaining()));
    for _ in 0..frames {
        let at = fields.offset();
        let ticks = fields.varint("duration of a frame")?;
        durations.push(u32::try_from(ticks).map_err(|_| {
            Broken::new("duration of a frame", "less than 2^32 ticks", ticks).in_file(at, chunk)
        })?);
    }
    Ok(durations)
}

#[cfg(test)]
mod tests;

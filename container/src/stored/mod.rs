//! Chunks as they lie in the file: plane by plane, each stored by itself (LBIT §5).

use crate::ground::{StreamId, TokenGrid};
use std::ops::{Deref, DerefMut};

use crate::bits::{pack_planes, plane_len, unpack_planes};
use crate::chunk::{Chunk, ChunkHead, Tokens, has_head};
use crate::coder::{self, Coder, Compression, StoredPlane};
use crate::depths::{DepthMap, check_step};
use crate::error::{Broken, Error, Result};
use crate::fields::{Fields, put_signed, put_varint};
use crate::header::Header;
use crate::limits::{Limits, within};
use crate::record::{self, CRC_LEN, HEADER_LEN, Tag};
use crate::times::Times;
use crate::units::{LatentFrames, PixelFrames};
use crate::work::spend;

/// Flag of a chunk that starts a group.
const KEY: u8 = 1;
/// Flag of a chunk whose tokens are lost.
const LOST: u8 = 2;
/// Flag of a chunk that says how long each frame is shown.
const TIMES: u8 = 4;
/// Flag of a chunk whose tokens have depths.
const DEPTHS: u8 = 8;

/// Bytes of a chunk's payload before what varies in length.
pub(crate) const FIXED_LEN: usize = 40;

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
    /// Its planes, the most important first; 1 to 64, or none if its tokens are lost. If its tokens have depths, its layers.
    pub planes: Vec<StoredPlane>,
    /// How its layers hold planes, if its tokens have depths.
    pub layers: Option<LayerSizes>,
}

/// How many planes there are, and how many a layer holds (LBIT §5.8).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LayerSizes {
    /// Planes of each layer but the last, which may have fewer: 1 to 64.
    pub step: u8,
    /// Planes of all layers, 1 to 64.
    pub bits: u8,
}

impl LayerSizes {
    /// Number of layers.
    #[must_use]
    pub const fn count(self) -> usize {
        (self.bits as usize).div_ceil(if self.step == 0 { 1 } else { self.step as usize })
    }
}

/// What a coder gave back.
pub(crate) struct Unpacked {
    /// The planes one after the other, with zeros for bits that are absent.
    pub packed: Vec<u8>,
    /// How many planes there are.
    pub bits: u8,
    pub depths: Option<DepthMap>,
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
    pub(crate) fn pack_all(chunk: &Chunk, compression: Compression) -> Result<(Self, Unpacked)> {
        chunk.tokens.validate()?;
        let Tokens { grid, bits, .. } = chunk.tokens;
        let unpacked = Unpacked {
            packed: pack_planes(&chunk.tokens.values, bits),
            bits,
            depths: chunk.tokens.depths.clone(),
        };
        let (coder, planes) = match &chunk.tokens.depths {
            None => coder::encode(compression, grid, &unpacked.packed)?,
            Some(depths) => coder::layers::encode(compression, &chunk.tokens, depths)?,
        };
        let layers = chunk.tokens.depths.as_ref();
        let stored = Self {
            head: chunk.head,
            times: chunk.times.clone(),
            grid,
            coder,
            planes,
            layers: layers.map(|depths| LayerSizes {
                step: depths.step,
                bits,
            }),
        };
        Ok((stored, unpacked))
    }

    /// Holds the place of a chunk whose tokens are lost.
    #[must_use]
    pub const fn lost(head: ChunkHead, times: Times, grid: TokenGrid) -> Self {
        Self {
            head,
            times,
            grid,
            coder: Coder::Raw,
            planes: Vec::new(),
            layers: None,
        }
    }

    /// Takes its tokens away.
    pub fn lose(&mut self) {
        *self = Self::lost(self.head, self.times.clone(), self.grid);
        self.key = false;
    }

    /// Bits per token; 0 if the tokens are lost.
    #[must_use]
    pub fn bits(&self) -> u8 {
        match self.layers {
            Some(_) if self.is_lost() => 0,
            Some(layers) => layers.bits,
            None => u8::try_from(self.planes.len()).unwrap_or(u8::MAX),
        }
    }

    /// Bytes of its record in a file.
    ///
    /// # Errors
    /// [`Error::Parameter`] if it cannot be stored.
    pub fn record_len(&self) -> Result<u64> {
        let payload = self.encode(0).map_err(Broken::by_caller)?;
        Ok((HEADER_LEN + payload.len() + CRC_LEN) as u64)
    }

    /// Its record in a file with this header; see [`Header::record`].
    ///
    /// ```
    /// use latentbit_container::{Event, Header, Limits, Next, Parser, ReadMode, StoredChunk};
    ///
    /// # fn demo(header: &Header, chunks: &[StoredChunk]) -> latentbit_container::Result<()> {
    /// // The sender:
    /// let (begin, packets) = (header.record()?, chunks.iter().map(|chunk| chunk.record(header)));
    /// // The receiver, which may have come late:
    /// let mut parser = Parser::new(Limits::default(), ReadMode::Join);
    /// parser.push(&begin);
    /// for packet in packets {
    ///     parser.push(&packet?);
    ///     while let Next::Event(event) = parser.poll()? {
    ///         if let Event::Chunk(chunk) = event {
    ///             println!("{} frames", chunk.frame_count);
    ///         }
    ///     }
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Error::Parameter`] if it or the header cannot be stored.
    pub fn record(&self, header: &Header) -> Result<Vec<u8>> {
        let header = header.encode().map_err(Broken::by_caller)?;
        let payload = self.encode(crc32fast::hash(&header)).map_err(Broken::by_caller)?;
        let mut out = Vec::with_capacity(payload.len() + HEADER_LEN + CRC_LEN);
        record::append(&mut out, Tag::CHUNK, self.stream, self.sequence, &payload)
            .map_err(Broken::by_caller)?;
        Ok(out)
    }

    /// Whether it only holds the place of a chunk whose tokens are lost.
    #[must_use]
    pub const fn is_lost(&self) -> bool {
        self.planes.is_empty()
    }

    /// Keeps the `bits` most important planes, at least one; does nothing if there are no more than that. Of a chunk whose
    /// tokens have depths, it keeps as many whole layers as hold no more than that, at least one.
    pub fn truncate_bits(&mut self, bits: u8) {
        let mut planes = std::mem::take(&mut self.planes);
        match &mut self.layers {
            None => planes.truncate(usize::from(bits).max(1)),
            Some(layers) if bits < layers.bits => {
                layers.bits = (bits - bits % layers.step.max(1))
                    .max(layers.step)
                    .min(layers.bits);
                planes.truncate(layers.count());
            }
            Some(_) => {}
        }
        (self.coder, self.planes) = coder::settle(self.coder, planes);
    }

    /// Unpacks the tokens.
    ///
    /// # Errors
    /// [`Error::Parameter`] if a plane does not hold what the grid asks for, or if the tokens are lost; a chunk from a
    /// [`Reader`](crate::Reader) fails only in its coded planes.
    pub fn unpack(&self) -> Result<Chunk> {
        let unpacked = self.unpacked().map_err(Broken::by_caller)?;
        Ok(self.with_tokens(unpacked))
    }

    /// Unpacks the tokens in their `planes` most important planes, at least one, or in all if there are no more.
    pub(crate) fn unpack_planes_only(&self, planes: u8) -> Result<Chunk, Broken> {
        let planes = planes.max(1);
        if planes >= self.bits() {
            return Ok(self.with_tokens(self.unpacked()?));
        }
        let mut fewer = self.clone();
        // Whole layers, of which the last may have more planes than asked for.
        let step = self.layers.map_or(1, |layers| layers.step.max(1));
        fewer.truncate_bits(planes.div_ceil(step).saturating_mul(step));
        let mut chunk = fewer.with_tokens(fewer.unpacked()?);
        chunk.tokens.truncate_bits(planes);
        Ok(chunk)
    }

    /// The planes, packed, one after the other. Allocates only what the grid asks for, which whoever made `self` must
    /// have checked.
    pub(crate) fn unpacked(&self) -> Result<Unpacked, Broken> {
        if let Some(layers) = self.layers {
            return self.unpacked_layers(layers);
        }
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
        spend(total);
        let mut packed = vec![0; total];
        coder::decode(self.coder, self.grid, &self.planes, &mut packed)?;
        Ok(Unpacked {
            packed,
            bits: self.bits(),
            depths: None,
        })
    }

    fn unpacked_layers(&self, layers: LayerSizes) -> Result<Unpacked, Broken> {
        layers.check(self.planes.len())?;
        if self.grid.is_empty()
            || self
                .grid
                .checked_len()
                .is_none_or(|len| len > u64::from(u32::MAX))
        {
            return Err(Broken::new("token grid", "1 to 2^32 - 1 tokens", self.grid));
        }
        // A layer that is stored as it is shows what a false grid claims before anything is allocated.
        let least = plane_len(self.grid.len());
        if let Some(first) = self
            .planes
            .first()
            .filter(|first| !first.coded && first.bytes.len() < least)
        {
            let expected = format!("at least {least} bytes");
            return Err(Broken::new("length of a layer", expected, first.bytes.len()));
        }
        spend(plane_len(self.grid.len()).saturating_mul(usize::from(layers.bits) + 1));
        let (values, depths) =
            coder::layers::decode(self.coder, self.grid, layers.step, layers.bits, &self.planes)?;
        Ok(Unpacked {
            packed: pack_planes(&values, layers.bits),
            bits: layers.bits,
            depths: Some(depths),
        })
    }

    /// The chunk with what [`unpacked`](Self::unpacked) gave.
    pub(crate) fn with_tokens(&self, unpacked: Unpacked) -> Chunk {
        Chunk {
            head: self.head,
            times: self.times.clone(),
            tokens: Tokens {
                grid: self.grid,
                bits: unpacked.bits,
                values: unpack_planes(&unpacked.packed, self.grid.len()),
                depths: unpacked.depths,
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
        if let Some(layers) = self.layers {
            layers.check(self.planes.len())?;
        }
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
            flag(self.key, KEY)
                | flag(self.is_lost(), LOST)
                | flag(self.times.durations.is_some(), TIMES)
                | flag(self.layers.is_some(), DEPTHS),
        );
        out.push(self.bits());
        for side in [self.grid.t, self.grid.h, self.grid.w] {
            let side = u16::try_from(side)
                .map_err(|_| Broken::new("token grid", "sides of at most 65535", self.grid))?;
            out.extend_from_slice(&side.to_le_bytes());
        }
        out.extend_from_slice(&[self.coder.id(), self.layers.map_or(0, |layers| layers.step)]);
        for &ticks in self.times.durations.iter().flatten() {
            put_varint(&mut out, u64::from(ticks));
        }
        match self.layers {
            None => self.put_saved_bytes(&mut out)?,
            Some(_) => self.put_layer_lengths(&mut out)?,
        }
        for plane in &self.planes {
            out.extend_from_slice(&plane.bytes);
        }
        Ok(out)
    }

    /// The table of a chunk of planes: how many bytes the coder saved in each.
    fn put_saved_bytes(&self, out: &mut Vec<u8>) -> Result<(), Broken> {
        let len = plane_len(self.grid.len());
        for plane in &self.planes {
            match (plane.coded, len.checked_sub(plane.bytes.len())) {
                (true, Some(saved @ 1..)) if self.coder != Coder::Raw && !plane.bytes.is_empty() => {
                    put_varint(out, saved as u64);
                }
                (false, Some(0)) if self.coder == Coder::Raw => {}
                (false, Some(0)) => put_varint(out, 0),
                _ => {
                    let expected = match plane.coded {
                        true => format!("1 to {} bytes, made by a coder", len.saturating_sub(1)),
                        false => format!("{len} bytes"),
                    };
                    return Err(Broken::new("stored bit-plane", expected, plane.bytes.len()));
                }
            }
        }
        Ok(())
    }

    /// The table of a chunk of layers: how much longer each is than the one before, and whether a coder made it.
    fn put_layer_lengths(&self, out: &mut Vec<u8>) -> Result<(), Broken> {
        let mut before = 0i64;
        for layer in &self.planes {
            if layer.coded && (self.coder == Coder::Raw || layer.bytes.is_empty()) {
                let expected = "bytes that a coder made";
                return Err(Broken::new("stored layer", expected, "none"));
            }
            let len = i64::try_from(layer.bytes.len())
                .ok()
                .filter(|&len| len <= MAX_LAYER_BYTES)
                .ok_or_else(|| Broken::new("length of a layer", "less than 2^32 bytes", layer.bytes.len()))?;
            put_signed(out, (len - before) << 1 | i64::from(layer.coded));
            before = len;
        }
        Ok(())
    }

    /// Reads the payload of a chunk record that starts at `offset`; the second result is the checksum of the header
    /// that it was written under; `elastic` tells whether its stream may have depths. Everything but the insides of coded
    /// planes is checked, and nothing larger than a few times the payload is allocated.
    pub(crate) fn decode(
        payload: &[u8],
        offset: u64,
        stream: StreamId,
        sequence: u64,
        elastic: bool,
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
        let known = KEY | LOST | TIMES | if elastic { DEPTHS } else { 0 };
        if flags & !known != 0 {
            return Err(Error::Unsupported {
                offset: at,
                chunk,
                what: "chunk flags",
                expected: format!("those of {known:#04x}"),
                found: format!("{flags:#04x}"),
            });
        }
        if flags & (LOST | DEPTHS) == LOST | DEPTHS {
            let expected = "no depths in a chunk that is lost";
            return Err(Broken::new("chunk flags", expected, format!("{flags:#04x}")).in_file(at, chunk));
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
        if flags & LOST != 0 && coder != Coder::Raw {
            let expected = "0 in a chunk that is lost";
            return Err(Broken::new("coder", expected, id).in_file(at, chunk));
        }
        let at = fields.offset();
        let step = fields.u8("step of depths")?;
        let layers = match flags & DEPTHS {
            0 => None,
            _ => {
                check_step(step).map_err(|broken| broken.in_file(at, chunk))?;
                Some(LayerSizes { step, bits })
            }
        };
        let durations = match flags & TIMES {
            0 => None,
            _ => Some(durations(&mut fields, frames, chunk)?),
        };
        let lengths = match layers {
            None => plane_lengths(&mut fields, coder, bits, len, chunk)?,
            Some(layers) => layer_lengths(&mut fields, coder, layers.count(), chunk)?,
        };
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
            layers,
        };
        Ok((stored, header_crc))
    }
}

impl LayerSizes {
    /// Checks that `layers` layers can be of these sizes.
    fn check(self, layers: usize) -> Result<(), Broken> {
        check_step(self.step)?;
        if !(1..=64).contains(&self.bits) {
            return Err(Broken::new("bits per token", "1 to 64", self.bits));
        }
        if layers != self.count() {
            return Err(Broken::new("number of layers", self.count(), layers));
        }
        Ok(())
    }
}

/// Longest layer that can be stored.
const MAX_LAYER_BYTES: i64 = u32::MAX as i64;

/// Whether each plane is coded and how long it is, of planes that have `len` bytes when packed.
fn plane_lengths(
    fields: &mut Fields<'_>,
    coder: Coder,
    bits: u8,
    len: u64,
    chunk: Option<u64>,
) -> Result<Vec<(bool, usize)>> {
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
    Ok(lengths)
}

/// Whether each layer is coded and how long it is.
fn layer_lengths(
    fields: &mut Fields<'_>,
    coder: Coder,
    layers: usize,
    chunk: Option<u64>,
) -> Result<Vec<(bool, usize)>> {
    let mut lengths = Vec::with_capacity(layers);
    let mut before = 0i64;
    for _ in 0..layers {
        let at = fields.offset();
        let entry = fields.signed("length of a layer")?;
        let coded = entry & 1 == 1;
        let len = before.checked_add(entry >> 1);
        let len = len.filter(|&len| (i64::from(coded)..=MAX_LAYER_BYTES).contains(&len));
        let Some(len) = len.filter(|_| !coded || coder != Coder::Raw) else {
            let expected = "a length below 2^32, 1 or more if it is coded";
            return Err(Broken::new("length of a layer", expected, format!("{entry:#x}")).in_file(at, chunk));
        };
        before = len;
        lengths.push((coded, usize::try_from(len).unwrap_or(usize::MAX)));
    }
    Ok(lengths)
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

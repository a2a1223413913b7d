//! Chunks and tokens as a program sees them (LBIT §5).

use std::borrow::Cow;
use std::ops::{Deref, DerefMut, Range};

use crate::depths::DepthMap;
use crate::error::{Broken, Result};
use crate::ground::{StreamId, TokenGrid};
use crate::times::Times;
use crate::units::{LatentFrames, PixelFrames};

/// The tokens of a chunk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tokens {
    /// Sides of the block.
    pub grid: TokenGrid,
    /// Bits per token, 1 to 64.
    pub bits: u8,
    /// The tokens, width fastest, then height, then time. Bit `j` of a value is plane `j`; plane 0, the least
    /// significant bit, is the most important one. Bits from `bits` up are zero.
    pub values: Vec<u64>,
    /// How many planes each token has, in an elastic stream; its other bits are zero. None: all `bits` planes.
    pub depths: Option<DepthMap>,
}

impl Tokens {
    /// Tokens that have all their planes; [`validate`](Self::validate) checks them.
    #[must_use]
    pub const fn new(grid: TokenGrid, bits: u8, values: Vec<u64>) -> Self {
        Self {
            grid,
            bits,
            values,
            depths: None,
        }
    }

    /// Gives each token a depth, and takes the bits away that it does not have.
    #[must_use]
    pub fn with_depths(mut self, depths: DepthMap) -> Self {
        for (value, &depth) in self.values.iter_mut().zip(&depths.values) {
            *value &= bit_mask(depth);
        }
        self.depths = Some(depths);
        self
    }

    /// How many planes each token has: its depth, or all.
    #[must_use]
    pub fn depth_values(&self) -> Cow<'_, [u8]> {
        match &self.depths {
            Some(depths) => Cow::Borrowed(&depths.values),
            None => Cow::Owned(vec![self.bits; self.values.len()]),
        }
    }

    /// Mean number of planes of a token: that of its depths, or all.
    #[must_use]
    pub fn mean_depth(&self) -> f64 {
        self.depths.as_ref().map_or(f64::from(self.bits), DepthMap::mean)
    }

    /// Keeps the `bits` most important planes; does nothing if there are no more than that.
    pub fn truncate_bits(&mut self, bits: u8) {
        if bits < self.bits {
            self.bits = bits;
            let kept = bit_mask(bits);
            self.values.iter_mut().for_each(|value| *value &= kept);
            if let Some(depths) = &mut self.depths {
                depths.truncate(bits);
            }
        }
    }

    /// Checks that there are as many values and depths as the grid says, and that no token has bits beyond its depth.
    ///
    /// # Errors
    /// [`Error::Parameter`](crate::Error::Parameter) says which rule is broken.
    pub fn validate(&self) -> Result<()> {
        self.check().map_err(Broken::by_caller)
    }

    pub(crate) fn check(&self) -> Result<(), Broken> {
        if !(1..=64).contains(&self.bits) {
            return Err(Broken::new("bits per token", "1 to 64", self.bits));
        }
        if self.grid.checked_len() != Some(self.values.len() as u64) {
            let expected = format!("as many as the grid {} has", self.grid);
            return Err(Broken::new("number of tokens", expected, self.values.len()));
        }
        let too_many = |at: usize, bits: u8| {
            let found = format!("{:#x} at token {at}", self.values.get(at).copied().unwrap_or(0));
            Err(Broken::new("token", format!("{bits} bits"), found))
        };
        let spare = !bit_mask(self.bits);
        if let Some(at) = self.values.iter().position(|value| value & spare != 0) {
            return too_many(at, self.bits);
        }
        let Some(depths) = &self.depths else {
            return Ok(());
        };
        depths.check(self.bits, self.values.len())?;
        let mut tokens = self.values.iter().zip(&depths.values).enumerate();
        match tokens.find(|&(_, (value, &depth))| value & !bit_mask(depth) != 0) {
            None => Ok(()),
            Some((at, (_, &depth))) => too_many(at, depth),
        }
    }
}

/// The lowest `bits` bits set: those that a token of `bits` bits may have.
#[must_use]
pub fn bit_mask(bits: u8) -> u64 {
    u64::MAX.checked_shr(64 - u32::from(bits.min(64))).unwrap_or(0)
}

/// Where a chunk belongs and which frames it stands for: what [`Chunk`], [`StoredChunk`](crate::StoredChunk) and
/// [`ChunkInfo`](crate::ChunkInfo) have in common. They give these fields as if they were their own: `chunk.sequence` is
/// `chunk.head.sequence`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ChunkHead {
    /// The stream that it belongs to.
    pub stream: StreamId,
    /// Number in the stream, from 0.
    pub sequence: u64,
    /// Index of its first frame in the stream.
    pub first_frame: PixelFrames,
    /// Frames of the video in it; the rest of what it holds is padding.
    pub frame_count: PixelFrames,
    /// Latent frames in it.
    pub latent_frames: LatentFrames,
    /// Whether it starts a group: the VAE's cache is reset before it.
    pub key: bool,
    /// Which continuous piece of video it belongs to; the number goes up where two pieces were joined (LBIT §5.4).
    pub segment: u32,
}

impl ChunkHead {
    /// Index of the frame after its last one. Saturates.
    #[must_use]
    pub const fn end_frame(&self) -> PixelFrames {
        PixelFrames(self.first_frame.0.saturating_add(self.frame_count.0))
    }

    /// Indices of its frames.
    #[must_use]
    pub const fn frames(&self) -> Range<PixelFrames> {
        self.first_frame..self.end_frame()
    }
}

/// Lets a kind of chunk give the fields of its head as its own.
macro_rules! has_head {
    ($($chunk:ty),*) => {$(
        impl Deref for $chunk {
            type Target = ChunkHead;

            fn deref(&self) -> &ChunkHead {
                &self.head
            }
        }

        impl DerefMut for $chunk {
            fn deref_mut(&mut self) -> &mut ChunkHead {
                &mut self.head
            }
        }
    )*};
}
pub(crate) use has_head;

has_head!(Chunk);

/// A chunk: the tokens of some latent frames, and which frames they stand for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chunk {
    /// Where it belongs.
    pub head: ChunkHead,
    /// When its frames are shown.
    pub times: Times,
    /// Its tokens.
    pub tokens: Tokens,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn truncation_keeps_low_planes() {
        let grid = TokenGrid { t: 1, h: 1, w: 3 };
        let mut tokens = Tokens::new(grid, 4, vec![0b1111, 0b1000, 0b0101]);
        tokens.truncate_bits(9);
        assert_eq!(tokens.bits, 4);
        tokens.truncate_bits(3);
        assert_eq!((tokens.bits, &tokens.values[..]), (3, &[0b111, 0, 0b101][..]));
        assert!(tokens.validate().is_ok());
        tokens.truncate_bits(0);
        assert_eq!(tokens.values, [0, 0, 0]);
        assert!(tokens.validate().is_err());
    }

    #[test]
    fn rules() {
        let grid = TokenGrid { t: 1, h: 2, w: 2 };
        let mut tokens = Tokens::new(grid, 64, vec![u64::MAX; 4]);
        assert!(tokens.validate().is_ok());
        tokens.bits = 63;
        assert!(tokens.validate().unwrap_err().to_string().contains("at token 0"));
        tokens.values.pop();
        assert!(tokens.validate().unwrap_err().to_string().contains("1x2x2"));
        tokens.bits = 65;
        assert!(tokens.validate().is_err());
    }
}

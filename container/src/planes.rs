//! Bit-planes of a chunk, packed as LBIT §5.3 has them.

use crate::bits::{pack_planes, plane_len, unpack_planes};
use crate::chunk::Tokens;
use crate::depths::DepthMap;
use crate::error::{Broken, Result};
use crate::ground::TokenGrid;
use crate::stored::StoredChunk;

/// The bit-planes of a chunk's tokens, unpacked by their coder and not put together to tokens: the form in which they lie
/// in a file.
///
/// [`StoredChunk::unpack_planes`] makes it without a pass over the tokens; [`tokens`](Self::tokens) is that pass. With the
/// feature `bitvec` a plane can be seen as a slice of bits.
///
/// ```
/// use latentbit_container::{Planes, TokenGrid, Tokens};
/// let grid = TokenGrid { t: 1, h: 1, w: 3 };
/// let tokens = Tokens::new(grid, 2, vec![0b01, 0b11, 0b10]);
/// let planes = Planes::new(&tokens)?;
/// assert_eq!(planes.plane(0), Some(&[0b011][..]));
/// assert_eq!(planes.plane(1), Some(&[0b110][..]));
/// assert_eq!(planes.tokens(), tokens);
/// # Ok::<(), latentbit_container::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Planes {
    grid: TokenGrid,
    bits: u8,
    packed: Vec<u8>,
    depths: Option<DepthMap>,
}

impl Planes {
    /// The planes of `tokens`.
    ///
    /// # Errors
    /// [`Error::Parameter`](crate::Error::Parameter) if the tokens break a rule of [`Tokens::validate`].
    pub fn new(tokens: &Tokens) -> Result<Self> {
        tokens.validate()?;
        Ok(Self {
            grid: tokens.grid,
            bits: tokens.bits,
            packed: pack_planes(&tokens.values, tokens.bits),
            depths: tokens.depths.clone(),
        })
    }

    /// Sides of the block of tokens.
    #[must_use]
    pub const fn grid(&self) -> TokenGrid {
        self.grid
    }

    /// How many planes there are, 1 to 64: bits per token.
    #[must_use]
    pub const fn bits(&self) -> u8 {
        self.bits
    }

    /// How many planes each token has; none if all have all. Bits that a token does not have are zero.
    #[must_use]
    pub const fn depths(&self) -> Option<&DepthMap> {
        self.depths.as_ref()
    }

    /// All planes one after the other, plane 0 first, each of a whole number of bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.packed
    }

    /// Plane `plane`, of which 0 is the most important: token `i` is bit `i mod 8` of byte `i div 8`, where bit 0 is the
    /// least significant. Bits after the last token are zero. `None` if there is no such plane.
    #[must_use]
    pub fn plane(&self, plane: u8) -> Option<&[u8]> {
        let len = plane_len(self.grid.len());
        let start = len.checked_mul(usize::from(plane))?;
        self.packed.get(start..start.checked_add(len)?)
    }

    /// The tokens.
    #[must_use]
    pub fn tokens(&self) -> Tokens {
        Tokens {
            grid: self.grid,
            bits: self.bits,
            values: unpack_planes(&self.packed, self.grid.len()),
            depths: self.depths.clone(),
        }
    }
}

impl StoredChunk {
    /// Undoes the coder and nothing else: the planes, without putting tokens together.
    ///
    /// # Errors
    /// As for [`unpack`](Self::unpack).
    pub fn unpack_planes(&self) -> Result<Planes> {
        let unpacked = self.unpacked().map_err(Broken::by_caller)?;
        Ok(Planes {
            grid: self.grid,
            bits: unpacked.bits,
            packed: unpacked.packed,
            depths: unpacked.depths,
        })
    }
}

#[cfg(feature = "bitvec")]
mod views {
    use bitvec::order::Lsb0;
    use bitvec::slice::BitSlice;

    use super::Planes;
    use crate::chunk::Tokens;
    use crate::depths::DepthMap;

    impl Planes {
        /// Plane `plane` as bits, one for each token, in the order of the tokens: width fastest, then height, then time.
        /// `None` if there is no such plane. Needs the feature `bitvec`.
        ///
        /// ```
        /// use latentbit_container::{Planes, TokenGrid, Tokens};
        /// let grid = TokenGrid { t: 1, h: 1, w: 3 };
        /// let planes = Planes::new(&Tokens::new(grid, 2, vec![0b01, 0b11, 0b10]))?;
        /// let plane = planes.plane_bits(0).expect("there are two");
        /// let most_important: Vec<bool> = plane.iter().by_vals().collect();
        /// assert_eq!(most_important, [true, true, false]);
        /// # Ok::<(), latentbit_container::Error>(())
        /// ```
        #[must_use]
        pub fn plane_bits(&self, plane: u8) -> Option<&BitSlice<u8, Lsb0>> {
            BitSlice::try_from_slice(self.plane(plane)?)
                .ok()?
                .get(..self.grid.len())
        }
    }

    impl Tokens {
        /// The bits of token `index`, the most important first; `None` if there is no such token. Needs the feature
        /// `bitvec`.
        ///
        /// ```
        /// use latentbit_container::{TokenGrid, Tokens};
        /// let grid = TokenGrid { t: 1, h: 1, w: 2 };
        /// let tokens = Tokens::new(grid, 3, vec![0b011, 0b100]);
        /// let token = tokens.token_bits(0).expect("there are two");
        /// let bits: Vec<bool> = token.iter().by_vals().collect();
        /// assert_eq!(bits, [true, true, false]);
        /// # Ok::<(), latentbit_container::Error>(())
        /// ```
        #[must_use]
        pub fn token_bits(&self, index: usize) -> Option<&BitSlice<u64, Lsb0>> {
            BitSlice::from_element(self.values.get(index)?).get(..usize::from(self.bits))
        }
    }

    #[cfg(test)]
    mod tests {
        use super::*;
        use crate::ground::TokenGrid;
        use proptest::prelude::*;

        proptest! {
            /// Bit `j` of token `i` is bit `i` of plane `j`, whichever way one looks.
            #[test]
            fn planes_and_tokens_show_the_same_bits(bits in 1u8..=64, values in proptest::collection::vec(any::<u64>(), 1..200)) {
                let grid = TokenGrid { t: 1, h: 1, w: values.len() as u32 };
                let values = values.iter().map(|value| value >> (64 - bits)).collect();
                let tokens = Tokens::new(grid, bits, values);
                let planes = Planes::new(&tokens).unwrap();
                for plane in 0..bits {
                    let view = planes.plane_bits(plane).unwrap();
                    prop_assert_eq!(view.len(), tokens.values.len());
                    for (index, bit) in view.iter().by_vals().enumerate() {
                        prop_assert_eq!(bit, tokens.values[index] >> plane & 1 == 1);
                        prop_assert_eq!(bit, tokens.token_bits(index).unwrap()[usize::from(plane)]);
                    }
                }
                prop_assert!(planes.plane_bits(bits).is_none());
                prop_assert!(tokens.token_bits(tokens.values.len()).is_none());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::chunk;
    use crate::{Compression, ErrorKind};

    #[test]
    fn planes_come_out_of_a_stored_chunk_as_they_went_in() {
        let grid = TokenGrid { t: 2, h: 3, w: 5 };
        let values: Vec<u64> = (0..30).map(|value| value * 0x9e37 % 0x2000).collect();
        for compression in [Compression::Raw, Compression::Cm] {
            let chunk = chunk(grid, 13, values.clone());
            let stored = StoredChunk::pack(&chunk, compression).unwrap();
            let planes = stored.unpack_planes().unwrap();
            assert_eq!(planes, Planes::new(&chunk.tokens).unwrap());
            assert_eq!(
                (planes.grid(), planes.bits(), planes.as_bytes().len()),
                (grid, 13, 13 * 4)
            );
            assert_eq!(planes.tokens(), chunk.tokens);
            assert_eq!(planes.plane(13), None);
        }
        let mut wrong = chunk(grid, 13, values).tokens;
        wrong.bits = 4;
        assert_eq!(Planes::new(&wrong).unwrap_err().kind(), ErrorKind::Parameter);
    }
}

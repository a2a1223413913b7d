//! The small types that everything else stands on.

use std::fmt;

/// A fraction. `den` is at least 1; a `num` of 0 says that the value is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rational {
    /// Numerator.
    pub num: u32,
    /// Denominator.
    pub den: u32,
}

impl Rational {
    /// The time base of chapters: ticks of a nanosecond.
    pub const NANOSECONDS: Self = Self {
        num: 1,
        den: 1_000_000_000,
    };
}

/// Which stream of a file, by its place in the header.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamId(pub u16);

impl StreamId {
    /// What records have that belong to the file as a whole.
    pub const NONE: Self = Self(u16::MAX);

    /// The place in [`Header::streams`](crate::Header::streams).
    #[must_use]
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

impl fmt::Display for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Sides of a chunk's block of tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TokenGrid {
    /// Tokens in time.
    pub t: u32,
    /// Tokens in height.
    pub h: u32,
    /// Tokens in width.
    pub w: u32,
}

impl TokenGrid {
    /// Number of tokens, or `None` if it does not fit.
    #[must_use]
    pub fn checked_len(self) -> Option<u64> {
        u64::from(self.t)
            .checked_mul(u64::from(self.h))?
            .checked_mul(u64::from(self.w))
    }

    /// Number of tokens; saturates.
    #[must_use]
    pub fn len(self) -> usize {
        self.checked_len()
            .and_then(|len| usize::try_from(len).ok())
            .unwrap_or(usize::MAX)
    }

    /// Whether there are no tokens.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.t == 0 || self.h == 0 || self.w == 0
    }
}

impl fmt::Display for TokenGrid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x{}x{}", self.t, self.h, self.w)
    }
}

/// The range of the sample values.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ColorRange {
    /// Not known.
    #[default]
    Unspecified,
    /// 16–235 for luma at 8 bits.
    Limited,
    /// 0–255 at 8 bits.
    Full,
}

/// The color of the source, in code points of ISO/IEC 23091-2 (H.273), where 2 is "unspecified" (LBIT §4.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Color {
    /// Color primaries.
    pub primaries: u8,
    /// Transfer characteristics.
    pub transfer: u8,
    /// Matrix coefficients.
    pub matrix: u8,
    /// Range of the sample values.
    pub range: ColorRange,
}

impl Color {
    /// Nothing is known.
    pub const UNKNOWN: Self = Self {
        primaries: 2,
        transfer: 2,
        matrix: 2,
        range: ColorRange::Unspecified,
    };
}

impl Default for Color {
    /// Nothing is known.
    fn default() -> Self {
        Self::UNKNOWN
    }
}

/// How the source sampled its color.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Chroma {
    /// YUV, chroma halved both ways.
    C420,
    /// YUV, chroma halved in width.
    C422,
    /// YUV, full chroma.
    C444,
    /// Luma only.
    Gray,
    /// RGB.
    Rgb,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn huge_grids_do_not_overflow() {
        let grid = TokenGrid {
            t: u32::MAX,
            h: u32::MAX,
            w: u32::MAX,
        };
        assert_eq!((grid.checked_len(), grid.len()), (None, usize::MAX));
        assert!(TokenGrid { t: 0, h: 1, w: 1 }.is_empty());
    }
}

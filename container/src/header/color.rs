//! How the source codes its color (LBIT §4.3).

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

impl Default for Color {
    /// Nothing is known.
    fn default() -> Self {
        Self {
            primaries: 2,
            transfer: 2,
            matrix: 2,
            range: ColorRange::Unspecified,
        }
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

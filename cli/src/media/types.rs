//! The few value types that media shares with the container and the codec.
//!
//! They come in through this one module, so that nothing else here cares where they are defined.

pub use latentbit_container::{Chroma, Color, ColorRange, Rational};

/// One picture, RGB interleaved, f32 in 0..=1, row-major.
#[derive(Debug, Clone, PartialEq)]
pub struct RgbFrame {
    /// Width in pixels.
    pub width: usize,
    /// Height in pixels.
    pub height: usize,
    /// `width * height * 3` values.
    pub data: Vec<f32>,
}

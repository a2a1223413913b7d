//! What comes out of a decoder.

use latentbit_container::PixelFrames;

use super::conceal::Fidelity;
use crate::frame::Frame;

/// A frame, and what it is.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct DecodedFrame {
    /// Its index in the stream.
    pub index: PixelFrames,
    /// Whether it is what the encoder meant.
    pub fidelity: Fidelity,
    /// The picture.
    pub frame: Frame,
}

impl From<DecodedFrame> for Frame {
    fn from(decoded: DecodedFrame) -> Self {
        decoded.frame
    }
}

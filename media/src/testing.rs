//! What tests of readers and writers share.

use super::types::{Chroma, Color};
use super::{MediaKind, Rational, VideoInfo};

/// A video of which nothing but its size is out of the ordinary.
pub(super) fn plain_info(width: u32, height: u32) -> VideoInfo {
    VideoInfo {
        width,
        height,
        frame_rate: Rational { num: 25, den: 1 },
        pixel_aspect: Rational { num: 0, den: 1 },
        color: Color::default(),
        chroma: Chroma::C420,
        chroma_location: 1,
        bit_depth: 8,
        frame_count: None,
        time_base: None,
        packet_streams: Vec::new(),
        kind: MediaKind::Video,
    }
}

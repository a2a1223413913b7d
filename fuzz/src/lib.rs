//! What the fuzz targets do; the targets themselves only hand bytes over.

pub mod bits;
pub mod cm;
pub mod index;
pub mod info;
pub mod parse;
pub mod push;
pub mod recover;
pub mod roundtrip;

use latentbit_container::Limits;

/// Small, so that a target runs fast, and tight, so that a bound that is not kept shows as memory.
pub const LIMITS: Limits = Limits::none()
    .with_max_frame_side(Some(4096))
    .with_max_header_bytes(Some(1 << 16))
    .with_max_streams(Some(8))
    .with_max_chunk_bytes(Some(1 << 20))
    .with_max_chunk_frames(Some(1 << 12))
    .with_max_chunk_tokens(Some(1 << 14))
    .with_max_packet_bytes(Some(1 << 16))
    .with_max_index_bytes(Some(1 << 16))
    .with_max_missing_frames(Some(1 << 10));

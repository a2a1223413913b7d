//! What the fuzz targets do; the targets themselves only hand bytes over.

pub mod bits;
mod budget;
pub mod checkpoint;
pub mod cm;
pub mod ebml;
pub mod index;
pub mod info;
pub mod list;
pub mod parse;
pub mod pickle;
pub mod push;
pub mod recover;
pub mod roundtrip;
pub mod safetensors;
pub mod sidecar;
pub mod still;
pub mod y4m;

// A command is no library: these are parts of it.
#[allow(dead_code)]
#[path = "../../cli/src/archive"]
mod archive {
    pub mod plan;
    pub mod row;
    pub mod list {
        pub mod rows;
    }
}
#[allow(dead_code)]
#[path = "../../cli/src/digest.rs"]
mod digest;
#[allow(dead_code, unused_imports)]
#[path = "../../cli/src/tokens/mod.rs"]
mod tokens;

use latentbit_container::Limits;

/// A file with these bytes.
pub(crate) fn on_disk(data: &[u8]) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().expect("a folder for temporary files");
    std::io::Write::write_all(&mut file, data).expect("room for a small file");
    file
}

/// Small, so that a target runs fast, and tight, so that a bound that is not kept shows as memory.
pub const LIMITS: Limits = Limits::none()
    .with_max_frame_side(Some(4096))
    .with_max_header_bytes(Some(1 << 16))
    .with_max_streams(Some(8))
    .with_max_chunk_bytes(Some(1 << 20))
    .with_max_chunk_frames(Some(1 << 12))
    .with_max_chunk_tokens(Some(1 << 14))
    .with_max_packet_bytes(Some(1 << 16))
    .with_max_attachment_bytes(Some(1 << 16))
    .with_max_index_bytes(Some(1 << 16))
    .with_max_missing_frames(Some(1 << 10));

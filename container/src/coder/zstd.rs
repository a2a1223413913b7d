//! Planes as zstd frames (LBIT §6.1).

use zstd::zstd_safe::{find_frame_compressed_size, get_frame_content_size};

use crate::error::{Broken, Error, Result};

/// Compresses each plane of `len` bytes.
pub(super) fn encode(level: i32, len: usize, packed: &[u8]) -> Result<Vec<Option<Vec<u8>>>> {
    let mut zstd = new_compressor(level)?;
    packed
        .chunks_exact(len)
        .map(|plane| {
            zstd.compress(plane)
                .map(Some)
                .map_err(|error| Error::parameter("bit-plane", "bytes that zstd can compress", error))
        })
        .collect()
}

fn new_compressor(level: i32) -> Result<zstd::bulk::Compressor<'static>> {
    let known = zstd::compression_level_range();
    if !known.contains(&level) {
        let expected = format!("{} to {}", known.start(), known.end());
        return Err(Error::parameter("zstd level", expected, level));
    }
    let refused = |error: std::io::Error| Error::parameter("zstd settings", "ones that zstd takes", error);
    let mut compressor = zstd::bulk::Compressor::new(level).map_err(refused)?;
    // Level, content size and window are all that readers rely on; the record has a checksum of its own.
    compressor.include_checksum(false).map_err(refused)?;
    compressor.include_contentsize(true).map_err(refused)?;
    Ok(compressor)
}

/// Unpacks planes, with one zstd context for all of them.
#[derive(Default)]
pub(super) struct Decoder(Option<zstd::bulk::Decompressor<'static>>);

impl Decoder {
    /// The content of the one frame in `from`, which may be `most` bytes long.
    pub fn decode_at_most(&mut self, from: &[u8], most: usize) -> Result<Vec<u8>, Broken> {
        let content = frame_content(from)?;
        let Some(len) = usize::try_from(content).ok().filter(|&len| len <= most) else {
            let expected = format!("at most {most} bytes");
            return Err(Broken::new("length of a layer", expected, content));
        };
        let mut to = vec![0; len];
        self.decode(from, &mut to)?;
        Ok(to)
    }

    /// Fills `to` with the content of the one frame in `from`.
    pub fn decode(&mut self, from: &[u8], to: &mut [u8]) -> Result<(), Broken> {
        let content = frame_content(from)?;
        if content != to.len() as u64 {
            return Err(Broken::new(
                "length of a bit-plane",
                format!("{} bytes", to.len()),
                content,
            ));
        }
        let bad = |found: String| Broken::new("compressed bit-plane", "a valid zstd frame", found);
        let zstd = match &mut self.0 {
            Some(zstd) => zstd,
            none => none.insert(zstd::bulk::Decompressor::new().map_err(|error| bad(error.to_string()))?),
        };
        match zstd.decompress_to_buffer(from, to) {
            Ok(written) if written as u64 == content => Ok(()),
            Ok(written) => Err(bad(format!("one of {written} bytes"))),
            Err(error) => Err(bad(error.to_string())),
        }
    }
}

/// The content size that a zstd frame declares, if `bytes` are exactly one frame.
fn frame_content(bytes: &[u8]) -> Result<u64, Broken> {
    let one_frame = || {
        Broken::new(
            "compressed bit-plane",
            "one zstd frame with its content size",
            "other bytes",
        )
    };
    let size = find_frame_compressed_size(bytes).map_err(|_| one_frame())?;
    if size != bytes.len() {
        return Err(one_frame());
    }
    match get_frame_content_size(bytes) {
        Ok(Some(content)) => Ok(content),
        _ => Err(one_frame()),
    }
}

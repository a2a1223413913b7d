//! Writes the seed corpus of `container_parse`: `cargo run --bin seeds` in this folder.

use std::fs;
use std::path::Path;

use latentbit_container::{
    BundleId, Chroma, ChunkPlan, Color, Compression, Header, PixelFrames, Rational, Writer, WriterOptions,
};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus/container_parse");
    fs::create_dir_all(&folder)?;
    let zstd = Compression::Zstd { level: 3 };
    let raw = Compression::Raw;
    for (name, size, frames, compression, index, constant) in [
        ("empty", 16, 0, raw, true, false),
        ("still", 24, 1, raw, true, false),
        ("groups", 24, 40, raw, true, false),
        ("no-index", 24, 13, raw, false, false),
        ("zstd", 128, 20, zstd, true, true),
    ] {
        let stream = stream(size, frames, WriterOptions { compression, index }, constant)?;
        fs::write(folder.join(format!("{name}.lbit")), &stream)?;
        if name == "groups" {
            fs::write(folder.join("cut.lbit"), &stream[..stream.len() / 2])?;
            let mut damaged = stream;
            let middle = damaged.len() / 2;
            damaged.drain(middle..middle + 9);
            fs::write(folder.join("damaged.lbit"), damaged)?;
        }
    }
    Ok(())
}

fn stream(
    size: u32,
    frames: u64,
    options: WriterOptions,
    constant: bool,
) -> Result<Vec<u8>, latentbit_container::Error> {
    let header = Header {
        width: size,
        height: 16,
        frame_rate: Rational { num: 25, den: 1 },
        pixel_aspect: Rational { num: 1, den: 1 },
        color: Color::default(),
        chroma: Chroma::C420,
        chroma_location: 0,
        bit_depth: 8,
        bundle: BundleId {
            name: "seed".to_owned(),
            sha256: [0x5e; 32],
        },
        bits: 3,
        bundle_bits: 18,
        patch: [1, 1, 1],
        strides: [4, 8, 8],
        chunk_latent_frames: 4,
        frame_count: None,
    };
    let mut writer = Writer::new(Vec::new(), &header, options)?;
    for planned in ChunkPlan::new(PixelFrames(frames), 4, 2, 4) {
        let grid = header.grid(planned.latent_frames);
        let token = |i: u64| if constant { 5 } else { i * 3 % 8 };
        writer.write_chunk(&planned.with_tokens(&header, (0..grid.len() as u64).map(token).collect()))?;
    }
    Ok(writer.finish()?.0)
}

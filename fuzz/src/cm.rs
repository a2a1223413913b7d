//! The decoders of planes on any bytes, and the round trip of any tokens through every coder.

use latentbit_container::{
    Chunk, ChunkHead, Coder, Compression, LatentFrames, PixelFrames, StoredChunk, StoredPlane, Times,
    TokenGrid, Tokens,
};

pub fn run(data: &[u8]) {
    let Some((&[t, h, w, bits, what], data)) = data.split_first_chunk::<5>() else {
        return;
    };
    let grid = TokenGrid {
        t: 1 + u32::from(t % 4),
        h: 1 + u32::from(h % 24),
        w: 1 + u32::from(w % 24),
    };
    let bits = 1 + bits % 64;
    if what & 1 == 0 {
        decode(grid, bits, what, data);
    } else {
        round_trip(grid, bits, what, data);
    }
}

/// Planes that nobody coded.
fn decode(grid: TokenGrid, bits: u8, what: u8, data: &[u8]) {
    let len = grid.len().div_ceil(8);
    let mut rest = data;
    let mut planes = Vec::new();
    for _ in 0..bits {
        let Some((&size, after)) = rest.split_first() else {
            break;
        };
        let coded = size & 0x80 == 0;
        let wanted = if coded { usize::from(size) } else { len };
        let (bytes, after) = after.split_at(wanted.min(after.len()));
        rest = after;
        planes.push(StoredPlane {
            coded,
            bytes: bytes.to_vec(),
        });
    }
    let coder = if what & 2 == 0 { Coder::Cm } else { Coder::Zstd };
    let stored = StoredChunk {
        head: ChunkHead {
            frame_count: PixelFrames(1),
            latent_frames: LatentFrames(1),
            key: true,
            ..ChunkHead::default()
        },
        times: Times::default(),
        grid,
        coder,
        planes,
    };
    if let Ok(chunk) = stored.unpack() {
        assert!(chunk.tokens.validate().is_ok());
    }
}

/// Tokens made of the bytes, over and over.
fn round_trip(grid: TokenGrid, bits: u8, what: u8, data: &[u8]) {
    let mut bytes = data.iter().copied().cycle();
    let mut word = || (0..8).fold(0, |word, _| word << 8 | u64::from(bytes.next().unwrap_or(0)));
    let values = (0..grid.len()).map(|_| word() >> (64 - bits)).collect();
    let chunk = Chunk {
        head: ChunkHead {
            frame_count: PixelFrames(1),
            latent_frames: LatentFrames(1),
            key: true,
            ..ChunkHead::default()
        },
        times: Times::default(),
        tokens: Tokens { grid, bits, values },
    };
    let compression = match what >> 1 & 3 {
        0 => Compression::Zstd { level: 1 },
        1 => Compression::Raw,
        _ => Compression::Cm,
    };
    let mut stored = StoredChunk::pack(&chunk, compression).expect("legal tokens");
    assert_eq!(stored.unpack().expect("what was packed"), chunk);
    let kept = 1 + what % bits;
    stored.truncate_bits(kept);
    let mut few = chunk;
    few.tokens.truncate_bits(kept);
    assert_eq!(stored.unpack().expect("fewer planes"), few);
}

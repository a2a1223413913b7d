//! The decoders of planes on any bytes, and the round trip of any tokens through every coder.

use latentbit_container::{
    Chunk, ChunkHead, Coder, Compression, DepthMap, LatentFrames, LayerSizes, PixelFrames, StoredChunk,
    StoredPlane, Times, TokenGrid, Tokens,
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
    // With a step, tokens have depths.
    let step = what >> 3;
    if what & 1 == 0 {
        decode(grid, bits, what, step, data);
    } else {
        round_trip(grid, bits, what, step, data);
    }
}

/// Planes or layers that nobody coded.
fn decode(grid: TokenGrid, bits: u8, what: u8, step: u8, data: &[u8]) {
    let len = grid.len().div_ceil(8);
    let mut rest = data;
    let mut planes = Vec::new();
    let layers = (step > 0).then_some(LayerSizes { step, bits });
    for _ in 0..layers.map_or(usize::from(bits), LayerSizes::count) {
        let Some((&size, after)) = rest.split_first() else {
            break;
        };
        let coded = size & 0x80 == 0;
        let wanted = if coded || step > 0 {
            usize::from(size & 0x7f)
        } else {
            len
        };
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
        layers,
    };
    if let Ok(chunk) = stored.unpack() {
        assert!(chunk.tokens.validate().is_ok());
    }
}

/// Tokens made of the bytes, over and over.
fn round_trip(grid: TokenGrid, bits: u8, what: u8, step: u8, data: &[u8]) {
    let mut bytes = data.iter().copied().cycle();
    let mut word = || (0..8).fold(0, |word, _| word << 8 | u64::from(bytes.next().unwrap_or(0)));
    let values = (0..grid.len()).map(|_| word() >> (64 - bits)).collect();
    let mut tokens = Tokens::new(grid, bits, values);
    if step > 0 {
        let most = u64::from(bits.div_ceil(step));
        let depth = |_| (word() % (most + 1) * u64::from(step)).min(u64::from(bits)) as u8;
        let values = (0..grid.len()).map(depth).collect();
        tokens = tokens.with_depths(DepthMap { step, values });
    }
    let chunk = Chunk {
        head: ChunkHead {
            frame_count: PixelFrames(1),
            latent_frames: LatentFrames(1),
            key: true,
            ..ChunkHead::default()
        },
        times: Times::default(),
        tokens,
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
    // Whole layers, at least one.
    let whole = if step > 0 && kept < bits {
        (kept / step * step).max(step)
    } else {
        kept
    };
    few.tokens.truncate_bits(whole);
    assert_eq!(stored.unpack().expect("fewer planes"), few);
}

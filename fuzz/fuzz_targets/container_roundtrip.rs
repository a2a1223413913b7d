//! Any legal stream: what is written is read back, unchanged and complete.
#![no_main]

use arbitrary::Arbitrary;
use latentbit_container::{
    BundleId, Chroma, ChunkPlan, Color, Compression, Header, Limits, PixelFrames, Rational, Reader, Status,
    Writer, WriterOptions,
};
use libfuzzer_sys::fuzz_target;

#[derive(Arbitrary, Debug)]
struct Input {
    size: (u8, u8),
    rate: (u32, u32),
    color: [u8; 3],
    bits: u8,
    patch: [u8; 3],
    strides: [u8; 3],
    chunk_latent_frames: u8,
    chunks_per_group: u8,
    frames: u8,
    promise: bool,
    level: Option<u8>,
    index: bool,
    tokens: Vec<u64>,
}

fn header(input: &Input) -> Header {
    let bits = 1 + input.bits % 64;
    Header {
        width: 1 + u32::from(input.size.0),
        height: 1 + u32::from(input.size.1),
        frame_rate: Rational {
            num: input.rate.0,
            den: input.rate.1.max(1),
        },
        pixel_aspect: Rational { num: 1, den: 1 },
        color: Color {
            primaries: input.color[0],
            transfer: input.color[1],
            matrix: input.color[2],
            ..Color::default()
        },
        chroma: Chroma::C420,
        chroma_location: 0,
        bit_depth: 8,
        bundle: BundleId {
            name: "fuzz".to_owned(),
            sha256: [1; 32],
        },
        bits,
        bundle_bits: 64,
        patch: input.patch.map(|side| 1 + side % 4),
        strides: input.strides.map(|stride| 1 + stride % 16),
        chunk_latent_frames: 1 + u16::from(input.chunk_latent_frames % 4),
        frame_count: input.promise.then_some(PixelFrames(u64::from(input.frames % 40))),
    }
}

fuzz_target!(|input: Input| {
    let header = header(&input);
    let compression = match input.level {
        None => Compression::Raw,
        Some(level) => Compression::Zstd {
            level: 1 + i32::from(level % 5),
        },
    };
    let mut writer = Writer::new(
        Vec::new(),
        &header,
        WriterOptions {
            compression,
            index: input.index,
        },
    )
    .expect("a legal header");
    let frames = PixelFrames(u64::from(input.frames % 40));
    let mut values = input.tokens.iter().copied().cycle();
    let mut chunks = Vec::new();
    for planned in ChunkPlan::new(
        frames,
        header.chunk_latent_frames,
        u32::from(input.chunks_per_group % 4),
        header.strides[0],
    ) {
        let grid = header.grid(planned.latent_frames);
        if grid.len() > 1 << 14 {
            return;
        }
        let bits = header.bits;
        let chunk = planned.with_tokens(
            &header,
            (0..grid.len())
                .map(|_| values.next().unwrap_or(0) >> (64 - bits))
                .collect(),
        );
        writer.write_chunk(&chunk).expect("a legal chunk");
        chunks.push(chunk);
    }
    let (bytes, summary) = writer.finish().expect("a legal end");
    assert_eq!(summary.bytes, bytes.len() as u64);

    let mut reader = Reader::new(&bytes[..], Limits::default()).expect("a readable header");
    assert_eq!(reader.header(), &header);
    for chunk in &chunks {
        assert_eq!(
            reader.next_chunk().expect("a readable chunk").as_ref(),
            Some(chunk)
        );
    }
    assert_eq!(reader.next_chunk().expect("a readable end"), None);
    assert_eq!(
        reader.status(),
        Status::Complete {
            totals: summary.totals,
            tail: true
        }
    );
});

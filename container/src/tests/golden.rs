//! A stream byte for byte: the example of LBIT §12.

use super::read_all;
use crate::{
    BundleId, Chroma, Chunk, ChunkHead, Color, ColorRange, Compression, LatentFrames, PixelFrames, Rational,
    Times, TokenGrid, Tokens, VideoStream, Writer, WriterOptions,
};

const STREAM: &str = "\
    8c 4c 42 49 54 0d 0a 1a
    a7 4c 42 0a 48 45 41 44 00 00 ff ff 74 00 00 00 00 00 00 00 00 00 00 00 7e a2 ab 84
    01 00 00 00 00 00 01 00 64 00 00 00 01 00 00 00 21 00 00 00 10 00 00 00 19 00 00 00 01 00 00 00
    01 00 00 00 19 00 00 00 01 00 00 00 01 00 00 00 01 00 00 00 01 00 00 00 00 00 00 00 01 0d 00 02
    04 00 08 03 12 01 01 01 04 08 08 04 04 00 00 00 00 01 02 03 04 05 06 07 08 09 0a 0b 0c 0d 0e 0f
    10 11 12 13 14 15 16 17 18 19 1a 1b 1c 1d 1e 1f 74 69 6e 79
    6f 54 d8 ef
    a7 4c 42 0a 43 48 4e 4b 00 00 00 00 2e 00 00 00 00 00 00 00 00 00 00 00 1e e8 25 65
    6f 54 d8 ef 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 01 00 00 00 00 00 00 00 01 00 01 03
    01 00 02 00 05 00 00 00 4b 03 cc 00 a9 02
    93 1a 70 ec
    a7 4c 42 0a 45 4e 44 53 00 00 ff ff 34 00 00 00 00 00 00 00 00 00 00 00 de 0c 57 7b
    01 00 00 00 01 00 00 00 00 00 00 00 01 00 00 00 00 00 00 00 ef 72 56 db c7 d2 87 0d 59 e8 a9 60
    5c 8e c9 2a 73 85 23 af db 6b 9e 8b 75 63 98 89 c2 6f 26 11
    ad d1 19 8b";

fn bytes(hex: &str) -> Vec<u8> {
    hex.split_whitespace()
        .map(|byte| u8::from_str_radix(byte, 16).unwrap())
        .collect()
}

fn example() -> (VideoStream, Chunk) {
    let video = VideoStream {
        width: 33,
        height: 16,
        frame_rate: Rational { num: 25, den: 1 },
        time_base: Rational { num: 1, den: 25 },
        frame_duration: 1,
        pixel_aspect: Rational { num: 1, den: 1 },
        color: Color {
            primaries: 1,
            transfer: 13,
            matrix: 0,
            range: ColorRange::Full,
        },
        chroma: Chroma::Rgb,
        chroma_location: 0,
        bit_depth: 8,
        bundle: BundleId {
            name: "tiny".to_owned(),
            sha256: std::array::from_fn(|i| i as u8),
        },
        bits: 3,
        bundle_bits: 18,
        patch: [1, 1, 1],
        strides: [4, 8, 8],
        chunk_latent_frames: 4,
        frame_count: Some(PixelFrames(1)),
    };
    let chunk = Chunk {
        head: ChunkHead {
            frame_count: PixelFrames(1),
            latent_frames: LatentFrames(1),
            key: true,
            ..ChunkHead::default()
        },
        times: Times::default(),
        tokens: Tokens {
            grid: TokenGrid { t: 1, h: 2, w: 5 },
            bits: 3,
            values: vec![
                0b101, 0b001, 0b010, 0b111, 0b000, 0b100, 0b011, 0b110, 0b001, 0b101,
            ],
        },
    };
    (video, chunk)
}

#[test]
fn written_byte_for_byte() {
    let (video, chunk) = example();
    let options = WriterOptions {
        compression: Compression::Raw,
        ..WriterOptions::default()
    };
    let mut writer = Writer::new(Vec::new(), &video.into(), options).unwrap();
    writer.write_chunk(&chunk).unwrap();
    let (stream, summary) = writer.finish().unwrap();
    let dump: Vec<String> = stream.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(stream, bytes(STREAM), "{}", dump.join(" "));
    assert_eq!(summary.bytes, stream.len() as u64);
}

#[test]
fn read_back() {
    let (video, chunk) = example();
    assert_eq!(read_all(&bytes(STREAM)).unwrap(), (video, vec![chunk]));
}

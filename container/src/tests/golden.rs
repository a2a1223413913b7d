//! A stream byte for byte: the example of LBIT §10.

use super::read_all;
use crate::{
    BundleId, Chroma, Chunk, Color, ColorRange, Compression, Header, LatentFrames, PixelFrames, Rational,
    TokenGrid, Tokens, Writer, WriterOptions,
};

const STREAM: &str = "\
    8c 4c 42 49 54 0d 0a 1a
    a7 4c 42 0a 48 45 41 44 00 00 00 00 60 00 00 00 00 00 00 00 00 00 00 00 0a 10 d3 89
    00 00 00 00 00 00 00 00 21 00 00 00 10 00 00 00 19 00 00 00 01 00 00 00 01 00 00 00 01 00 00 00
    01 00 00 00 00 00 00 00 01 0d 00 02 04 00 08 03 12 01 01 01 04 08 08 04 04 00 00 00 00 01 02 03
    04 05 06 07 08 09 0a 0b 0c 0d 0e 0f 10 11 12 13 14 15 16 17 18 19 1a 1b 1c 1d 1e 1f 74 69 6e 79
    06 84 d9 e5
    a7 4c 42 0a 43 48 4e 4b 00 00 00 00 25 00 00 00 00 00 00 00 00 00 00 00 10 4c b7 14
    00 00 00 00 00 00 00 00 01 00 00 00 01 00 01 03 01 00 00 00 02 00 00 00 05 00 00 00 00 00 00 4b
    03 cc 00 a9 02
    dd 66 f0 99
    a7 4c 42 0a 45 4e 44 53 00 00 00 00 10 00 00 00 01 00 00 00 00 00 00 00 30 88 ac ae
    01 00 00 00 00 00 00 00 01 00 00 00 00 00 00 00
    5a da 79 8e
    a7 4c 42 0a 69 6e 64 78 00 00 00 00 24 00 00 00 01 00 00 00 00 00 00 00 6f 00 a2 90
    1c 00 00 00 01 00 00 00 88 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 45 00 00 00 01 00 00 00
    01 00 01 03
    12 9d 48 b9
    a7 4c 42 0a 74 61 69 6c 00 00 00 00 0c 00 00 00 01 00 00 00 00 00 00 00 76 e7 65 0c
    fd 00 00 00 00 00 00 00 44 00 00 00
    ff e6 81 b5";

fn bytes(hex: &str) -> Vec<u8> {
    hex.split_whitespace()
        .map(|byte| u8::from_str_radix(byte, 16).unwrap())
        .collect()
}

fn example() -> (Header, Chunk) {
    let header = Header {
        width: 33,
        height: 16,
        frame_rate: Rational { num: 25, den: 1 },
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
        sequence: 0,
        first_frame: PixelFrames(0),
        frame_count: PixelFrames(1),
        latent_frames: LatentFrames(1),
        key: true,
        tokens: Tokens {
            grid: TokenGrid { t: 1, h: 2, w: 5 },
            bits: 3,
            values: vec![
                0b101, 0b001, 0b010, 0b111, 0b000, 0b100, 0b011, 0b110, 0b001, 0b101,
            ],
        },
    };
    (header, chunk)
}

#[test]
fn written_byte_for_byte() {
    let (header, chunk) = example();
    let options = WriterOptions {
        compression: Compression::Raw,
        index: true,
    };
    let mut writer = Writer::new(Vec::new(), &header, options).unwrap();
    writer.write_chunk(&chunk).unwrap();
    let (stream, summary) = writer.finish().unwrap();
    let dump: Vec<String> = stream.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(stream, bytes(STREAM), "{}", dump.join(" "));
    assert_eq!(summary.bytes, stream.len() as u64);
}

#[test]
fn read_back() {
    let (header, chunk) = example();
    assert_eq!(read_all(&bytes(STREAM)).unwrap(), (header, vec![chunk]));
}

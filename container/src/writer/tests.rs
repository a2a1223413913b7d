//! What a writer refuses, what reaches the other end when, and a stream byte for byte: the example of LBIT §12.

use std::cell::RefCell;
use std::io::{self, Write};
use std::rc::Rc;

use super::*;
use crate::testing::{read_all, small};
use crate::{
    BundleId, Chroma, Chunk, ChunkHead, Color, ColorRange, Compression, ErrorKind, LatentFrames, PixelFrames,
    Rational, Times, TokenGrid, Tokens, VideoStream,
};

/// Counts whole writes and flushes; fails at a given flush.
#[derive(Clone, Default)]
struct Pipe(Rc<RefCell<(Vec<usize>, usize)>>, Option<usize>);

impl Write for Pipe {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.borrow_mut().0.push(bytes.len());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        let flushes = &mut self.0.borrow_mut().1;
        *flushes += 1;
        if self.1 == Some(*flushes) {
            Err(io::ErrorKind::BrokenPipe.into())
        } else {
            Ok(())
        }
    }
}

#[test]
fn each_chunk_is_one_write_and_flushed() {
    let (video, chunks, _) = small();
    let pipe = Pipe::default();
    let seen = pipe.0.clone();
    let mut writer = Writer::new(pipe, &video.into(), WriterOptions::default()).unwrap();
    assert_eq!((seen.borrow().0.len(), seen.borrow().1), (1, 1));
    for (n, chunk) in chunks.iter().enumerate() {
        writer.write_chunk(chunk).unwrap();
        assert_eq!((seen.borrow().0.len(), seen.borrow().1), (n + 2, n + 2));
    }
    let (_, summary) = writer.finish().unwrap();
    assert_eq!(summary.bytes, seen.borrow().0.iter().sum::<usize>() as u64);
    assert_eq!(summary.totals[0].frames, PixelFrames(21));
}

#[test]
fn nothing_follows_a_failed_write() {
    let (video, chunks, _) = small();
    let pipe = Pipe(Rc::default(), Some(2));
    let seen = pipe.0.clone();
    let mut writer = Writer::new(pipe, &video.into(), WriterOptions::default()).unwrap();
    let error = writer.write_chunk(&chunks[0]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Io);
    let written = seen.borrow().0.len();
    assert_eq!(writer.write_chunk(&chunks[0]).unwrap_err().kind(), ErrorKind::Io);
    assert_eq!(writer.finish().map(|_| ()).unwrap_err().kind(), ErrorKind::Io);
    assert_eq!(seen.borrow().0.len(), written);
}

#[test]
fn chunks_that_do_not_fit_are_refused() {
    let (video, chunks, _) = small();
    let mut writer = Writer::new(Vec::new(), &video.into(), WriterOptions::default()).unwrap();
    let mut refused = |n: usize, change: &dyn Fn(&mut crate::Chunk)| {
        let mut chunk = chunks[n].clone();
        change(&mut chunk);
        let error = writer.write_chunk(&chunk).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Parameter);
        error.to_string()
    };
    assert!(refused(1, &|_| ()).contains("chunk number"));
    assert!(refused(0, &|c| c.first_frame = PixelFrames(1)).contains("first frame"));
    assert!(
        refused(1, &|c| (c.sequence, c.first_frame) = (0, PixelFrames(0))).contains("key chunk at the start")
    );
    assert!(refused(0, &|c| c.frame_count = PixelFrames(6)).contains("frames of a chunk: expected 1 to 5"));
    assert!(refused(0, &|c| c.frame_count = PixelFrames(0)).contains("frames of a chunk"));
    assert!(refused(0, &|c| c.latent_frames = LatentFrames(3)).contains("latent frames of a chunk"));
    assert!(refused(0, &|c| c.latent_frames = LatentFrames(1)).contains("expected 1 to 1"));
    assert!(refused(0, &|c| c.tokens.bits = 4).contains("bits per token: expected 1 to 3"));
    assert!(refused(0, &|c| c.tokens.values[0] = 8).contains("token"));
    assert!(refused(0, &|c| (c.tokens.grid.h, c.tokens.grid.w) = (3, 2)).contains("token grid"));
    assert!(refused(0, &|c| c.stream = StreamId(1)).contains("stream of a chunk"));
    assert!(refused(0, &|c| c.times.durations = Some(vec![1])).contains("durations of frames"));

    writer.write_chunk(&chunks[0]).unwrap();
    let mut short = chunks[1].clone();
    short.frame_count = PixelFrames(7);
    writer.write_chunk(&short).unwrap();
    let mut after = chunks[1].clone();
    (after.sequence, after.first_frame) = (2, PixelFrames(12));
    assert!(
        writer
            .write_chunk(&after)
            .unwrap_err()
            .to_string()
            .contains("not full")
    );

    let mut early = chunks[1].clone();
    (early.sequence, early.first_frame, early.key) = (2, PixelFrames(12), true);
    (early.latent_frames, early.frame_count) = (LatentFrames(2), PixelFrames(5));
    early.times.start = 4;
    assert!(
        writer
            .write_chunk(&early)
            .unwrap_err()
            .to_string()
            .contains("start time")
    );
}

/// The example of LBIT §12.
const EXAMPLE: &str = "\
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
        depth_step: None,
    };
    let chunk = Chunk {
        head: ChunkHead {
            frame_count: PixelFrames(1),
            latent_frames: LatentFrames(1),
            key: true,
            ..ChunkHead::default()
        },
        times: Times::default(),
        tokens: Tokens::new(
            TokenGrid { t: 1, h: 2, w: 5 },
            3,
            vec![
                0b101, 0b001, 0b010, 0b111, 0b000, 0b100, 0b011, 0b110, 0b001, 0b101,
            ],
        ),
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
    assert_eq!(stream, bytes(EXAMPLE), "{}", dump.join(" "));
    assert_eq!(summary.bytes, stream.len() as u64);
}

#[test]
fn read_back() {
    let (video, chunk) = example();
    assert_eq!(read_all(&bytes(EXAMPLE)).unwrap(), (video, vec![chunk]));
}

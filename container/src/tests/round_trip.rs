//! What is written is read back, however the input arrives.

use std::io::{self, Read};

use proptest::prelude::*;

use super::{read_all, small, write};
use crate::testing::{any_header, chunks};
use crate::{
    Chunk, Compression, Event, Limits, Next, Parser, PixelFrames, ReadMode, Reader, Status, Totals, Writer,
    WriterOptions, scan,
};

/// Gives one byte at a time, with an interruption before each.
struct Trickle<'a>(&'a [u8], bool);

impl Read for Trickle<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.1 = !self.1;
        match (self.1, self.0.split_first()) {
            (true, _) => Err(io::ErrorKind::Interrupted.into()),
            (false, None) => Ok(0),
            (false, Some((&byte, rest))) => {
                buffer[0] = byte;
                self.0 = rest;
                Ok(1)
            }
        }
    }
}

#[test]
fn one_byte_at_a_time() {
    let (header, expected, bytes) = small();
    let mut reader = Reader::new(Trickle(&bytes, false), Limits::default()).unwrap();
    assert_eq!(reader.header(), &header);
    for chunk in expected {
        assert_eq!(reader.next_chunk().unwrap(), Some(chunk));
    }
    assert_eq!(reader.status(), Status::Reading);
    assert!(reader.next_chunk().unwrap().is_none());
    let totals = Totals {
        frames: PixelFrames(21),
        chunks: 4,
    };
    assert_eq!(reader.status(), Status::Complete { totals, tail: true });
}

#[test]
fn a_chunk_comes_with_its_last_byte() {
    let (_, chunks, bytes) = small();
    let info = scan(&bytes[..], Limits::default(), ReadMode::Strict)
        .unwrap()
        .chunks;
    let mut parser = Parser::new(Limits::default(), ReadMode::Strict);
    let mut next = 0;
    for (at, byte) in bytes.iter().enumerate() {
        parser.push(&[*byte]);
        match parser.poll().unwrap() {
            Next::NeedInput => {}
            Next::Event(Event::Chunk(chunk)) => {
                assert_eq!(at as u64 + 1, info[next].offset + info[next].stored_len);
                assert_eq!(chunk, chunks[next]);
                next += 1;
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(next, chunks.len());
}

#[test]
fn a_stream_without_chunks() {
    let header = crate::testing::header();
    let bytes = write(&header, &[], WriterOptions::default());
    assert_eq!(read_all(&bytes).unwrap(), (header, vec![]));
}

#[test]
fn planes_are_dropped_without_unpacking() {
    let (mut header, mut chunks, bytes) = small();
    header.bits = 2;
    let mut reader = Reader::new(&bytes[..], Limits::default()).unwrap();
    let mut writer = Writer::new(Vec::new(), &header, WriterOptions::default()).unwrap();
    while let Some(mut stored) = reader.next_stored().unwrap() {
        stored.truncate_bits(2);
        writer.write_stored(&stored).unwrap();
    }
    chunks.iter_mut().for_each(|chunk| chunk.tokens.truncate_bits(2));
    assert_eq!(read_all(&writer.finish().unwrap().0).unwrap(), (header, chunks));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn whole_streams(
        mut header in any_header(), frames in 0u64..60, group in 0u32..4, seed in any::<u64>(),
        level in proptest::option::of(-3i32..4), index in any::<bool>(), piece in 1usize..5000,
    ) {
        if header.frame_count.is_some() {
            header.frame_count = Some(PixelFrames(frames));
        }
        let chunks = chunks(&header, frames, group, seed);
        let compression = level.map_or(Compression::Raw, |level| Compression::Zstd { level });
        let bytes = write(&header, &chunks, WriterOptions { compression, index });
        prop_assert_eq!(&read_all(&bytes).unwrap(), &(header, chunks.clone()));

        let mut parser = Parser::new(Limits::default(), ReadMode::Resync);
        let mut read: Vec<Chunk> = Vec::new();
        let mut pieces = bytes.chunks(piece);
        loop {
            match parser.poll().unwrap() {
                Next::NeedInput => match pieces.next() {
                    Some(piece) => parser.push(piece),
                    None => parser.finish(),
                },
                Next::Event(Event::Chunk(chunk)) => read.push(chunk),
                Next::Event(other) => prop_assert!(false, "{:?}", other),
                Next::End => break,
            }
        }
        prop_assert_eq!(read, chunks);
    }
}

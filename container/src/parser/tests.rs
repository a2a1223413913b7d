//! Damage of every kind: no panic, the right error, and in `Resync` every other chunk intact (LBIT §10).
#![allow(
    clippy::single_range_in_vec_init,
    reason = "a list of one stretch is what is meant"
)]

use std::ops::Range;

use proptest::prelude::*;

use crate::record::MAGIC;
use crate::testing::{boundaries, read_strict, small};
use crate::{Chunk, Error, ErrorKind, Event, Limits, ReadMode, Reader, Status};

/// What a reader that goes on reports of a stream.
#[derive(Debug, Default)]
struct Salvage {
    chunks: Vec<Chunk>,
    lost: Vec<Range<u64>>,
    missing: Vec<Range<u64>>,
    missing_frames: u64,
    error: Option<Error>,
}

fn salvage(bytes: &[u8]) -> Salvage {
    let mut found = Salvage::default();
    let mut reader = match Reader::with_mode(bytes, Limits::default(), ReadMode::Resync) {
        Ok(reader) => reader,
        Err(error) => {
            return Salvage {
                error: Some(error),
                ..found
            };
        }
    };
    loop {
        match reader.next_event() {
            Ok(Some(Event::Chunk(chunk))) => found.chunks.push(chunk),
            Ok(Some(Event::Lost(lost))) => found.lost.push(lost.offset..lost.offset + lost.bytes),
            Ok(Some(Event::Missing { chunks, frames, .. })) => {
                found.missing_frames += frames.end - frames.start;
                found.missing.push(chunks);
            }
            Ok(Some(other)) => panic!("{other:?}"),
            Ok(None) => return found,
            Err(error) => {
                found.error = Some(error);
                return found;
            }
        }
    }
}

/// All but the chunks in `without`.
fn others(chunks: &[Chunk], without: Range<u64>) -> Vec<Chunk> {
    chunks
        .iter()
        .filter(|chunk| !without.contains(&chunk.sequence))
        .cloned()
        .collect()
}

#[test]
fn cut_at_every_byte() {
    let (_, chunks, bytes) = small();
    let records = boundaries(&bytes);
    for len in 0..bytes.len() {
        let (read, status, error) = read_strict(&bytes[..len]);
        // The header is the first record, the end record comes after the last chunk.
        let whole = records[2..]
            .iter()
            .take(chunks.len())
            .filter(|&&end| end <= len)
            .count();
        assert_eq!(read, chunks[..whole], "{len}");
        if len >= records[chunks.len() + 2] {
            assert!(error.is_none(), "{len}: {error:?}");
            assert!(matches!(status, Status::Complete { tail: false }), "{len}");
        } else {
            let error = error.unwrap();
            assert_eq!(
                (error.kind(), error.offset()),
                (ErrorKind::Truncated, Some(len as u64)),
                "{len}"
            );
            if len >= records[1] {
                assert_eq!(status, Status::Truncated { offset: len as u64 });
            }
        }
        let salvaged = salvage(&bytes[..len]);
        assert_eq!(salvaged.chunks, chunks[..whole], "{len}");
    }
}

#[test]
fn every_bit_flipped() {
    let (_, chunks, bytes) = small();
    let records = boundaries(&bytes);
    for bit in 0..bytes.len() * 8 {
        let mut bad = bytes.clone();
        bad[bit / 8] ^= 1 << (bit % 8);
        let (read, _, error) = read_strict(&bad);
        assert!(error.is_some(), "bit {bit}");
        assert_eq!(read, chunks[..read.len()], "bit {bit}");

        let found = salvage(&bad);
        let record = records.iter().filter(|&&start| start <= bit / 8).count();
        match record {
            // Magic and header: nothing can be read.
            0 | 1 => assert!(found.error.is_some() && found.chunks.is_empty(), "bit {bit}"),
            n if n < chunks.len() + 2 => {
                let number = n as u64 - 2;
                assert!(found.error.is_none(), "bit {bit}: {:?}", found.error);
                assert_eq!(found.chunks, others(&chunks, number..number + 1), "bit {bit}");
                assert_eq!(found.missing, [number..number + 1], "bit {bit}");
                assert_eq!(found.missing_frames, chunks[n - 2].frame_count.0, "bit {bit}");
                assert_eq!(
                    found.lost,
                    [records[n - 1] as u64..records[n] as u64],
                    "bit {bit}"
                );
            }
            n => {
                // Without its end record a stream counts as truncated.
                assert_eq!(found.chunks, chunks, "bit {bit}");
                assert_eq!(
                    found.error.is_some(),
                    n == chunks.len() + 2,
                    "bit {bit}: {:?}",
                    found.error
                );
            }
        }
    }
}

#[test]
fn every_byte_dropped_or_doubled() {
    let (_, chunks, bytes) = small();
    let records = boundaries(&bytes);
    for at in records[1]..records[chunks.len() + 1] {
        let number = records.iter().filter(|&&start| start <= at).count() as u64 - 2;
        let mut dropped = bytes.clone();
        dropped.remove(at);
        let found = salvage(&dropped);
        assert!(found.error.is_none(), "{at}: {:?}", found.error);
        assert_eq!(found.chunks, others(&chunks, number..number + 1), "{at}");
        assert!(read_strict(&dropped).2.is_some(), "{at}");

        let mut doubled = bytes.clone();
        doubled.insert(at, bytes[at]);
        let found = salvage(&doubled);
        assert!(found.error.is_none(), "{at}: {:?}", found.error);
        // A byte more right before a record harms none of them.
        if found.chunks != chunks {
            assert_eq!(found.chunks, others(&chunks, number..number + 1), "{at}");
        }
        assert!(read_strict(&doubled).2.is_some(), "{at}");
    }
}

#[test]
fn records_dropped_doubled_or_swapped() {
    let (_, chunks, bytes) = small();
    let records = boundaries(&bytes);
    let record = |n: usize| &bytes[records[n]..records[n + 1]];
    for n in 1..=chunks.len() {
        let number = n as u64 - 1;
        let dropped = [&bytes[..records[n]], &bytes[records[n + 1]..]].concat();
        let found = salvage(&dropped);
        assert_eq!(found.chunks, others(&chunks, number..number + 1));
        assert_eq!(
            (&found.missing[..], &found.lost[..]),
            (&[number..number + 1][..], &[][..])
        );
        assert_eq!(read_strict(&dropped).2.unwrap().kind(), ErrorKind::Format);

        let doubled = [&bytes[..records[n + 1]], &bytes[records[n]..]].concat();
        let found = salvage(&doubled);
        assert_eq!(
            (&found.chunks, found.lost.len(), found.missing.len()),
            (&chunks, 1, 0)
        );
        assert_eq!(read_strict(&doubled).2.unwrap().kind(), ErrorKind::Format);
    }
    let swapped = [&bytes[..records[2]], record(3), record(2), &bytes[records[4]..]].concat();
    let found = salvage(&swapped);
    assert_eq!(found.chunks, others(&chunks, 1..2));
    assert_eq!(read_strict(&swapped).2.unwrap().kind(), ErrorKind::Format);
}

#[test]
fn stretch_of_zeros() {
    let (_, chunks, bytes) = small();
    let records = boundaries(&bytes);
    let mut bad = bytes.clone();
    bad[records[1] + 40..records[3] + 5].fill(0);
    let found = salvage(&bad);
    assert_eq!(found.chunks, chunks[3..]);
    assert_eq!(found.missing, [0..3]);
    assert_eq!(found.missing_frames, 18);
    assert!(found.error.is_none());
}

#[test]
fn streams_joined_end_to_end() {
    let (_, chunks, bytes) = small();
    let joined = [&bytes[..], &bytes].concat();
    let (read, _, error) = read_strict(&joined);
    assert_eq!(read, chunks);
    let error = error.unwrap();
    assert_eq!(
        (error.kind(), error.offset()),
        (ErrorKind::Format, Some(bytes.len() as u64))
    );
    let found = salvage(&joined);
    assert_eq!(found.chunks, chunks);
    assert_eq!(found.lost.first().unwrap().start, bytes.len() as u64);
}

#[test]
fn the_last_chunks_are_missed_too() {
    let (_, chunks, bytes) = small();
    let records = boundaries(&bytes);
    let cut = [&bytes[..records[3]], &bytes[records[5]..]].concat();
    let mut reader = Reader::with_mode(&cut[..], Limits::default(), ReadMode::Resync).unwrap();
    let mut missing = None;
    while let Some(event) = reader.next_event().unwrap() {
        if let Event::Missing { chunks, frames, .. } = event {
            missing = Some((chunks, frames));
        }
    }
    assert_eq!(missing, Some((2..4, 13..21)));
    assert_eq!(reader.status(), Status::Complete { tail: true });
    assert_eq!(reader.ended().unwrap()[0].chunks, chunks.len() as u64);
}

#[test]
fn a_gap_is_limited() {
    let (_, _, bytes) = small();
    let records = boundaries(&bytes);
    let cut = [&bytes[..records[1]], &bytes[records[4]..]].concat();
    let limits = Limits {
        max_missing_frames: Some(17),
        ..Limits::default()
    };
    let mut reader = Reader::with_mode(&cut[..], limits, ReadMode::Resync).unwrap();
    assert_eq!(reader.next_event().unwrap_err().kind(), ErrorKind::Limits);
    assert_eq!(reader.status(), Status::Failed);
}

#[test]
fn text_mode_transfer_is_told_apart() {
    let (_, _, bytes) = small();
    let mut text: Vec<u8> = bytes.clone();
    text.splice(6..8, [b'\n']);
    let error = read_strict(&text).2.unwrap();
    assert!(error.to_string().contains("no .lbit file"), "{error}");
    assert_eq!(error.offset(), Some(0));
    assert_eq!(read_strict(b"RIFF").2.unwrap().kind(), ErrorKind::Format);
    assert_eq!(read_strict(&MAGIC[..3]).2.unwrap().kind(), ErrorKind::Truncated);
    assert_eq!(read_strict(&[]).2.unwrap().kind(), ErrorKind::Truncated);
}

proptest! {
    #[test]
    fn noise_after_the_header_never_panics(
        noise in proptest::collection::vec(any::<u8>(), 0..300), at in 0usize..600, keep in any::<bool>(),
    ) {
        let (_, chunks, mut bytes) = small();
        let at = boundaries(&bytes)[1] + at % (bytes.len() - boundaries(&bytes)[1]);
        let end = if keep { at } else { (at + noise.len()).min(bytes.len()) };
        bytes.splice(at..end, noise);
        for read in [read_strict(&bytes).0, salvage(&bytes).chunks] {
            prop_assert!(read.iter().all(|chunk| chunks.contains(chunk)));
        }
    }
}

//! Which chunks frames need; the index, and what can be done with it (LBIT §8).

use std::io::Cursor;

use super::*;
use crate::testing::{listed, raw, small, write};
use crate::{LatentFrames, WriterOptions};

/// Chunks of 10 frames.
fn chunks(keys: &[bool]) -> Vec<ChunkInfo> {
    let infos = keys.iter().zip(0..).map(|(&key, sequence)| ChunkInfo {
        head: ChunkHead {
            sequence,
            first_frame: PixelFrames(sequence * 10),
            frame_count: PixelFrames(10),
            latent_frames: LatentFrames(3),
            key,
            ..ChunkHead::default()
        },
        offset: sequence * 100,
        stored_len: 100,
        bits: 1,
        start: 0,
    });
    infos.collect()
}

fn from_first_end(chunks: &[ChunkInfo], frames: Range<u64>) -> Option<[usize; 3]> {
    let wanted = PixelFrames(frames.start)..PixelFrames(frames.end);
    let needed = needed(StreamId(0), chunks, wanted)?;
    assert_eq!(needed.decoded_from, chunks[needed.from_key].first_frame);
    assert_eq!(needed.left_out(), needed.frames.start - needed.decoded_from);
    Some([needed.from_key, needed.first, needed.end])
}

#[test]
fn decoding_begins_at_a_key_chunk() {
    let mut all = chunks(&[true, false, false, true, false, true]);
    assert_eq!(from_first_end(&all, 0..u64::MAX), Some([0, 0, 6]));
    assert_eq!(from_first_end(&all, 29..30), Some([0, 2, 3]));
    assert_eq!(from_first_end(&all, 29..31), Some([0, 2, 4]));
    assert_eq!(from_first_end(&all, 30..40), Some([3, 3, 4]));
    assert_eq!(from_first_end(&all, 45..99), Some([3, 4, 6]));
    assert_eq!(from_first_end(&all, 59..60), Some([5, 5, 6]));
    assert_eq!(from_first_end(&all, 60..70), None);
    assert_eq!(from_first_end(&all, 30..30), None);
    assert_eq!(from_first_end(&all, 35..35), None);
    #[allow(clippy::reversed_empty_ranges, reason = "what a caller may give")]
    let reversed = from_first_end(&all, 40..30);
    assert_eq!(reversed, None);
    assert_eq!(from_first_end(&[], 0..9), None);
    // Nothing can be decoded from a key chunk that is lost.
    all[3].bits = 0;
    assert_eq!(from_first_end(&all, 45..50), Some([0, 4, 5]));
    all[0].bits = 0;
    assert_eq!(from_first_end(&all, 45..50), Some([0, 4, 5]));
}

fn indexed(bytes: &[u8]) -> Option<File<Cursor<&[u8]>>> {
    File::with_index(Cursor::new(bytes), Limits::default()).unwrap()
}

#[test]
fn the_index_lists_what_is_there() {
    let (_, chunks, bytes) = small();
    let mut file = indexed(&bytes).unwrap();
    let listing = file.chunks(StreamId(0)).to_vec();
    assert_eq!(listing, listed(&bytes));
    for (info, chunk) in listing.iter().zip(&chunks).rev() {
        assert_eq!(&file.read(info, u8::MAX).unwrap(), chunk);
    }
    let mut fails = |change: fn(&mut ChunkInfo)| {
        let mut wrong = listing[1];
        change(&mut wrong);
        file.read(&wrong, u8::MAX).unwrap_err().kind()
    };
    assert_eq!(fails(|info| info.head.sequence = 0), ErrorKind::Format);
    assert_eq!(fails(|info| info.stored_len = u64::MAX), ErrorKind::Limits);
    let missing = |info: &mut ChunkInfo| (info.bits, info.stored_len) = (0, 0);
    assert_eq!(fails(missing), ErrorKind::Parameter);
    // Only its place is wrong.
    let mut elsewhere = listing[1];
    elsewhere.stored_len = 3;
    assert_eq!(file.read(&elsewhere, u8::MAX).unwrap(), chunks[1]);
}

#[test]
fn fewer_planes_are_the_first_ones() {
    let (video, chunks, bytes) = small();
    let mut file = indexed(&bytes).unwrap();
    let listing = file.chunks(StreamId(0)).to_vec();
    for planes in [0, 1, 5, video.bits, u8::MAX] {
        for (info, chunk) in listing.iter().zip(&chunks) {
            let mut expected = chunk.clone();
            expected.tokens.truncate_bits(planes.max(1));
            assert_eq!(file.read(info, planes).unwrap(), expected, "{planes} planes");
        }
    }
}

/// A chunk of another file, with another bundle, is refused.
#[test]
fn chunks_of_another_file_are_refused() {
    let (mut video, chunks, bytes) = small();
    video.bundle.sha256[0] ^= 1;
    let other = write(&video, &chunks, raw());
    assert_eq!(bytes.len(), other.len());
    let mut file = indexed(&bytes).unwrap();
    let info = file.chunks(StreamId(0))[1];
    let mut wrong = file.through(Cursor::new(&other));
    assert_eq!(wrong.read(&info, u8::MAX).unwrap_err().kind(), ErrorKind::Format);
    assert!(file.read(&info, u8::MAX).is_ok());
}

#[test]
fn no_index_is_no_error() {
    let (video, chunks, bytes) = small();
    let options = WriterOptions {
        index: false,
        ..WriterOptions::default()
    };
    for count in [1, chunks.len()] {
        let plain = write(&video, &chunks[..count], options);
        assert!(indexed(&plain).is_none());
        let file = File::open(Cursor::new(&plain), Limits::default()).unwrap();
        assert_eq!(file.chunks(StreamId(0)), listed(&plain));
        let mut reader = Reader::new(&plain[..], Limits::default()).unwrap();
        while reader.next_stored().unwrap().is_some() {}
        assert_eq!(Some(&file.totals()[..]), reader.ended());
        assert!(file.totals()[0].digest.is_some());
        assert!(file.damage().is_empty());
    }
    let header_len = listed(&bytes)[0].offset as usize;
    for len in header_len..bytes.len() {
        assert!(indexed(&bytes[..len]).is_none(), "{len}");
    }
}

/// What is missing is counted up to where the file was cut off.
#[test]
fn a_file_that_is_cut_off_has_what_is_there() {
    let (_, _, bytes) = small();
    let all = listed(&bytes);
    let cut = (all[2].offset + 9) as usize;
    let file = File::open(Cursor::new(&bytes[..cut]), Limits::default()).unwrap();
    assert_eq!(file.chunks(StreamId(0)), &all[..2]);
    assert!(file.is_truncated());
    assert_eq!(file.totals()[0].frames, all[1].end_frame());
}

#[test]
fn a_damaged_index_is_never_believed() {
    let (_, _, bytes) = small();
    let good = listed(&bytes);
    let header_len = good[0].offset as usize;
    for bit in header_len * 8..bytes.len() * 8 {
        let mut bad = bytes.clone();
        bad[bit / 8] ^= 1 << (bit % 8);
        if let Some(file) = indexed(&bad) {
            assert_eq!(file.chunks(StreamId(0)), good, "bit {bit}");
        }
    }
    let limits = Limits {
        max_index_bytes: Some(10),
        ..Limits::default()
    };
    let refused = File::with_index(Cursor::new(&bytes), limits).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Limits);
}

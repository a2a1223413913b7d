//! The index and what can be done with it (LBIT §8).

use std::io::Cursor;

use super::{small, write};
use crate::{
    ErrorKind, Limits, ReadMode, WriterOptions, read_chunk_at, read_index, read_planes_at, read_totals, scan,
};

#[test]
fn index_equals_scan() {
    let (video, chunks, bytes) = small();
    let limits = Limits::default();
    let mut file = Cursor::new(&bytes);
    let index = read_index(&mut file, &limits).unwrap().unwrap();
    let scanned = scan(&bytes[..], limits, ReadMode::Strict).unwrap();
    assert_eq!(index, scanned.chunks);
    assert!(scanned.error.is_none() && scanned.lost.is_empty());
    for (info, chunk) in index.iter().zip(&chunks).rev() {
        assert_eq!(
            &read_chunk_at(&mut file, &video.clone().into(), info, &limits).unwrap(),
            chunk
        );
    }
    let mut wrong = index[1];
    wrong.sequence = 0;
    assert_eq!(
        read_chunk_at(&mut file, &video.clone().into(), &wrong, &limits)
            .unwrap_err()
            .kind(),
        ErrorKind::Format
    );
    wrong = index[1];
    wrong.stored_len = 3;
    assert_eq!(
        read_chunk_at(&mut file, &video.clone().into(), &wrong, &limits)
            .unwrap_err()
            .kind(),
        ErrorKind::Format
    );
    wrong.stored_len = u64::MAX;
    assert_eq!(
        read_chunk_at(&mut file, &video.clone().into(), &wrong, &limits)
            .unwrap_err()
            .kind(),
        ErrorKind::Limits
    );
}

#[test]
fn fewer_planes_are_the_first_ones() {
    let (video, chunks, bytes) = small();
    let limits = Limits::default();
    let mut file = Cursor::new(&bytes);
    let index = read_index(&mut file, &limits).unwrap().unwrap();
    let header = video.clone().into();
    for planes in [0, 1, 5, video.bits, u8::MAX] {
        for (info, chunk) in index.iter().zip(&chunks) {
            let mut expected = chunk.clone();
            expected.tokens.truncate_bits(planes.max(1));
            let found = read_planes_at(&mut file, &header, info, planes, &limits).unwrap();
            assert_eq!(found, expected, "{planes} planes");
        }
    }
}

#[test]
fn scan_lists_what_there_is() {
    let (_, _, bytes) = small();
    let all = scan(&bytes[..], Limits::default(), ReadMode::Strict)
        .unwrap()
        .chunks;
    let cut = (all[2].offset + 9) as usize;
    let scanned = scan(&bytes[..cut], Limits::default(), ReadMode::Strict).unwrap();
    assert_eq!(scanned.chunks, all[..2]);
    assert_eq!(scanned.error.unwrap().kind(), ErrorKind::Truncated);
}

#[test]
fn no_index_is_no_error() {
    let (video, chunks, bytes) = small();
    let options = WriterOptions {
        index: false,
        ..WriterOptions::default()
    };
    let plain = write(&video, &chunks, options);
    assert_eq!(
        read_index(&mut Cursor::new(&plain), &Limits::default()).unwrap(),
        None
    );
    for len in 0..bytes.len() {
        assert_eq!(
            read_index(&mut Cursor::new(&bytes[..len]), &Limits::default()).unwrap(),
            None,
            "{len}"
        );
    }
}

#[test]
fn a_damaged_index_is_never_believed() {
    let (_, _, bytes) = small();
    let good = read_index(&mut Cursor::new(&bytes), &Limits::default()).unwrap();
    for bit in 0..bytes.len() * 8 {
        let mut bad = bytes.clone();
        bad[bit / 8] ^= 1 << (bit % 8);
        match read_index(&mut Cursor::new(&bad), &Limits::default()) {
            Ok(None) => {}
            Ok(index) => assert_eq!(index, good, "bit {bit}"),
            Err(error) => assert_eq!(error.kind(), ErrorKind::Format, "bit {bit}"),
        }
    }
    let limits = Limits {
        max_index_bytes: Some(10),
        ..Limits::default()
    };
    assert_eq!(
        read_index(&mut Cursor::new(&bytes), &limits).unwrap_err().kind(),
        ErrorKind::Limits
    );
}

#[test]
fn totals_of_a_file_without_index() {
    let (video, chunks, bytes) = small();
    let header = video.clone().into();
    assert_eq!(read_totals(&mut Cursor::new(&bytes), &header).unwrap(), None);
    let options = WriterOptions {
        index: false,
        ..WriterOptions::default()
    };
    for count in [1, chunks.len()] {
        let plain = write(&video, &chunks[..count], options);
        let scanned = scan(&plain[..], Limits::default(), ReadMode::Strict).unwrap();
        let totals = read_totals(&mut Cursor::new(&plain), &header).unwrap();
        assert!(totals.is_some());
        assert_eq!(totals, scanned.ended);
        for len in 0..plain.len() {
            let cut = read_totals(&mut Cursor::new(&plain[..len]), &header).unwrap();
            assert_eq!(cut, None, "{len}");
        }
        for bit in 0..plain.len() * 8 {
            let mut bad = plain.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            match read_totals(&mut Cursor::new(&bad), &header) {
                Ok(None) => {}
                Ok(found) => assert_eq!(found, totals, "bit {bit}"),
                Err(error) => assert_eq!(error.kind(), ErrorKind::Format, "bit {bit}"),
            }
        }
    }
}

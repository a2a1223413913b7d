//! Any bytes, read in every mode: no panic, bounded memory, and what one mode finds the others find too.

use std::io::Cursor;

use latentbit_container::{Chunk, ErrorKind, Event, File, ReadMode, Reader};

use crate::{LIMITS, budget};

/// Chunks, and the error that ended them.
fn read(data: &[u8], mode: ReadMode) -> (Vec<Chunk>, Option<ErrorKind>) {
    let mut chunks = Vec::new();
    let mut reader = match Reader::with_mode(data, LIMITS, mode) {
        Ok(reader) => reader,
        Err(error) => return (chunks, Some(error.kind())),
    };
    loop {
        match reader.next_event() {
            Ok(Some(Event::Chunk(chunk))) => chunks.push(chunk),
            Ok(Some(_)) => {}
            Ok(None) => return (chunks, None),
            Err(error) => {
                assert!(!error.to_string().is_empty());
                return (chunks, Some(error.kind()));
            }
        }
    }
}

pub fn run(data: &[u8]) {
    budget::of_file(data, || check(data));
}

fn check(data: &[u8]) {
    let (strict, error) = read(data, ReadMode::Strict);
    let (lenient, _) = read(data, ReadMode::Resync);
    let (joined, _) = read(data, ReadMode::Join);
    assert!(lenient.len() >= strict.len() && lenient[..strict.len()] == strict);
    if error.is_none() {
        assert_eq!(lenient, strict);
        assert_eq!(joined, strict);
    }
    sought(data, &strict, error);
}

/// The same by the seekable reader, which finds at least what a strict reading of a whole file does.
fn sought(data: &[u8], strict: &[Chunk], error: Option<ErrorKind>) {
    let Ok(mut file) = File::open(Cursor::new(data), LIMITS) else {
        return;
    };
    let _ = (file.metadata(), file.chapters(), file.attachments());
    let ids: Vec<_> = file.header().ids().collect();
    let mut found = Vec::new();
    for id in ids {
        for info in file.chunks(id).to_vec().iter().take(64) {
            found.extend(file.read(info, u8::MAX));
        }
        if let Ok(packets) = file.packets(id, 0..1000) {
            assert!(packets.count() <= data.len());
        }
    }
    // An index that lies, with checksums that fit, may hide chunks.
    if error.is_none() && !file.is_indexed() && strict.len() <= 64 {
        assert!(strict.iter().all(|chunk| found.contains(chunk)));
    }
}

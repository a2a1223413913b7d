//! Any bytes, read in every mode: no panic, bounded memory, and what one mode finds the others find too.

use std::io::Cursor;

use latentbit_container::{Chunk, ErrorKind, Event, ReadMode, Reader, read_chunk_at, read_index};

use crate::LIMITS;

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
    let (strict, error) = read(data, ReadMode::Strict);
    let (lenient, _) = read(data, ReadMode::Resync);
    let (joined, _) = read(data, ReadMode::Join);
    assert!(lenient.len() >= strict.len() && lenient[..strict.len()] == strict);
    if error.is_none() {
        assert_eq!(lenient, strict);
        assert_eq!(joined, strict);
    }
    let Ok(reader) = Reader::new(data, LIMITS) else {
        return;
    };
    let mut file = Cursor::new(data);
    if let Ok(Some(index)) = read_index(&mut file, &LIMITS) {
        for info in index.iter().take(64) {
            let _ = read_chunk_at(&mut file, reader.header(), info, &LIMITS);
        }
    }
}

//! Whatever is recovered is a whole file, and recovering it again changes nothing of its chunks.

use std::io::Cursor;

use latentbit_container::{ErrorKind, Event, Reader, WriterOptions, edit};

use crate::{LIMITS, budget};

/// All that a strict reader says of a whole file's chunks.
fn chunks(data: &[u8]) -> Vec<String> {
    let mut reader = Reader::new(data, LIMITS).expect("a header");
    let mut all = Vec::new();
    while let Some(event) = reader.next_event().expect("a whole file") {
        if matches!(event, Event::Chunk(_) | Event::Missing { .. }) {
            all.push(format!("{event:?}"));
        }
    }
    all
}

pub fn run(data: &[u8]) {
    budget::of_file(data, || check(data));
}

fn check(data: &[u8]) {
    let options = WriterOptions::default();
    let Ok((once, _)) = edit::recover(Cursor::new(data), Vec::new(), &LIMITS, options) else {
        return;
    };
    let found = chunks(&once);
    let (twice, _) = edit::recover(Cursor::new(&once), Vec::new(), &LIMITS, options).expect("a whole file");
    assert_eq!(chunks(&twice), found);
    // Tokens with depths keep whole layers.
    if let Err(error) = edit::trim(&once[..], Vec::new(), 1, &LIMITS, options) {
        assert_eq!(error.kind(), ErrorKind::Parameter);
    }
}

//! What tells people of a file: listing its chunks, and checking it.

use std::io::Cursor;

use latentbit_container::{ReadMode, Reader, Result, verify, verify_file};

use crate::{LIMITS, budget};

pub fn run(data: &[u8]) {
    budget::of_file(data, || check(data));
}

fn check(data: &[u8]) {
    let listed = list(data, ReadMode::Strict);
    let _ = list(data, ReadMode::Resync);
    let verified = verify(data, &LIMITS).expect("memory can be read");
    let _ = verify_file(Cursor::new(data), &LIMITS).expect("memory can be read");
    assert_eq!(verified.bytes, data.len() as u64);
    for problem in &verified.problems {
        assert!(!problem.to_string().is_empty());
    }
    if verified.is_whole() {
        listed.expect("a file that can be read");
    }
}

/// Reads all chunks without unpacking them.
fn list(data: &[u8], mode: ReadMode) -> Result<()> {
    let mut reader = Reader::with_mode(data, LIMITS, mode)?;
    while reader.next_stored_event()?.is_some() {}
    Ok(())
}

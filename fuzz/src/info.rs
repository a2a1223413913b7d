//! What tells people of a file: listing its chunks, and checking it.

use std::io::Cursor;

use latentbit_container::{ReadMode, scan, verify, verify_file};

use crate::LIMITS;

pub fn run(data: &[u8]) {
    let scanned = scan(data, LIMITS, ReadMode::Strict);
    let _ = scan(data, LIMITS, ReadMode::Resync);
    let verified = verify(data, &LIMITS).expect("memory can be read");
    let _ = verify_file(Cursor::new(data), &LIMITS).expect("memory can be read");
    assert_eq!(verified.bytes, data.len() as u64);
    for problem in &verified.problems {
        assert!(!problem.to_string().is_empty());
    }
    if verified.is_whole() {
        assert!(scanned.expect("a header").error.is_none());
    }
}

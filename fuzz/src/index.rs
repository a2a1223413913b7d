//! A new index for any bytes: what comes out has one that agrees with its chunks.

use std::io::Cursor;

use latentbit_container::{ReadMode, edit, read_index, scan};

use crate::LIMITS;

pub fn run(data: &[u8]) {
    let _ = read_index(&mut Cursor::new(data), &LIMITS);
    let mut out = Vec::new();
    let Ok(len) = edit::reindex(Cursor::new(data), &mut out, &LIMITS) else {
        return;
    };
    assert_eq!(len, out.len() as u64);
    let index = read_index(&mut Cursor::new(&out), &LIMITS).expect("an index was written");
    let scanned = scan(&out[..], LIMITS, ReadMode::Resync).expect("a header");
    assert_eq!(index.expect("an index was written"), scanned.chunks);
}

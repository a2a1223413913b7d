//! A new index for any bytes: what comes out has one that agrees with its chunks.

use std::io::Cursor;

use latentbit_container::{File, edit};

use crate::{LIMITS, budget};

pub fn run(data: &[u8]) {
    budget::of_file(data, || check(data));
}

fn check(data: &[u8]) {
    let _ = File::open(Cursor::new(data), LIMITS);
    let mut out = Vec::new();
    let Ok(len) = edit::reindex(Cursor::new(data), &mut out, &LIMITS) else {
        return;
    };
    assert_eq!(len, out.len() as u64);
    let indexed = File::with_index(Cursor::new(&out), LIMITS).expect("a header");
    let indexed = indexed.expect("an index that can be trusted");
    let mut scanned = indexed.through(Cursor::new(&out));
    scanned.rescan().expect("a file that can be read");
    assert_eq!(scanned.damage().len(), 0);
    for id in indexed.header().ids() {
        assert_eq!(indexed.chunks(id), scanned.chunks(id));
    }
}

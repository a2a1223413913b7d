//! What reading costs, counted: bytes that are moved, hashed, searched, read and unpacked.
//!
//! A reader's work must grow with the bytes of its input and with the bits that the input's chunks declare, and not faster.
//! Whatever goes through bytes in a way that an input could make it repeat says so here: once for a record, a plane or a block,
//! so that counting costs nothing that could be measured.

use std::sync::atomic::{AtomicU64, Ordering};

/// Of all threads.
static SPENT: AtomicU64 = AtomicU64::new(0);

#[cfg(any(test, fuzzing))]
thread_local! {
    static SPENT_HERE: std::cell::Cell<u64> = const { std::cell::Cell::new(0) };
}

/// Counts work on so many bytes.
#[inline(always)]
pub(crate) fn spend(bytes: usize) {
    SPENT.fetch_add(bytes as u64, Ordering::Relaxed);
    #[cfg(any(test, fuzzing))]
    SPENT_HERE.with(|spent| spent.set(spent.get() + bytes as u64));
}

/// How many bytes of `.lbit` files this process has moved, hashed, searched, read and unpacked so far, some of them several
/// times: what LBIT §9.1 bounds.
#[must_use]
pub fn work() -> u64 {
    SPENT.load(Ordering::Relaxed)
}

/// What `run` costs on this thread, with its result.
#[cfg(any(test, fuzzing))]
pub fn work_of<T>(run: impl FnOnce() -> T) -> (T, u64) {
    let before = SPENT_HERE.with(std::cell::Cell::get);
    let result = run();
    (result, SPENT_HERE.with(std::cell::Cell::get) - before)
}

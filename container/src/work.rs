//! What reading costs, counted for tests and fuzz targets: bytes that are moved, hashed, searched, read and unpacked.
//!
//! A reader's work must grow with the bytes of its input and with the bits that the input's chunks declare, and not faster.
//! Whatever goes through bytes in a way that an input could make it repeat says so here.

#[cfg(any(test, fuzzing))]
thread_local! {
    static SPENT: std::cell::Cell<u64> = const { std::cell::Cell::new(0) };
}

/// Counts work on so many bytes.
#[inline(always)]
pub(crate) fn spend(bytes: usize) {
    #[cfg(any(test, fuzzing))]
    SPENT.with(|spent| spent.set(spent.get() + bytes as u64));
    #[cfg(not(any(test, fuzzing)))]
    let _ = bytes;
}

/// What `run` costs on this thread, with its result.
#[cfg(any(test, fuzzing))]
pub fn work_of<T>(run: impl FnOnce() -> T) -> (T, u64) {
    let before = SPENT.with(std::cell::Cell::get);
    let result = run();
    (result, SPENT.with(std::cell::Cell::get) - before)
}

//! What an input may cost (LBIT §9.1): work on bytes of `.lbit` files, and memory.

use peak_alloc::PeakAlloc;

use crate::LIMITS;

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// Passes over an input that each of the readings of a target may make, and what any input may take.
const PASSES: u64 = 40;
const ALLOWANCE: u64 = 1 << 20;
/// Readings of a target.
const READINGS: u64 = 5;
/// Bytes of memory for a byte of the input: numbers in JSON of two bytes each become values of 32.
const EXPANSION: u64 = 256;

/// Runs a target on a `.lbit` file.
pub(crate) fn of_file(data: &[u8], run: impl FnOnce()) {
    // Every chunk may declare as many bits as the limits allow; no more chunks come than there is room for.
    let chunks = data.len() as u64 / 73;
    within(data, chunks * LIMITS.max_chunk_bytes.unwrap_or(0), run);
}

/// Runs a target on `data`, which declares so many bytes of tokens or pixels.
pub(crate) fn within(data: &[u8], declared: u64, run: impl FnOnce()) {
    let len = data.len() as u64;
    let before = MEMORY.current_usage();
    MEMORY.reset_peak_usage();
    #[cfg(fuzzing)]
    let ((), work) = latentbit_container::work_of(run);
    // Work is only counted when fuzzing.
    #[cfg(not(fuzzing))]
    let ((), work) = (run(), 0);
    let memory = MEMORY.peak_usage().saturating_sub(before) as u64;
    assert!(
        work <= READINGS * (len * PASSES + ALLOWANCE + declared),
        "{work} bytes of work for {len} bytes"
    );
    assert!(
        memory <= len * EXPANSION + ALLOWANCE + READINGS * declared,
        "{memory} bytes of memory for {len} bytes"
    );
}

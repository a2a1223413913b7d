//! The operators on the CPU. Work is spread over the caller's rayon pool.

mod attention;
mod conv;
mod gemm;
mod linear;
mod math;
mod norm;
mod shuffle;
mod simd;

pub(super) use attention::attention;
pub(super) use conv::{ConvOperands, conv};
pub(super) use linear::linear;
pub(super) use norm::rms_norm;
pub(super) use shuffle::{patchify, unpatchify};

/// How many rows of a matrix one task should do, at most `most`: enough tasks for the pool, rows enough for a GEMM.
fn rows_per_task(rows: usize, most: usize) -> usize {
    const LEAST: usize = 32;
    let fair = rows.div_ceil(rayon::current_num_threads() * 2);
    fair.clamp(LEAST.min(most), most)
}

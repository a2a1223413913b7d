//! Micro-kernels: small products whose sums stay in registers, one set for each kind of CPU.
//!
//! Operands come in 32-bit words: one f32, or two bf16 of which the lower half is the first. A row of the left operand
//! is so many words; the right operand is packed in panels of [`PANEL`] columns, one word of each column after the
//! other, so that a kernel never needs to know what a word holds until it multiplies.

#[cfg(target_arch = "x86_64")]
pub(super) mod amx;
#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod portable;
#[cfg(test)]
mod tests;

use super::kind::Kind;
use super::words::{Number, PANEL};

/// `c = a · b`, or `c += a · b`.
///
/// Row r of `a` is, for each segment in turn, its `steps` words from `r · a_stride` on. Panel p of `b` begins at word
/// `p · b_stride`, with all segments' steps one after the other.
pub(in crate::kernels) struct Product<'a> {
    pub(in crate::kernels) segments: &'a [&'a [u32]],
    pub(in crate::kernels) a_stride: usize,
    pub(in crate::kernels) steps: usize,
    pub(in crate::kernels) b: &'a [u32],
    pub(in crate::kernels) b_stride: usize,
    /// Rows of `c_stride` values; of each row the first `panels · PANEL` are written.
    pub(in crate::kernels) c: &'a mut [f32],
    pub(in crate::kernels) c_stride: usize,
    pub(in crate::kernels) rows: usize,
    pub(in crate::kernels) panels: usize,
    pub(in crate::kernels) accumulate: bool,
}

/// A block of a product, small enough for the registers. All of what it names lies within the slices of the product.
#[derive(Clone, Copy)]
struct Block<'a> {
    segments: &'a [&'a [u32]],
    /// Where the block's first row begins in each segment.
    a_start: usize,
    a_stride: usize,
    steps: usize,
    b: *const u32,
    b_stride: usize,
    c: *mut f32,
    c_stride: usize,
    rows: usize,
    panels: usize,
    accumulate: bool,
}

/// Computes a block of at most so many rows and panels as the kernel says.
type Run = unsafe fn(Block<'_>);

/// A kernel for one number type and how large its blocks are.
#[derive(Clone, Copy)]
struct Kernel {
    rows: usize,
    panels: usize,
    run: Run,
    /// What is to be done after the last block of a product.
    release: Option<fn()>,
}

fn kernel(kind: Kind, dtype: Number) -> Kernel {
    match (kind, dtype) {
        #[cfg(all(test, target_arch = "x86_64"))]
        (Kind::Amx, Number::Bf16) if !Kind::available().contains(&kind) => amx::Model::BF16,
        #[cfg(target_arch = "x86_64")]
        (Kind::Amx, Number::Bf16) => amx::BF16,
        #[cfg(target_arch = "x86_64")]
        (Kind::Avx512Bf16, Number::Bf16) => avx512::BF16_DOT,
        #[cfg(target_arch = "x86_64")]
        (Kind::Avx512, Number::Bf16) => avx512::BF16,
        #[cfg(target_arch = "x86_64")]
        (Kind::Amx | Kind::Avx512Bf16 | Kind::Avx512, Number::F32) => avx512::F32,
        #[cfg(target_arch = "x86_64")]
        (Kind::Avx2, Number::Bf16) => avx2::BF16,
        #[cfg(target_arch = "x86_64")]
        (Kind::Avx2, Number::F32) => avx2::F32,
        (_, Number::Bf16) => portable::BF16,
        (_, Number::F32) => portable::F32,
    }
}

/// Computes a product with the kernels of `kind`.
///
/// # Panics
/// If the product reaches beyond one of its slices: a mistake of the caller.
pub(in crate::kernels) fn product(kind: Kind, dtype: Number, p: Product<'_>) {
    if p.rows == 0 || p.panels == 0 {
        return;
    }
    let depth = p.segments.len() * p.steps;
    let reach = (p.rows - 1) * p.a_stride + p.steps;
    assert!(p.steps == 0 || p.segments.iter().all(|segment| reach <= segment.len()));
    assert!((p.panels - 1) * p.b_stride + depth * PANEL <= p.b.len());
    assert!((p.rows - 1) * p.c_stride + p.panels * PANEL <= p.c.len());
    let kernel = kernel(kind, dtype);
    // Columns outside: a panel group of `b` stays in the first cache while rows pass by.
    for panel in Shares::new(p.panels, kernel.panels) {
        for row in Shares::new(p.rows, kernel.rows) {
            let block = Block {
                segments: p.segments,
                a_start: row.start * p.a_stride,
                a_stride: p.a_stride,
                steps: p.steps,
                // SAFETY: rows, panels and depth were checked against the slices above.
                b: unsafe { p.b.as_ptr().add(panel.start * p.b_stride) },
                b_stride: p.b_stride,
                // SAFETY: as above.
                c: unsafe { p.c.as_mut_ptr().add(row.start * p.c_stride + panel.start * PANEL) },
                c_stride: p.c_stride,
                rows: row.len,
                panels: panel.len,
                accumulate: p.accumulate,
            };
            // SAFETY: a kind is only ever made where the machine has its instructions, and the block is within bounds.
            unsafe { (kernel.run)(block) };
        }
    }
    if let Some(release) = kernel.release {
        release();
    }
}

/// Cuts a length into as few shares as `most` allows, of nearly the same size.
struct Shares {
    start: usize,
    length: usize,
    left: usize,
}

struct Share {
    start: usize,
    len: usize,
}

impl Shares {
    fn new(length: usize, most: usize) -> Self {
        Self {
            start: 0,
            length,
            left: length.div_ceil(most),
        }
    }
}

impl Iterator for Shares {
    type Item = Share;

    fn next(&mut self) -> Option<Share> {
        if self.left == 0 {
            return None;
        }
        let len = (self.length - self.start).div_ceil(self.left);
        let share = Share {
            start: self.start,
            len,
        };
        self.start += len;
        self.left -= 1;
        Some(share)
    }
}

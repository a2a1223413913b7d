//! AVX-512: 8 rows by 3 panels, 24 of the 32 registers hold sums.

use std::arch::x86_64::*;

use super::{Block, Kernel};
use crate::kernels::cpu::words::PANEL;

const ROWS: usize = 8;
const PANELS: usize = 3;

pub(super) const F32: Kernel = Kernel {
    rows: ROWS,
    panels: PANELS,
    run: f32_block,
    release: None,
};
/// bf16 without an instruction for it: each half of a word is widened by a shift or a mask.
pub(super) const BF16: Kernel = Kernel {
    rows: ROWS,
    panels: PANELS,
    run: bf16_block,
    release: None,
};
pub(super) const BF16_DOT: Kernel = Kernel {
    rows: ROWS,
    panels: PANELS,
    run: bf16_dot_block,
    release: None,
};

macro_rules! block_kernel {
    ($run:ident, $sized:ident, $step:ident, $features:literal) => {
        #[target_feature(enable = $features)]
        unsafe fn $sized<const R: usize, const P: usize>(k: Block<'_>) {
            let mut sums = [[_mm512_setzero_ps(); P]; R];
            let mut b = k.b;
            for segment in k.segments {
                // SAFETY: the caller vouches that rows and panels lie within their slices, for all of this function.
                unsafe {
                    // A pointer for each row, so that the loop has one index to move.
                    let a = segment.as_ptr().add(k.a_start);
                    let rows: [*const u32; R] = std::array::from_fn(|r| a.add(r * k.a_stride));
                    for step in 0..k.steps {
                        let mut panels = [_mm512_setzero_si512(); P];
                        for (p, panel) in panels.iter_mut().enumerate() {
                            *panel = _mm512_loadu_si512(b.add(p * k.b_stride).cast());
                        }
                        b = b.add(PANEL);
                        for (r, sums) in sums.iter_mut().enumerate() {
                            let word = _mm512_set1_epi32(rows[r].add(step).read().cast_signed());
                            for (sum, &panel) in sums.iter_mut().zip(&panels) {
                                *sum = $step(*sum, word, panel);
                            }
                        }
                    }
                }
            }
            for (r, sums) in sums.iter().enumerate() {
                for (p, &sum) in sums.iter().enumerate() {
                    // SAFETY: as above.
                    unsafe {
                        let c = k.c.add(r * k.c_stride + p * PANEL);
                        let sum = if k.accumulate {
                            _mm512_add_ps(sum, _mm512_loadu_ps(c))
                        } else {
                            sum
                        };
                        _mm512_storeu_ps(c, sum);
                    }
                }
            }
        }

        unsafe fn $run(k: Block<'_>) {
            macro_rules! by_rows {
                ($panels:literal) => {
                    match k.rows {
                        1 => $sized::<1, $panels>(k),
                        2 => $sized::<2, $panels>(k),
                        3 => $sized::<3, $panels>(k),
                        4 => $sized::<4, $panels>(k),
                        5 => $sized::<5, $panels>(k),
                        6 => $sized::<6, $panels>(k),
                        7 => $sized::<7, $panels>(k),
                        _ => $sized::<8, $panels>(k),
                    }
                };
            }
            // SAFETY: the caller vouches for the features and the bounds.
            unsafe {
                match k.panels {
                    1 => by_rows!(1),
                    2 => by_rows!(2),
                    _ => by_rows!(3),
                }
            }
        }
    };
}

#[inline]
#[target_feature(enable = "avx512f")]
fn multiply(sum: __m512, a: __m512i, b: __m512i) -> __m512 {
    _mm512_fmadd_ps(_mm512_castsi512_ps(a), _mm512_castsi512_ps(b), sum)
}

#[inline]
#[target_feature(enable = "avx512f")]
fn widen_and_multiply(sum: __m512, a: __m512i, b: __m512i) -> __m512 {
    let high = _mm512_set1_epi32(0xffff_0000_u32.cast_signed());
    let sum = multiply(sum, _mm512_slli_epi32(a, 16), _mm512_slli_epi32(b, 16));
    multiply(sum, _mm512_and_si512(a, high), _mm512_and_si512(b, high))
}

#[inline]
#[target_feature(enable = "avx512f,avx512bf16")]
fn dot(sum: __m512, a: __m512i, b: __m512i) -> __m512 {
    // SAFETY: both types are 64 bytes without invalid values.
    let (a, b): (__m512bh, __m512bh) = unsafe {
        (
            std::mem::transmute::<__m512i, __m512bh>(a),
            std::mem::transmute::<__m512i, __m512bh>(b),
        )
    };
    _mm512_dpbf16_ps(sum, a, b)
}

block_kernel!(f32_block, f32_sized, multiply, "avx512f");
block_kernel!(bf16_block, bf16_sized, widen_and_multiply, "avx512f");
block_kernel!(bf16_dot_block, bf16_dot_sized, dot, "avx512f,avx512bf16");

//! AVX2 with FMA: 6 rows by one panel of two registers, 12 of the 16 registers hold sums.

use std::arch::x86_64::*;

use super::{Block, Kernel};
use crate::kernels::cpu::words::PANEL;

pub(super) const F32: Kernel = Kernel {
    rows: 6,
    panels: 1,
    run: f32_block,
    release: None,
};
pub(super) const BF16: Kernel = Kernel {
    rows: 6,
    panels: 1,
    run: bf16_block,
    release: None,
};

macro_rules! block_kernel {
    ($run:ident, $sized:ident, $step:ident) => {
        #[target_feature(enable = "avx2,fma")]
        unsafe fn $sized<const R: usize>(k: Block<'_>) {
            let mut sums = [[_mm256_setzero_ps(); 2]; R];
            let mut b = k.b;
            for segment in k.segments {
                // SAFETY: the caller vouches that rows and panels lie within their slices, for all of this function.
                unsafe {
                    let a = segment.as_ptr().add(k.a_start);
                    for step in 0..k.steps {
                        let panel = [
                            _mm256_loadu_si256(b.cast()),
                            _mm256_loadu_si256(b.add(PANEL / 2).cast()),
                        ];
                        b = b.add(PANEL);
                        for (r, sums) in sums.iter_mut().enumerate() {
                            let word = _mm256_set1_epi32(a.add(r * k.a_stride + step).read().cast_signed());
                            for (sum, &half) in sums.iter_mut().zip(&panel) {
                                *sum = $step(*sum, word, half);
                            }
                        }
                    }
                }
            }
            for (r, sums) in sums.iter().enumerate() {
                for (half, &sum) in sums.iter().enumerate() {
                    // SAFETY: as above.
                    unsafe {
                        let c = k.c.add(r * k.c_stride + half * PANEL / 2);
                        let sum = if k.accumulate {
                            _mm256_add_ps(sum, _mm256_loadu_ps(c))
                        } else {
                            sum
                        };
                        _mm256_storeu_ps(c, sum);
                    }
                }
            }
        }

        unsafe fn $run(k: Block<'_>) {
            // SAFETY: the caller vouches for the features and the bounds.
            unsafe {
                match k.rows {
                    1 => $sized::<1>(k),
                    2 => $sized::<2>(k),
                    3 => $sized::<3>(k),
                    4 => $sized::<4>(k),
                    5 => $sized::<5>(k),
                    _ => $sized::<6>(k),
                }
            }
        }
    };
}

#[inline]
#[target_feature(enable = "avx2,fma")]
fn multiply(sum: __m256, a: __m256i, b: __m256i) -> __m256 {
    _mm256_fmadd_ps(_mm256_castsi256_ps(a), _mm256_castsi256_ps(b), sum)
}

#[inline]
#[target_feature(enable = "avx2,fma")]
fn widen_and_multiply(sum: __m256, a: __m256i, b: __m256i) -> __m256 {
    let high = _mm256_set1_epi32(0xffff_0000_u32.cast_signed());
    let sum = multiply(sum, _mm256_slli_epi32(a, 16), _mm256_slli_epi32(b, 16));
    multiply(sum, _mm256_and_si256(a, high), _mm256_and_si256(b, high))
}

block_kernel!(f32_block, f32_sized, multiply);
block_kernel!(bf16_block, bf16_sized, widen_and_multiply);

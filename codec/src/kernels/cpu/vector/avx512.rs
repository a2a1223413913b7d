//! The operations with AVX-512: masks for the ends of rows, reciprocals by one step of Newton's method.

use std::arch::x86_64::*;

const LANES: usize = 16;

/// Lanes of the register that begins at value `at` of `len`.
#[inline(always)]
fn mask(at: usize, len: usize) -> __mmask16 {
    match len - at {
        16.. => !0,
        left => (1 << left) - 1,
    }
}

/// e^x, with an error of 1e-7 times 1 + |x|; flushes to 0 at the lower end and saturates at the upper one.
#[inline]
#[target_feature(enable = "avx512f")]
fn exp(x: __m512) -> __m512 {
    // 2^t = 2^n · 2^r, |r| ≤ 1/2.
    let t = _mm512_mul_ps(x, _mm512_set1_ps(std::f32::consts::LOG2_E));
    let t = _mm512_min_ps(t, _mm512_set1_ps(127.0));
    let n = _mm512_roundscale_ps::<{ _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC }>(t);
    let r = _mm512_sub_ps(t, n);
    // The polynomial of degree 5 with the smallest relative error, 7.5e-8 (a weighted least-squares fit).
    let mut p = _mm512_set1_ps(0.001_327_645_2);
    for c in [0.009_675_541, 0.055_507_133, 0.240_221_2, 0.693_146_97, 1.0] {
        p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(c));
    }
    _mm512_scalef_ps(p, n)
}

/// x / (1 + e^-y).
#[inline]
#[target_feature(enable = "avx512f")]
fn times_sigmoid(x: __m512, y: __m512) -> __m512 {
    let divisor = _mm512_add_ps(exp(_mm512_sub_ps(_mm512_setzero_ps(), y)), _mm512_set1_ps(1.0));
    let guess = _mm512_rcp14_ps(divisor);
    let error = _mm512_fnmadd_ps(divisor, guess, _mm512_set1_ps(1.0));
    let reciprocal = _mm512_fmadd_ps(guess, error, guess);
    _mm512_mul_ps(x, reciprocal)
}

#[target_feature(enable = "avx512f,avx512bf16,avx512bw")]
pub(super) fn write_bf16(values: &[f32], words: &mut [u32]) {
    let len = values.len();
    assert!(words.len() >= len.div_ceil(2));
    for at in (0..len).step_by(2 * LANES) {
        // SAFETY: masks keep loads and stores within the slices.
        unsafe {
            let low = _mm512_maskz_loadu_ps(mask(at, len), values.as_ptr().add(at));
            let second = (at + LANES).min(len);
            let high = _mm512_maskz_loadu_ps(mask(second, len), values.as_ptr().add(second));
            let packed: __m512i = std::mem::transmute(_mm512_cvtne2ps_pbh(high, low));
            let count = (len - at).div_ceil(2).min(LANES);
            _mm512_mask_storeu_epi32(words.as_mut_ptr().add(at / 2).cast(), mask(0, count), packed);
        }
    }
}

#[target_feature(enable = "avx512f,avx512bf16,avx512bw,avx512vl")]
pub(super) fn turn_bf16(words: &[u32], cosines: &[f32], sines: &[f32], out: &mut [u32]) {
    let len = words.len();
    assert!(cosines.len() >= len && sines.len() >= len && out.len() >= len);
    let high = _mm512_set1_epi32(0xffff_0000_u32.cast_signed());
    for at in (0..len).step_by(LANES) {
        let mask = mask(at, len);
        // SAFETY: masks keep loads and the store within the slices.
        unsafe {
            let pair = _mm512_maskz_loadu_epi32(mask, words.as_ptr().add(at).cast());
            let c = _mm512_maskz_loadu_ps(mask, cosines.as_ptr().add(at));
            let s = _mm512_maskz_loadu_ps(mask, sines.as_ptr().add(at));
            let a = _mm512_castsi512_ps(_mm512_slli_epi32(pair, 16));
            let b = _mm512_castsi512_ps(_mm512_and_si512(pair, high));
            let half = |value: __m512| {
                let rounded: __m256i = std::mem::transmute(_mm512_cvtneps_pbh(value));
                _mm512_cvtepu16_epi32(rounded)
            };
            let first = half(_mm512_fmsub_ps(a, c, _mm512_mul_ps(b, s)));
            let second = half(_mm512_fmadd_ps(a, s, _mm512_mul_ps(b, c)));
            let turned = _mm512_or_si512(first, _mm512_slli_epi32(second, 16));
            _mm512_mask_storeu_epi32(out.as_mut_ptr().add(at).cast(), mask, turned);
        }
    }
}

#[target_feature(enable = "avx512f")]
pub(super) fn combine(row: &mut [f32], bias: &[f32], residual: &[f32]) -> f32 {
    let len = row.len();
    let fits = |other: &[f32]| other.is_empty() || other.len() >= len;
    assert!(fits(bias) && fits(residual));
    let mut sums = [_mm512_setzero_ps(); 2];
    for (index, at) in (0..len).step_by(LANES).enumerate() {
        let mask = mask(at, len);
        // SAFETY: the mask keeps loads and the store within the slices.
        unsafe {
            let mut x = _mm512_maskz_loadu_ps(mask, row.as_ptr().add(at));
            for other in [bias, residual] {
                if !other.is_empty() {
                    x = _mm512_add_ps(x, _mm512_maskz_loadu_ps(mask, other.as_ptr().add(at)));
                }
            }
            sums[index % 2] = _mm512_fmadd_ps(x, x, sums[index % 2]);
            _mm512_mask_storeu_ps(row.as_mut_ptr().add(at), mask, x);
        }
    }
    _mm512_reduce_add_ps(_mm512_add_ps(sums[0], sums[1]))
}

/// The register from value `at` on of row · factor · gain, or of SiLU of that; zero beyond the row's end.
#[inline]
#[target_feature(enable = "avx512f")]
fn scaled(row: &[f32], factor: __m512, gain: &[f32], silu: bool, at: usize) -> __m512 {
    assert!(at <= row.len() && gain.len() >= row.len());
    let mask = mask(at, row.len());
    // SAFETY: the mask keeps loads within the slices.
    let (x, g) = unsafe {
        (
            _mm512_maskz_loadu_ps(mask, row.as_ptr().add(at)),
            _mm512_maskz_loadu_ps(mask, gain.as_ptr().add(at)),
        )
    };
    let x = _mm512_mul_ps(_mm512_mul_ps(x, factor), g);
    if silu { times_sigmoid(x, x) } else { x }
}

#[target_feature(enable = "avx512f,avx512bf16,avx512bw")]
pub(super) fn scale_bf16(row: &[f32], factor: f32, gain: &[f32], silu: bool, words: &mut [u32]) {
    let len = row.len();
    assert!(gain.len() >= len && words.len() >= len.div_ceil(2));
    let factor = _mm512_set1_ps(factor);
    let part = |at: usize| scaled(row, factor, gain, silu, at.min(len));
    for at in (0..len).step_by(2 * LANES) {
        let (low, high) = (part(at), part(at + LANES));
        let count = (len - at).div_ceil(2).min(LANES);
        // SAFETY: the mask keeps the store within the slice; both types are 64 bytes without invalid values.
        unsafe {
            let packed = std::mem::transmute::<__m512bh, __m512i>(_mm512_cvtne2ps_pbh(high, low));
            _mm512_mask_storeu_epi32(words.as_mut_ptr().add(at / 2).cast(), mask(0, count), packed);
        }
    }
}

#[target_feature(enable = "avx512f")]
pub(super) fn scale(row: &[f32], factor: f32, gain: &[f32], silu: bool, out: &mut [f32]) {
    let len = row.len();
    assert!(gain.len() >= len && out.len() >= len);
    let factor = _mm512_set1_ps(factor);
    for at in (0..len).step_by(LANES) {
        let y = scaled(row, factor, gain, silu, at);
        // SAFETY: the mask keeps the store within the slice.
        unsafe { _mm512_mask_storeu_ps(out.as_mut_ptr().add(at), mask(at, len), y) }
    }
}

/// `row = f(row, other)`.
#[inline]
#[target_feature(enable = "avx512f")]
fn combined(row: &mut [f32], other: &[f32], f: impl Fn(__m512, __m512) -> __m512) {
    let len = row.len();
    assert!(other.len() >= len);
    for at in (0..len).step_by(LANES) {
        let mask = mask(at, len);
        // SAFETY: the mask keeps loads and stores within the slices.
        unsafe {
            let x = _mm512_maskz_loadu_ps(mask, row.as_ptr().add(at));
            let y = _mm512_maskz_loadu_ps(mask, other.as_ptr().add(at));
            _mm512_mask_storeu_ps(row.as_mut_ptr().add(at), mask, f(x, y));
        }
    }
}

#[target_feature(enable = "avx512f")]
pub(super) fn gelu(row: &mut [f32], bias: &[f32]) {
    combined(row, bias, |x, b| {
        let x = _mm512_add_ps(x, b);
        // 2u = 2 · 0.79788 · (x + 0.044715 x³).
        let square = _mm512_mul_ps(x, x);
        let slope = _mm512_fmadd_ps(
            square,
            _mm512_set1_ps(2.0 * 0.797_884_6 * 0.044_715),
            _mm512_set1_ps(2.0 * 0.797_884_6),
        );
        times_sigmoid(x, _mm512_mul_ps(x, slope))
    });
}

#[target_feature(enable = "avx512f")]
pub(super) fn exponentials(row: &mut [f32], shift: f32, scale: f32) -> f32 {
    let len = row.len();
    let (shift, scale) = (_mm512_set1_ps(shift), _mm512_set1_ps(scale));
    let mut sums = _mm512_setzero_ps();
    for at in (0..len).step_by(LANES) {
        let mask = mask(at, len);
        // SAFETY: the mask keeps the load and the store within the slice.
        unsafe {
            let x = _mm512_maskz_loadu_ps(mask, row.as_ptr().add(at));
            let y = exp(_mm512_mul_ps(_mm512_sub_ps(x, shift), scale));
            sums = _mm512_mask_add_ps(sums, mask, sums, y);
            _mm512_mask_storeu_ps(row.as_mut_ptr().add(at), mask, y);
        }
    }
    _mm512_reduce_add_ps(sums)
}

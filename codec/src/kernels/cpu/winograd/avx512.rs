//! The transforms with AVX-512, a register of words at a time.

use std::arch::x86_64::*;

use super::{Back, GROUP, PLACES, Strip};
use crate::kernels::cpu::words::PANEL;

/// Bᵀ of one line of four.
#[inline]
#[target_feature(enable = "avx512f")]
fn forward([a, b, c, d]: [__m512; 4]) -> [__m512; 4] {
    [
        _mm512_sub_ps(a, c),
        _mm512_add_ps(b, c),
        _mm512_sub_ps(c, b),
        _mm512_sub_ps(b, d),
    ]
}

/// Checks that a strip lies within its slices, so that the loops need not.
fn check(strip: &Strip<'_>, into: &[u32]) {
    let reads = (2 * strip.tiles + 1) * strip.row + 3 * strip.position + strip.lanes;
    assert!(strip.tiles > 0 && reads <= strip.from.len());
    let writes = (PLACES - 1) * strip.place + (strip.tiles - 1) * strip.tile + GROUP;
    assert!(writes <= into.len());
}

#[target_feature(enable = "avx512f,avx512bf16,avx512bw")]
pub(super) fn strip_bf16(strip: &Strip<'_>, into: &mut [u32]) {
    check(strip, into);
    let mask = ((1_u32 << strip.lanes) - 1) as __mmask16;
    let high = _mm512_set1_epi32(0xffff_0000_u32.cast_signed());
    let word = |row: usize, column: usize| {
        // SAFETY: checked above; the mask keeps to the lanes that there are.
        unsafe {
            let at = strip.from.as_ptr().add(row * strip.row + column * strip.position);
            _mm512_maskz_loadu_epi32(mask, at.cast())
        }
    };
    // Even and odd channels of a row of the operand.
    let lines = |row: usize| {
        let words = [word(row, 0), word(row, 1), word(row, 2), word(row, 3)];
        [
            forward(words.map(|w| _mm512_castsi512_ps(_mm512_slli_epi32(w, 16)))),
            forward(words.map(|w| _mm512_castsi512_ps(_mm512_and_si512(w, high)))),
        ]
    };
    // Neighbouring tiles share two rows.
    let mut above = [lines(0), lines(1)];
    for tile in 0..strip.tiles {
        let below = [lines(2 * tile + 2), lines(2 * tile + 3)];
        for column in 0..4 {
            let half = |half: usize| {
                forward([
                    above[0][half][column],
                    above[1][half][column],
                    below[0][half][column],
                    below[1][half][column],
                ])
            };
            let (even, odd) = (half(0), half(1));
            for row in 0..4 {
                // SAFETY: checked above.
                unsafe {
                    let packed: __m512i = std::mem::transmute(_mm512_cvtne2ps_pbh(odd[row], even[row]));
                    let at = (row * 4 + column) * strip.place + tile * strip.tile;
                    _mm512_storeu_si512(into.as_mut_ptr().add(at).cast(), packed);
                }
            }
        }
        above = below;
    }
}

#[target_feature(enable = "avx512f")]
pub(super) fn strip_f32(strip: &Strip<'_>, into: &mut [u32]) {
    check(strip, into);
    let mask = ((1_u32 << strip.lanes) - 1) as __mmask16;
    let value = |row: usize, column: usize| {
        // SAFETY: checked above; the mask keeps to the lanes that there are.
        unsafe {
            let at = strip.from.as_ptr().add(row * strip.row + column * strip.position);
            _mm512_maskz_loadu_ps(mask, at.cast())
        }
    };
    let lines = |row: usize| forward([value(row, 0), value(row, 1), value(row, 2), value(row, 3)]);
    let mut above = [lines(0), lines(1)];
    for tile in 0..strip.tiles {
        let below = [lines(2 * tile + 2), lines(2 * tile + 3)];
        for column in 0..4 {
            let down = forward([
                above[0][column],
                above[1][column],
                below[0][column],
                below[1][column],
            ]);
            for (row, value) in down.into_iter().enumerate() {
                // SAFETY: checked above.
                unsafe {
                    let at = (row * 4 + column) * strip.place + tile * strip.tile;
                    _mm512_storeu_ps(into.as_mut_ptr().add(at).cast(), value);
                }
            }
        }
        above = below;
    }
}

/// Aᵀ of one line of four.
#[inline]
#[target_feature(enable = "avx512f")]
fn backward([a, b, c, d]: [__m512; 4]) -> [__m512; 2] {
    [
        _mm512_add_ps(_mm512_add_ps(a, b), c),
        _mm512_sub_ps(_mm512_sub_ps(b, c), d),
    ]
}

#[target_feature(enable = "avx512f")]
pub(super) fn back(back: &Back<'_>, rows: &mut [f32]) {
    let [down, across] = back.size;
    let width = back.panels * PANEL;
    let tiles = down * across;
    assert!(tiles > 0 && (PLACES - 1) * back.place + tiles * width <= back.sums.len());
    assert!((4 * tiles - 1) * back.stride + width <= rows.len());
    for tile in 0..tiles {
        let (y, x) = (tile / across, tile % across);
        for channel in (0..width).step_by(PANEL) {
            let load = |place: usize| {
                // SAFETY: checked above.
                unsafe {
                    _mm512_loadu_ps(
                        back.sums
                            .as_ptr()
                            .add(place * back.place + tile * width + channel),
                    )
                }
            };
            let lines =
                [0, 4, 8, 12].map(|at| backward([load(at), load(at + 1), load(at + 2), load(at + 3)]));
            let columns = [0, 1].map(|column| lines.map(|line| line[column]));
            for (column, lines) in columns.into_iter().enumerate() {
                for (row, value) in backward(lines).into_iter().enumerate() {
                    let position = (2 * y + row) * 2 * across + 2 * x + column;
                    // SAFETY: checked above.
                    unsafe {
                        _mm512_storeu_ps(rows.as_mut_ptr().add(position * back.stride + channel), value)
                    }
                }
            }
        }
    }
}

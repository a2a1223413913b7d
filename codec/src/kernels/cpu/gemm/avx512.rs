//! Matrix products with AVX-512.
//!
//! A panel of up to 48 columns of `b` is packed so that it is read in order; 8 rows of it at a time are summed in 24
//! registers over the whole of k, so that each sum is written once.

use std::arch::x86_64::{
    __mmask16, _mm512_add_ps, _mm512_fmadd_ps, _mm512_loadu_ps, _mm512_mask_storeu_ps, _mm512_maskz_loadu_ps,
    _mm512_set1_ps, _mm512_setzero_ps,
};
use std::cell::RefCell;

use super::View;

/// f32 values in a register.
const LANES: usize = 16;
/// Registers across a panel, at most.
const PANEL: usize = 3;

thread_local! {
    /// Room for one packed panel.
    static PACKED: RefCell<Vec<f32>> = const { RefCell::new(Vec::new()) };
}

/// One strip of the result.
struct Strip {
    k: usize,
    a: *const f32,
    a_row: usize,
    packed: *const f32,
    out: *mut f32,
    out_row: usize,
    /// Which lanes of the last register of a row are columns.
    last: __mmask16,
    accumulate: bool,
}

/// As [`super::gemm`].
///
/// # Safety
/// The machine must have AVX-512 F; `a` must have contiguous rows and hold (m, k) values, `b` (k, n), and `out` (m, n) in
/// rows `out_row` ≥ n apart. None of the three may be empty.
#[target_feature(enable = "avx512f")]
pub(super) unsafe fn gemm(
    [m, n, k]: [usize; 3],
    a: View<'_>,
    b: View<'_>,
    out: &mut [f32],
    out_row: usize,
    accumulate: bool,
) {
    let registers = n.div_ceil(LANES);
    let panels = registers.div_ceil(PANEL);
    PACKED.with_borrow_mut(|packed| {
        let mut column = 0;
        for panel in 0..panels {
            // As even as can be: a narrow panel keeps fewer sums in flight.
            let vectors = registers / panels + usize::from(panel < registers % panels);
            let columns = (n - column).min(vectors * LANES);
            pack(b, k, column, columns, vectors * LANES, packed);
            let mut strip = Strip {
                k,
                a: a.data.as_ptr(),
                a_row: a.row,
                packed: packed.as_ptr(),
                out: out[column..].as_mut_ptr(),
                out_row,
                last: u16::MAX >> (vectors * LANES - columns),
                accumulate,
            };
            // SAFETY: rows 0 to m of `a` and of the panel's columns of `out` lie within their slices, as the caller
            // promises, and `packed` holds k rows of `vectors` registers.
            unsafe {
                match vectors {
                    1 => strip.rows::<1>(m),
                    2 => strip.rows::<2>(m),
                    _ => strip.rows::<PANEL>(m),
                }
            }
            column += columns;
        }
    });
}

/// Columns `first` to `first + columns` of `b`, padded with zeros to rows of `width`.
#[inline]
fn pack(b: View<'_>, k: usize, first: usize, columns: usize, width: usize, packed: &mut Vec<f32>) {
    packed.resize(k * width, 0.0);
    if b.column == 1 {
        for (row, into) in packed.chunks_exact_mut(width).enumerate() {
            let at = row * b.row + first;
            into[..columns].copy_from_slice(&b.data[at..at + columns]);
            into[columns..].fill(0.0);
        }
    } else {
        for (row, into) in packed.chunks_exact_mut(width).enumerate() {
            for (column, value) in into[..columns].iter_mut().enumerate() {
                *value = b.data[row * b.row + (first + column) * b.column];
            }
            into[columns..].fill(0.0);
        }
    }
}

impl Strip {
    /// All `m` rows of a panel of V registers.
    #[target_feature(enable = "avx512f")]
    unsafe fn rows<const V: usize>(&mut self, m: usize) {
        let mut left = m;
        // SAFETY: each call takes no more rows than are left, and leaves the pointers at the row after them.
        unsafe {
            while left >= 8 {
                self.block::<8, V>();
                left -= 8;
            }
            if left >= 4 {
                self.block::<4, V>();
                left -= 4;
            }
            if left >= 2 {
                self.block::<2, V>();
                left -= 2;
            }
            if left == 1 {
                self.block::<1, V>();
            }
        }
    }

    /// M rows of a panel of V registers; moves on to the rows after them.
    #[target_feature(enable = "avx512f")]
    unsafe fn block<const M: usize, const V: usize>(&mut self) {
        let mut sums = [[_mm512_setzero_ps(); V]; M];
        // SAFETY: the caller promises M rows of k values from `a` on, rows of V registers in `packed` and M rows of `out`
        // with the lanes of `last` in their last register. Pointers only wrap past the end after the last row, where
        // they are not read.
        unsafe {
            for p in 0..self.k {
                // Plain loops: iterator adaptors compiled without AVX-512 would pass registers through memory.
                let mut b = [_mm512_setzero_ps(); V];
                for (v, b) in b.iter_mut().enumerate() {
                    *b = _mm512_loadu_ps(self.packed.add((p * V + v) * LANES));
                }
                for (m, sums) in sums.iter_mut().enumerate() {
                    let a = _mm512_set1_ps(*self.a.add(m * self.a_row + p));
                    for (v, sum) in sums.iter_mut().enumerate() {
                        *sum = _mm512_fmadd_ps(a, b[v], *sum);
                    }
                }
            }
            for (m, sums) in sums.iter().enumerate() {
                for (v, &sum) in sums.iter().enumerate() {
                    let out = self.out.add(m * self.out_row + v * LANES);
                    let lanes = if v + 1 == V { self.last } else { u16::MAX };
                    let before = if self.accumulate {
                        _mm512_maskz_loadu_ps(lanes, out)
                    } else {
                        _mm512_setzero_ps()
                    };
                    _mm512_mask_storeu_ps(out, lanes, _mm512_add_ps(sum, before));
                }
            }
        }
        self.a = self.a.wrapping_add(M * self.a_row);
        self.out = self.out.wrapping_add(M * self.out_row);
    }
}

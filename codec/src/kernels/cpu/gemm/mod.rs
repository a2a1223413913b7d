//! Matrix products on slices.

#[cfg(target_arch = "x86_64")]
mod avx512;

use gemm::Parallelism;

/// A matrix within a slice. Rows may overlap.
#[derive(Clone, Copy)]
pub(super) struct View<'a> {
    pub(super) data: &'a [f32],
    /// Distance of rows.
    pub(super) row: usize,
    /// Distance of columns.
    pub(super) column: usize,
}

impl<'a> View<'a> {
    /// Rows of contiguous values, `row` apart.
    pub(super) fn rows(data: &'a [f32], row: usize) -> Self {
        Self { data, row, column: 1 }
    }

    /// The transpose of [`View::rows`].
    pub(super) fn columns(data: &'a [f32], column: usize) -> Self {
        Self { data, row: 1, column }
    }

    fn covers(&self, rows: usize, columns: usize) -> bool {
        (rows - 1) * self.row + (columns - 1) * self.column < self.data.len()
    }
}

/// `out = a · b`, or `out += a · b`, of an (m, k) and a (k, n) matrix; rows of `out` are contiguous and `out_row` apart.
///
/// One thread does all the work.
pub(super) fn gemm(
    [m, n, k]: [usize; 3],
    a: View<'_>,
    b: View<'_>,
    out: &mut [f32],
    out_row: usize,
    accumulate: bool,
) {
    if m == 0 || n == 0 || k == 0 {
        return;
    }
    assert!(
        a.covers(m, k) && b.covers(k, n),
        "operands of a product are too short"
    );
    assert!(
        out_row >= n && View::rows(out, out_row).covers(m, n),
        "the result of a product is too short"
    );
    #[cfg(target_arch = "x86_64")]
    if a.column == 1 && is_x86_feature_detected!("avx512f") {
        // SAFETY: the feature was just detected, and the assertions above are what it asks for.
        unsafe { avx512::gemm([m, n, k], a, b, out, out_row, accumulate) };
        return;
    }
    // SAFETY: the assertions above are what it asks for.
    unsafe { portable([m, n, k], a, b, out, out_row, accumulate) };
}

/// As [`gemm`], on any machine.
///
/// # Safety
/// `a` must hold (m, k) values, `b` (k, n), and `out` (m, n) in rows `out_row` ≥ n apart.
unsafe fn portable(
    [m, n, k]: [usize; 3],
    a: View<'_>,
    b: View<'_>,
    out: &mut [f32],
    out_row: usize,
    accumulate: bool,
) {
    // SAFETY: the caller promises that every element that the product reads or writes is within its slice; distinct
    // elements of `out` are distinct in memory as out_row ≥ n; and strides that index a slice fit isize.
    unsafe {
        gemm::gemm(
            m,
            n,
            k,
            out.as_mut_ptr(),
            1,
            out_row as isize,
            accumulate,
            a.data.as_ptr(),
            a.column as isize,
            a.row as isize,
            b.data.as_ptr(),
            b.column as isize,
            b.row as isize,
            1.0,
            1.0,
            false,
            false,
            false,
            Parallelism::None,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// (m, n, k), distance of rows of a, whether b is given by columns.
    const CASES: [([usize; 3], usize, bool); 8] = [
        ([1, 1, 1], 1, false),
        ([7, 15, 3], 3, true),
        ([8, 16, 9], 2, false),
        ([9, 17, 33], 40, true),
        ([23, 48, 5], 1, false),
        ([12, 49, 64], 64, true),
        ([3, 97, 20], 20, false),
        ([16, 130, 7], 11, false),
    ];

    fn check(product: impl Fn([usize; 3], View<'_>, View<'_>, &mut [f32], usize, bool)) {
        for ([m, n, k], a_row, columns) in CASES {
            let wave =
                |len: usize, step: f32| -> Vec<f32> { (0..len).map(|i| (i as f32 * step).sin()).collect() };
            let (a, b) = (wave((m - 1) * a_row + k, 0.7), wave(k * n, 1.3));
            let a = View::rows(&a, a_row);
            let b = if columns {
                View::columns(&b, k)
            } else {
                View::rows(&b, n)
            };
            let out_row = n + 3;
            let mut out = vec![f32::NAN; m * out_row];
            product([m, n, k], a, b, &mut out, out_row, false);
            product([m, n, k], a, b, &mut out, out_row, true);
            for (row, out) in out.chunks_exact(out_row).enumerate() {
                for (column, &found) in out[..n].iter().enumerate() {
                    let term = |p: usize| {
                        let a = f64::from(a.data[row * a.row + p]);
                        a * f64::from(b.data[p * b.row + column * b.column])
                    };
                    let expected = 2.0 * (0..k).map(term).sum::<f64>();
                    assert!(
                        (f64::from(found) - expected).abs() < 1e-4,
                        "{m} {n} {k}: {found} {expected}"
                    );
                }
                assert!(
                    out[n..].iter().all(|v| v.is_nan()),
                    "{m} {n} {k}: wrote between rows"
                );
            }
        }
    }

    #[test]
    fn product_is_its_definition() {
        check(gemm);
    }

    #[test]
    fn portable_product_is_its_definition() {
        check(|shape, a, b, out, out_row, accumulate| {
            // SAFETY: `check` gives matrices of the sizes that it names.
            unsafe { portable(shape, a, b, out, out_row, accumulate) }
        });
    }

    #[test]
    #[should_panic(expected = "too short")]
    fn short_operands_are_caught() {
        let values = [0.0; 8];
        gemm(
            [3, 3, 3],
            View::rows(&values, 3),
            View::rows(&values, 3),
            &mut [0.0; 9],
            3,
            false,
        );
    }
}

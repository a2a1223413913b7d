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
    // SAFETY: the assertions above keep every element that the product reads or writes within its slice (a matrix's last
    // element has the largest index); distinct elements of `out` are distinct in memory as out_row ≥ n; and strides that
    // index a slice fit isize.
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

//! Matrix coefficients (H.273, table 4): RGB to luma and two chroma signals, and back.

use super::code;
use latentbit_container::Color;

/// The linear part of a conversion, for components from 0 to 1 and chroma from -0.5 to 0.5.
#[derive(Debug, Clone, Copy)]
pub struct Matrix {
    /// Weights of R, G and B in luma, and in the first and the second chroma signal.
    pub from_rgb: [[f32; 3]; 3],
    /// What each chroma signal adds to luma for R, G and B.
    pub to_rgb: [[f32; 2]; 3],
}

impl Matrix {
    /// Of a code point that [`known`] is true of; of another one that of BT.601.
    pub fn new(matrix: u8) -> Self {
        if matrix == code::MATRIX_YCGCO {
            return Self {
                from_rgb: [[0.25, 0.5, 0.25], [-0.25, 0.5, -0.25], [0.5, 0.0, -0.5]],
                to_rgb: [[-1.0, 1.0], [1.0, 0.0], [-1.0, -1.0]],
            };
        }
        let (kr, kb): (f32, f32) = match matrix {
            1 => (0.2126, 0.0722),
            4 => (0.30, 0.11),
            7 => (0.212, 0.087),
            9 => (0.2627, 0.0593),
            _ => (0.299, 0.114),
        };
        let kg = 1.0 - kr - kb;
        let (to_cb, to_cr) = (0.5 / (1.0 - kb), 0.5 / (1.0 - kr));
        let (r_cr, b_cb) = (2.0 * (1.0 - kr), 2.0 * (1.0 - kb));
        Self {
            from_rgb: [
                [kr, kg, kb],
                [-kr * to_cb, -kg * to_cb, (1.0 - kb) * to_cb],
                [(1.0 - kr) * to_cr, -kg * to_cr, -kb * to_cr],
            ],
            to_rgb: [[0.0, r_cr], [-b_cb * kb / kg, -r_cr * kr / kg], [b_cb, 0.0]],
        }
    }
}

/// Whether pictures with this matrix can be converted.
pub const fn known(matrix: u8) -> bool {
    matches!(matrix, 1 | 4..=9)
}

/// The matrix that YUV pictures of this description have, where one that is known says the same: an unspecified one stays,
/// and one derived from the primaries is that of a standard with these. None for matrices that would come out wrong.
pub fn matrix_of(color: &Color) -> Option<u8> {
    match (color.matrix, color.primaries) {
        // A YUV picture that claims the RGB matrix has simply left the field at zero; 3 is reserved.
        (code::MATRIX_RGB | code::UNSPECIFIED | 3, _) => Some(code::UNSPECIFIED),
        (12, 1) => Some(code::BT709),
        (12, 9) => Some(9),
        (12, 6 | 7) => Some(7),
        (matrix, _) => known(matrix).then_some(matrix),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_matrix_has_its_inverse() {
        for matrix in (0..=255).filter(|&matrix| known(matrix)) {
            let Matrix { from_rgb, to_rgb } = Matrix::new(matrix);
            for rgb in [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0], [0.2, 0.7, 0.4]] {
                let dot = |row: [f32; 3]| row.iter().zip(rgb).map(|(a, b)| a * b).sum::<f32>();
                let [luma, first, second] = from_rgb.map(dot);
                assert!((0.0..=1.0).contains(&luma) && first.abs() <= 0.5001 && second.abs() <= 0.5001);
                for (row, value) in to_rgb.iter().zip(rgb) {
                    let back = luma + row[0] * first + row[1] * second;
                    assert!((back - value).abs() < 1e-5, "{matrix}: {back} for {value}");
                }
            }
        }
    }

    #[test]
    fn other_matrices_are_taken_for_a_known_one_or_refused() {
        let of = |matrix, primaries| {
            matrix_of(&Color {
                matrix,
                primaries,
                ..Color::default()
            })
        };
        assert_eq!((of(0, 1), of(2, 1), of(1, 9)), (Some(2), Some(2), Some(1)));
        assert_eq!((of(12, 1), of(12, 9), of(12, 11)), (Some(1), Some(9), None));
        for matrix in [10, 11, 13, 14, 15, 99] {
            assert_eq!(of(matrix, 9), None, "{matrix}");
        }
    }
}

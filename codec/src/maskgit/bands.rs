//! Bands of rows, so that memory does not grow with the frame.

use std::ops::Range;

use crate::bundle::Kernel;

/// Tokens that pass through the network together, where it may be cut: 12 steps of 64 by 64, about 300 MB in the shipped
/// predictor.
pub(super) const MOST_TOKENS: usize = 12 * 64 * 64;

/// A band and what is computed with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Band {
    /// Rows whose results count.
    pub(super) rows: Range<usize>,
    /// Those and the rows around them that they depend on.
    pub(super) computed: Range<usize>,
}

/// Cuts `height` rows into bands of at most `most` tokens each, or of one row of attention windows where even that is more.
/// `row` is how many tokens a row has, over all steps and columns.
///
/// Results are those of the whole frame: a layer reaches to the borders of its windows, so two layers, of which one is
/// shifted, reach a window further. Without windows, every token sees every other one, and there is one band.
pub(super) fn bands(
    height: usize,
    row: usize,
    layers: usize,
    window: Option<Kernel>,
    most: usize,
) -> Vec<Band> {
    let whole = || {
        vec![Band {
            rows: 0..height,
            computed: 0..height,
        }]
    };
    let Some([_, side, _]) = window else {
        return whole();
    };
    if height.saturating_mul(row) <= most {
        return whole();
    }
    let reach = layers / 2 * side;
    let room = (most / row.max(1)).saturating_sub(2 * reach);
    // Bands begin where windows do.
    let rows = (room / side * side).max(side);
    let band = |start: usize| {
        let end = height.min(start + rows);
        Band {
            rows: start..end,
            computed: start.saturating_sub(reach)..height.min(end + reach),
        }
    };
    (0..height).step_by(rows).map(band).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bands_cover_every_row_once() {
        let window = Some([16, 4, 4]);
        for (height, most) in [(135, 400), (135, 1), (7, 30), (12, 1000)] {
            let bands = bands(height, 10, 6, window, most);
            let rows: Vec<usize> = bands.iter().flat_map(|band| band.rows.clone()).collect();
            assert_eq!(rows, (0..height).collect::<Vec<_>>());
            for band in &bands {
                assert_eq!((band.rows.start % 4, band.computed.start % 4), (0, 0));
                assert_eq!(band.computed.start, band.rows.start.saturating_sub(12));
                assert_eq!(band.computed.end, height.min(band.rows.end + 12));
            }
        }
        assert_eq!(bands(135, 10, 6, window, 400)[0].rows, 0..16);
        assert_eq!(bands(135, 10, 6, None, 1).len(), 1);
        assert_eq!(bands(40, 10, 6, window, 400).len(), 1);
    }
}

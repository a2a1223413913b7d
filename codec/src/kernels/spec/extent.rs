//! How an operand lies in memory.

/// Extents of an operand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Extent {
    /// Those in front included.
    pub(in crate::kernels) frames: usize,
    pub(in crate::kernels) height: usize,
    pub(in crate::kernels) width: usize,
    pub(in crate::kernels) channels: usize,
    /// Rows above, columns to the left, rows below, columns to the right.
    pub(in crate::kernels) border: [usize; 4],
}

/// Distances: in words on the CPU, in values on a GPU.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::kernels) struct Layout {
    pub(in crate::kernels) position: usize,
    pub(in crate::kernels) row: usize,
    pub(in crate::kernels) frame: usize,
    border: [usize; 4],
}

impl Layout {
    /// Of positions that take so much each.
    pub(in crate::kernels) fn new(position: usize, extent: Extent) -> Self {
        let [above, left, below, right] = extent.border;
        let row = (left + extent.width + right) * position;
        Self {
            position,
            row,
            frame: (above + extent.height + below) * row,
            border: extent.border,
        }
    }

    /// The layout of as many positions of frames of another extent, without a border.
    pub(in crate::kernels) fn flat(self, height: usize, width: usize) -> Self {
        Self {
            row: width * self.position,
            frame: height * width * self.position,
            ..self
        }
    }

    /// Where a position begins in its frame; row and column count from the border's edge.
    pub(in crate::kernels) fn bordered(&self, row: usize, column: usize) -> usize {
        row * self.row + column * self.position
    }

    /// Where a position begins in its frame; row and column count without the border.
    pub(in crate::kernels) fn inner(&self, row: usize, column: usize) -> usize {
        self.bordered(row + self.border[0], column + self.border[1])
    }
}

//! The order in which the bits of a plane are coded (LBIT §6.2, order).
//!
//! Bits of a step do not depend on each other, so that a CPU can predict them side by side. Rows are taken four at a
//! time, each one column behind the row above it.

use super::contexts::{Contexts, NONE};
use super::model::{Cell, Model};
use super::range::{RangeDecoder, RangeEncoder};
use crate::ground::TokenGrid;

/// Rows that are coded side by side.
const LANES: usize = 4;

/// Gives or takes bits.
pub(super) trait Coder: Default {
    /// Codes a bit that is 1 with a probability of `p` in units of 2^−16. `bit` is what it is, if that is known.
    fn code(&mut self, p: u16, bit: u8) -> u8;
}

impl Coder for RangeEncoder {
    #[inline(always)]
    fn code(&mut self, p: u16, bit: u8) -> u8 {
        self.encode(p, bit);
        bit
    }
}

impl Coder for RangeDecoder<'_> {
    #[inline(always)]
    fn code(&mut self, p: u16, _: u8) -> u8 {
        self.decode(p)
    }
}

/// Codes nothing: the bits are only learned from.
#[derive(Default)]
pub(super) struct Learn;

impl Coder for Learn {
    #[inline(always)]
    fn code(&mut self, _: u16, bit: u8) -> u8 {
        bit
    }
}

/// Room for the cells of a time step.
pub(super) struct Order {
    width: usize,
    times: usize,
    cells: Vec<Cell>,
    /// The row above a group of rows.
    above: Vec<u8>,
}

impl Order {
    pub fn new(grid: TokenGrid) -> Self {
        let (width, height) = ((grid.w as usize).max(1), grid.h as usize);
        Self {
            width,
            times: grid.t as usize,
            cells: vec![Cell::default(); width * height],
            above: vec![NONE; width],
        }
    }

    /// Goes through the plane of `contexts`.
    pub fn code(&mut self, contexts: &mut Contexts, model: &mut Model, coder: &mut impl Coder) {
        for time in 0..self.times {
            contexts.cells(time, &mut self.cells);
            self.above.fill(NONE);
            for group in self.cells.chunks_mut(LANES * self.width) {
                code_group(group, &self.above, model, coder);
                let last = group.chunks_exact(self.width).next_back().unwrap_or_default();
                for (above, cell) in self.above.iter_mut().zip(last) {
                    *above = cell.bit();
                }
            }
            contexts.set_cells(time, &self.cells);
        }
    }
}

/// Codes up to four rows.
fn code_group(group: &mut [Cell], above: &[u8], model: &mut Model, coder: &mut impl Coder) {
    let width = above.len();
    let rows = group.len() / width;
    // The bit of each row at the step before: its left neighbour, and the one above for the row below.
    let mut last = [NONE; LANES];
    let steps = width + rows - 1;
    let (mut step, full) = (0, if rows == LANES { LANES - 1..width } else { 0..0 });
    while step < steps {
        if step == full.start && !full.is_empty() {
            full_steps(group, above, &mut last, model, coder);
            step = full.end;
        } else {
            side_step(group, step, above, &mut last, model, coder);
            step += 1;
        }
    }
}

/// The steps in which all four rows have a bit.
fn full_steps(
    group: &mut [Cell],
    above: &[u8],
    last: &mut [u8; LANES],
    model: &mut Model,
    coder: &mut impl Coder,
) {
    let mut rows = group.chunks_exact_mut(above.len());
    let (Some(a), Some(b), Some(c), Some(d)) = (rows.next(), rows.next(), rows.next(), rows.next()) else {
        return;
    };
    let cells = a
        .iter_mut()
        .skip(3)
        .zip(b.iter_mut().skip(2))
        .zip(c.iter_mut().skip(1))
        .zip(d);
    let mut left = *last;
    // Moved to where the compiler keeps it in registers.
    let mut local = std::mem::take(coder);
    for ((((a, b), c), d), &above) in cells.zip(above.iter().skip(3)) {
        let now = [*a, *b, *c, *d];
        let made = [
            model.predict(now[0].near(above, left[0]), now[0].past()),
            model.predict(now[1].near(left[0], left[1]), now[1].past()),
            model.predict(now[2].near(left[1], left[2]), now[2].past()),
            model.predict(now[3].near(left[2], left[3]), now[3].past()),
        ];
        for lane in 0..LANES {
            left[lane] = local.code(made[lane].p, now[lane].bit());
        }
        for lane in 0..LANES {
            model.update(made[lane], left[lane]);
        }
        a.set_bit(left[0]);
        b.set_bit(left[1]);
        c.set_bit(left[2]);
        d.set_bit(left[3]);
    }
    *last = left;
    *coder = local;
}

/// A step in which some rows have not begun or are at their end.
fn side_step(
    group: &mut [Cell],
    step: usize,
    above: &[u8],
    last: &mut [u8; LANES],
    model: &mut Model,
    coder: &mut impl Coder,
) {
    let width = above.len();
    let left = *last;
    let mut made = [None; LANES];
    for (row, made) in made.iter_mut().enumerate() {
        let Some(x) = step.checked_sub(row).filter(|&x| x < width) else {
            continue;
        };
        let Some(cell) = group.get(row * width + x) else {
            continue;
        };
        let above = match row {
            0 => above.get(x).copied().unwrap_or(NONE),
            _ => left[row - 1],
        };
        let prediction = model.predict(cell.near(above, left[row]), cell.past());
        *made = Some((row * width + x, prediction));
    }
    for (made, last) in made.iter().zip(last.iter_mut()) {
        let Some((at, prediction)) = made else {
            continue;
        };
        if let Some(cell) = group.get_mut(*at) {
            *last = coder.code(prediction.p, cell.bit());
            cell.set_bit(*last);
        }
    }
    for (made, &last) in made.iter().zip(last.iter()) {
        if let Some((_, prediction)) = made {
            model.update(*prediction, last);
        }
    }
}

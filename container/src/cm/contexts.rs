//! What is known of a bit before it is coded (LBIT §6.2, contexts).

use super::model::Cell;
use crate::ground::TokenGrid;

/// A neighbour that is not there.
pub(super) const NONE: u8 = 2;

/// Bits of a token that its next one is predicted from.
pub(super) const HISTORY: u8 = 0x1f;

/// Per cent of the earlier planes in which two tokens agree: the limits between levels.
pub(super) const SIDE_LIMITS: [usize; 2] = [62, 80];
pub(super) const TIME_LIMITS: [usize; 3] = [60, 75, 90];

/// Planes and tokens that were coded, and what follows from them for the next plane.
pub(super) struct Contexts {
    width: usize,
    /// Tokens of one time step.
    step: usize,
    /// The plane that is coded: one byte for each bit.
    bits: Vec<u8>,
    /// Planes that are done.
    planes: usize,
    /// The last bits of each token, the newest lowest.
    history: Vec<u8>,
    /// In how many earlier planes a token agrees with the one to its left, above and before it in time.
    left: Vec<u8>,
    above: Vec<u8>,
    before: Vec<u8>,
}

/// Numbers of planes from which on two tokens agree at a level.
pub(super) fn limits<const N: usize>(per_cent: [usize; N], planes: usize) -> [u8; N] {
    per_cent.map(|limit| match planes {
        0 => u8::MAX,
        _ => (limit * planes).div_ceil(100).min(255) as u8,
    })
}

fn rest(counts: &[u8], from: usize) -> &[u8] {
    counts.get(from..).unwrap_or_default()
}

#[inline(always)]
fn level<const N: usize>(limits: &[u8; N], count: u8) -> u8 {
    limits.iter().map(|&limit| u8::from(count >= limit)).sum()
}

impl Contexts {
    pub fn new(grid: TokenGrid) -> Self {
        let zeros = vec![0; grid.len()];
        Self {
            width: (grid.w as usize).max(1),
            step: (grid.h as usize * grid.w as usize).max(1),
            bits: zeros.clone(),
            planes: 0,
            history: zeros.clone(),
            left: zeros.clone(),
            above: zeros.clone(),
            before: zeros,
        }
    }

    /// The cells of a time step, in `cells`: everything that is known of its bits but for what is left and above.
    pub fn cells(&self, time: usize, cells: &mut [Cell]) {
        let from = time * self.step;
        let (side, ago) = (limits(SIDE_LIMITS, self.planes), limits(TIME_LIMITS, self.planes));
        let past = self.planes.min(63) as u32 * 32;
        let (done, bits) = self.bits.split_at(from.min(self.bits.len()));
        let tokens = bits
            .iter()
            .zip(rest(&self.history, from))
            .zip(rest(&self.left, from))
            .zip(rest(&self.above, from))
            .zip(rest(&self.before, from));
        for (cell, ((((&bit, &history), &left), &above), &before)) in cells.iter_mut().zip(tokens) {
            let level = level(&ago, before) * 9 + level(&side, left) * 3 + level(&side, above);
            *cell = Cell::new(u32::from(level) * 27, past + u32::from(history), bit);
        }
        let earlier = done
            .len()
            .checked_sub(self.step)
            .and_then(|from| done.get(from..));
        match earlier {
            None => cells
                .iter_mut()
                .for_each(|cell| cell.add_near(u32::from(NONE) * 9)),
            Some(earlier) => {
                for (cell, &bit) in cells.iter_mut().zip(earlier) {
                    cell.add_near(u32::from(bit) * 9);
                }
            }
        }
    }

    /// Takes the bits of a time step back.
    pub fn set_cells(&mut self, time: usize, cells: &[Cell]) {
        for (bit, cell) in self.bits.iter_mut().skip(time * self.step).zip(cells) {
            *bit = cell.bit();
        }
    }

    /// Counts the plane that was coded in.
    pub fn end_plane(&mut self) {
        let Self { width, step, .. } = *self;
        let bits = &self.bits[..];
        for (counts, row) in self.left.chunks_mut(width).zip(bits.chunks(width)) {
            for ((count, bit), left) in counts.iter_mut().skip(1).zip(row.iter().skip(1)).zip(row) {
                *count += u8::from(bit == left);
            }
        }
        for (counts, frame) in self.above.chunks_mut(step).zip(bits.chunks(step)) {
            let rows = counts.iter_mut().skip(width).zip(frame.iter().skip(width));
            for ((count, bit), above) in rows.zip(frame) {
                *count += u8::from(bit == above);
            }
        }
        let steps = self.before.iter_mut().skip(step).zip(bits.iter().skip(step));
        for ((count, bit), before) in steps.zip(bits) {
            *count += u8::from(bit == before);
        }
        for (history, bit) in self.history.iter_mut().zip(bits) {
            *history = (*history << 1 | bit) & HISTORY;
        }
        self.planes += 1;
    }

    /// Takes a packed plane in.
    pub fn set_bits(&mut self, packed: &[u8]) {
        for (eight, &byte) in self.bits.chunks_mut(8).zip(packed) {
            for (i, bit) in eight.iter_mut().enumerate() {
                *bit = byte >> i & 1;
            }
        }
    }

    /// Packs the plane.
    pub fn get_bits(&self, packed: &mut [u8]) {
        for (byte, eight) in packed.iter_mut().zip(self.bits.chunks(8)) {
            *byte = eight.iter().enumerate().fold(0, |byte, (i, bit)| byte | bit << i);
        }
    }
}

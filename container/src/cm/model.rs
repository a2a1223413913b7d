//! What is learned while a chunk is coded (LBIT §6.2, model).

use super::tables::{MIXED, NEW, NEXT, pair};

/// Contexts of the neighbours (36 · 27) and of the earlier bits of a token (64 · 32), rounded up to powers of two.
const NEAR: usize = 1024;
const PAST: usize = 2048;

/// How fast mixtures follow what comes: by 1/64 of the way.
const RATE: u32 = 6;

/// States of all contexts, and what pairs of them are mixed to: the probability of a 1 in units of 2^−16, which never gets
/// below 63 or above 65472.
pub(super) struct Model {
    near: [u8; NEAR],
    past: [u8; PAST],
    mixed: [u16; MIXED.len()],
}

/// A prediction, and where it came from.
#[derive(Clone, Copy, Default)]
pub(super) struct Prediction {
    /// Probability of a 1 in units of 2^−16.
    pub p: u16,
    near: u16,
    past: u16,
}

impl Model {
    pub const fn new() -> Self {
        Self {
            near: [NEW; NEAR],
            past: [NEW; PAST],
            mixed: MIXED,
        }
    }

    #[inline(always)]
    fn pair(&self, near: u16, past: u16) -> usize {
        pair(
            self.near[usize::from(near) % NEAR],
            self.past[usize::from(past) % PAST],
        ) % MIXED.len()
    }

    #[inline(always)]
    pub fn predict(&self, near: u16, past: u16) -> Prediction {
        let p = self.mixed[self.pair(near, past)];
        Prediction { p, near, past }
    }

    /// Learns a bit. States that are mixed are those of now, which other bits of the same step may have changed.
    #[inline(always)]
    pub fn update(&mut self, made: Prediction, bit: u8) {
        let mixed = &mut self.mixed[pair(
            self.near[usize::from(made.near) % NEAR],
            self.past[usize::from(made.past) % PAST],
        ) % MIXED.len()];
        *mixed = *mixed - (*mixed >> RATE) + u16::from(bit) * (u16::MAX >> RATE);
        let near = &mut self.near[usize::from(made.near) % NEAR];
        *near = NEXT[usize::from(*near) * 2 % 256 + usize::from(bit & 1)];
        let past = &mut self.past[usize::from(made.past) % PAST];
        *past = NEXT[usize::from(*past) * 2 % 256 + usize::from(bit & 1)];
    }
}

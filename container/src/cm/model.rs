//! What is learned while a chunk is coded (LBIT §6.2, model), and a bit with its contexts.

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

/// A bit and the contexts that it is coded in, in one word.
///
/// Bits 0 to 9: the context of what is near; 10 to 20: that of what is past; 31: the bit.
#[derive(Clone, Copy, Default)]
pub(super) struct Cell(u32);

impl Cell {
    #[inline(always)]
    pub fn new(near: u32, past: u32, bit: u8) -> Self {
        Self(near | past << 10 | u32::from(bit) << 31)
    }

    #[inline(always)]
    pub fn add_near(&mut self, near: u32) {
        self.0 += near;
    }

    /// The context of what is near, once all of it is known.
    #[inline(always)]
    pub fn near(self, above: u8, left: u8) -> u16 {
        (self.0 & 1023) as u16 + u16::from(above) * 3 + u16::from(left)
    }

    #[inline(always)]
    pub fn past(self) -> u16 {
        (self.0 >> 10 & 2047) as u16
    }

    #[inline(always)]
    pub fn bit(self) -> u8 {
        (self.0 >> 31) as u8
    }

    #[inline(always)]
    pub fn set_bit(&mut self, bit: u8) {
        self.0 = (self.0 & 0x7fff_ffff) | u32::from(bit) << 31;
    }
}

//! `cm` for chunks whose tokens have depths (LBIT §6.3): a layer's depths, then its bits, in scan order.

use std::ops::Range;

use super::contexts::{HISTORY, NONE, SIDE_LIMITS, TIME_LIMITS, limits};
use super::model::Model;
use super::order::{Coder, Learn};
use super::range::{RangeDecoder, RangeEncoder};
use crate::error::{Broken, Result};
use crate::ground::TokenGrid;

/// Codes nothing, and notes what each bit would take.
#[derive(Default)]
struct Costs(Vec<f32>);

impl Coder for Costs {
    fn code(&mut self, p: u16, bit: u8) -> u8 {
        let one = f32::from(p) / 65536.0;
        self.0.push(-(if bit == 1 { one } else { 1.0 - one }).log2());
        bit
    }
}

/// Where no token is, in place of the layers that one has.
const OUTSIDE: u8 = u8::MAX;

/// What is known of the tokens of a chunk, and what was learned of their depths and bits.
///
/// Tokens lie in rows with a place more on the left, and frames in one row more on top, which belong to no token, so that
/// every token has a place to its left, its right, above and below.
pub(crate) struct Layers {
    grid: TokenGrid,
    /// Places of a row and of a frame.
    row: usize,
    frame: usize,
    /// How many layers each token has, as far as is known.
    layers: Vec<u8>,
    /// The bit of the plane at hand, or [`NONE`].
    bits: Vec<u8>,
    /// The last bits of each token, the newest lowest.
    history: Vec<u8>,
    /// In how many planes a token agrees with the one to its left, above, and before it in time.
    left: Vec<u8>,
    above: Vec<u8>,
    before: Vec<u8>,
    depth_model: Model,
    bit_model: Model,
    /// Layers that are done.
    done: u8,
}

/// A token that the layer at hand is about: its number and its place.
#[derive(Clone, Copy)]
struct Spot {
    token: usize,
    at: usize,
}

/// The byte at `at`: one of no token if there is none.
#[inline(always)]
fn get(bytes: &[u8], at: usize) -> u8 {
    bytes.get(at).copied().unwrap_or(0)
}

impl Layers {
    /// At the first layer of a chunk. Memory for the grid is allocated, which the caller must have checked.
    pub fn new(grid: TokenGrid) -> Self {
        let (width, height) = (grid.w as usize, grid.h as usize);
        let (row, frame) = (width + 1, (width + 1) * (height + 1));
        let places = frame * grid.t as usize + row + 1;
        let mut layers = vec![OUTSIDE; places];
        for tokens in layers.chunks_exact_mut(frame) {
            for tokens in tokens.chunks_exact_mut(row).skip(1) {
                tokens.iter_mut().skip(1).for_each(|layers| *layers = 0);
            }
        }
        Self {
            grid,
            row,
            frame,
            layers,
            bits: vec![NONE; places],
            history: vec![0; places],
            left: vec![0; places],
            above: vec![0; places],
            before: vec![0; places],
            depth_model: Model::new(),
            bit_model: Model::new(),
            done: 0,
        }
    }

    /// The places of `tokens`, which are in scan order.
    fn spots(&self, tokens: &[u32]) -> Vec<Spot> {
        let (width, frame_len) = (
            (self.grid.w as usize).max(1),
            (self.grid.w as usize * self.grid.h as usize).max(1),
        );
        let place = |&token: &u32| {
            let token = token as usize;
            let (frame, within) = (token / frame_len, token % frame_len);
            let at = frame * self.frame + (within / width + 1) * self.row + within % width + 1;
            Spot { token, at }
        };
        tokens.iter().map(place).collect()
    }

    /// The code of the next layer, of `planes`, in which `tokens` may go on.
    pub fn encode(
        &mut self,
        tokens: &[u32],
        planes: Range<u8>,
        depths: &mut [u8],
        values: &mut [u64],
    ) -> Vec<u8> {
        let mut encoder = RangeEncoder::new();
        self.code(tokens, planes, depths, values, &mut encoder);
        encoder.finish()
    }

    /// Reads the next layer, and adds what it holds to `depths` and `values`.
    pub fn decode(
        &mut self,
        coded: &[u8],
        tokens: &[u32],
        planes: Range<u8>,
        depths: &mut [u8],
        values: &mut [u64],
    ) -> Result<(), Broken> {
        let mut decoder = RangeDecoder::new(coded)?;
        self.code(tokens, planes, depths, values, &mut decoder);
        decoder.finish()
    }

    /// What the code of each token's bits takes in the next layer, in bits, if all tokens have it.
    pub fn costs(
        &mut self,
        tokens: &[u32],
        planes: Range<u8>,
        depths: &mut [u8],
        values: &mut [u64],
    ) -> Vec<f32> {
        let mut costs = Costs::default();
        self.code(tokens, planes, depths, values, &mut costs);
        // Depths come first, then plane by plane the bits.
        let mut sums = vec![0.0; tokens.len()];
        for plane in costs.0.chunks(tokens.len().max(1)).skip(1) {
            sums.iter_mut().zip(plane).for_each(|(sum, cost)| *sum += cost);
        }
        sums
    }

    /// Learns from a layer that was stored as it is.
    pub fn learn(&mut self, tokens: &[u32], planes: Range<u8>, depths: &mut [u8], values: &mut [u64]) {
        self.code(tokens, planes, depths, values, &mut Learn);
    }

    /// Codes the next layer: which of `tokens`, those that have all layers before, go on in it, then the bits of those
    /// in `planes`. What `depths` and `values` say is coded, and what was read is added to them.
    fn code(
        &mut self,
        tokens: &[u32],
        planes: Range<u8>,
        depths: &mut [u8],
        values: &mut [u64],
        coder: &mut impl Coder,
    ) {
        let mut spots = self.spots(tokens);
        spots.retain(|spot| {
            let Some(depth) = depths.get_mut(spot.token) else {
                return false;
            };
            let goes_on = self.code_depth(spot.at, *depth > planes.start, coder);
            if goes_on {
                *depth = (*depth).max(planes.end);
            }
            goes_on
        });
        self.done = self.done.saturating_add(1);
        for plane in planes {
            self.code_plane(&spots, plane, values, coder);
        }
    }

    /// Codes whether the token at `at` has the layer at hand.
    #[inline]
    fn code_depth(&mut self, at: usize, goes_on: bool, coder: &mut impl Coder) -> bool {
        let layers = &self.layers[..];
        let layer = self.done;
        // Tokens before this one in scan order: 0: ended earlier, 1: ends here, 2: goes on, 3: not there.
        let coded = |at: usize| match get(layers, at) {
            OUTSIDE => 3,
            has if has > layer => 2,
            has if has == layer => 1,
            _ => 0,
        };
        // Tokens after it, of which only the layers before are known.
        let open = |at: usize| u16::from(get(layers, at) == layer);
        let on = |at: usize| u16::from(coded(at) == 2);
        let (left, above) = (coded(at - 1), coded(at - self.row));
        let ago = at.checked_sub(self.frame);
        let before = ago.map_or(3, coded);
        let near = ((open(at + 1) * 2 + open(at + self.row)) * 4 + before) * 16 + above * 4 + left;
        let beside = on(at - self.row - 1) * 2 + on(at - self.row + 1);
        let ago = ago.map_or(0, |ago| on(ago + 1) * 2 + on(ago + self.row));
        let past = u16::from(layer.min(63)) * 32 + ago * 4 + beside;
        let made = self.depth_model.predict(near, past);
        let bit = coder.code(made.p, u8::from(goes_on));
        self.depth_model.update(made, bit);
        match bit {
            1 => {
                if let Some(layers) = self.layers.get_mut(at) {
                    *layers = layer + 1;
                }
            }
            _ => {
                if let Some(bit) = self.bits.get_mut(at) {
                    *bit = NONE;
                }
            }
        }
        bit == 1
    }

    fn code_plane(&mut self, spots: &[Spot], plane: u8, values: &mut [u64], coder: &mut impl Coder) {
        let side = levels(SIDE_LIMITS, plane);
        let ago = levels(TIME_LIMITS, plane);
        let past = u16::from(plane.min(63)) * 32;
        for &Spot { token, at } in spots {
            let Some(value) = values.get_mut(token) else {
                continue;
            };
            let (left, above) = (get(&self.bits, at - 1), get(&self.bits, at - self.row));
            let before = at.checked_sub(self.frame).map_or(NONE, |at| get(&self.bits, at));
            let level =
                |levels: &[u8; 65], counts: &[u8]| u16::from(levels[usize::from(get(counts, at)).min(64)]);
            let level =
                level(&ago, &self.before) * 9 + level(&side, &self.left) * 3 + level(&side, &self.above);
            let bits = u16::from(before) * 9 + u16::from(above) * 3 + u16::from(left);
            let past = past + u16::from(get(&self.history, at));
            let made = self.bit_model.predict(level * 27 + bits, past);
            let bit = coder.code(made.p, (*value >> plane & 1) as u8);
            self.bit_model.update(made, bit);
            *value |= u64::from(bit) << plane;
            if let Some(place) = self.bits.get_mut(at) {
                *place = bit;
            }
        }
        for &Spot { at, .. } in spots {
            let bit = get(&self.bits, at);
            let agrees = |at: usize| u8::from(get(&self.bits, at) == bit);
            let (left, above) = (agrees(at - 1), agrees(at - self.row));
            let before = at.checked_sub(self.frame).map_or(0, agrees);
            for (counts, one) in [
                (&mut self.left, left),
                (&mut self.above, above),
                (&mut self.before, before),
            ] {
                if let Some(count) = counts.get_mut(at) {
                    *count += one;
                }
            }
            if let Some(history) = self.history.get_mut(at) {
                *history = (*history << 1 | bit) & HISTORY;
            }
        }
    }
}

/// The level of each number of planes in which two tokens agree, before plane `planes`.
fn levels<const N: usize>(per_cent: [usize; N], planes: u8) -> [u8; 65] {
    let limits = limits(per_cent, usize::from(planes));
    let mut levels = [0; 65];
    for (level, count) in levels.iter_mut().zip(0u8..) {
        *level = limits.iter().map(|&limit| u8::from(count >= limit)).sum();
    }
    levels
}

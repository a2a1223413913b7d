//! The transforms in plain Rust.

use super::{Back, GROUP, PLACES, Strip, channel_of};
use crate::kernels::cpu::words::Number;
use crate::kernels::cpu::words::PANEL;
use crate::kernels::cpu::words::round;

type Lane = [f32; 2];

fn values(dtype: Number, word: u32) -> Lane {
    match dtype {
        Number::F32 => [f32::from_bits(word), 0.0],
        Number::Bf16 => [f32::from_bits(word << 16), f32::from_bits(word & 0xffff_0000)],
    }
}

/// Bᵀ of one line of four.
#[inline(always)]
fn forward([a, b, c, d]: [f32; 4]) -> [f32; 4] {
    [a - c, b + c, c - b, b - d]
}

pub(super) fn strip(dtype: Number, strip: &Strip<'_>, into: &mut [u32]) {
    let per_word = match dtype {
        Number::F32 => 1,
        Number::Bf16 => 2,
    };
    for tile in 0..strip.tiles {
        let mut results = [[0.0_f32; 2 * GROUP]; PLACES];
        for lane in 0..strip.lanes {
            let input: [[Lane; 4]; 4] = std::array::from_fn(|row| {
                std::array::from_fn(|column| {
                    let at = (2 * tile + row) * strip.row + column * strip.position + lane;
                    values(dtype, strip.from[at])
                })
            });
            for half in 0..per_word {
                let lines: [[f32; 4]; 4] = std::array::from_fn(|row| {
                    forward(std::array::from_fn(|column| input[row][column][half]))
                });
                for column in 0..4 {
                    let down = forward(std::array::from_fn(|row| lines[row][column]));
                    for (row, value) in down.into_iter().enumerate() {
                        results[row * 4 + column][lane * per_word + half] = value;
                    }
                }
            }
        }
        for (place, values) in results.iter().enumerate() {
            let words = &mut into[place * strip.place + tile * strip.tile..][..GROUP];
            for (i, word) in words.iter_mut().enumerate() {
                *word = match dtype {
                    Number::F32 => values[i].to_bits(),
                    Number::Bf16 => {
                        let [low, high] = [0, 1].map(|half| values[channel_of(dtype, 2 * i + half)]);
                        round(low) >> 16 | round(high) & 0xffff_0000
                    }
                };
            }
        }
    }
}

pub(super) fn back(back: &Back<'_>, rows: &mut [f32]) {
    let [down, across] = back.size;
    let width = back.panels * PANEL;
    for tile in 0..down * across {
        let (y, x) = (tile / across, tile % across);
        for channel in 0..width {
            let m: [f32; PLACES] =
                std::array::from_fn(|place| back.sums[place * back.place + tile * width + channel]);
            let lines: [[f32; 2]; 4] = std::array::from_fn(|row| {
                let [a, b, c, d] = std::array::from_fn(|column| m[row * 4 + column]);
                [a + b + c, b - c - d]
            });
            let columns = [0, 1].map(|column| lines.map(|line| line[column]));
            for (column, [a, b, c, d]) in columns.into_iter().enumerate() {
                for (row, value) in [a + b + c, b - c - d].into_iter().enumerate() {
                    let position = (2 * y + row) * 2 * across + 2 * x + column;
                    rows[position * back.stride + channel] = value;
                }
            }
        }
    }
}

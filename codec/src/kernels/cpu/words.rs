//! Values as the 32-bit words that products take.

use super::kind::Kind;
use super::vector;

/// Columns of a panel.
pub(in crate::kernels) const PANEL: usize = 16;

/// The type of the operands of products.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Number {
    F32,
    Bf16,
}

/// How values become words on this machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Format {
    pub(crate) kind: Kind,
    pub(crate) dtype: Number,
}

impl Format {
    /// Words of one position of `channels` values.
    pub(crate) fn words(self, channels: usize) -> usize {
        match (self.dtype, self.kind) {
            (Number::F32, _) => channels,
            // Tiles take 16 words at a time.
            (Number::Bf16, Kind::Amx) => channels.div_ceil(2).next_multiple_of(16),
            (Number::Bf16, _) => channels.div_ceil(2),
        }
    }

    /// Values in a word.
    pub(in crate::kernels) fn per_word(self) -> usize {
        match self.dtype {
            Number::F32 => 1,
            Number::Bf16 => 2,
        }
    }

    /// Writes values as words; words without a value become zero.
    #[inline]
    pub(in crate::kernels) fn write(self, values: &[f32], words: &mut [u32]) {
        match self.dtype {
            Number::F32 => {
                for (word, &value) in words.iter_mut().zip(values) {
                    *word = value.to_bits();
                }
                words[values.len()..].fill(0);
            }
            Number::Bf16 => {
                vector::write_bf16(self.kind, values, words);
                words[values.len().div_ceil(2)..].fill(0);
            }
        }
    }

    /// A word of up to two values.
    pub(in crate::kernels) fn word(self, value: impl Fn(usize) -> f32) -> u32 {
        match self.dtype {
            Number::F32 => value(0).to_bits(),
            Number::Bf16 => round(value(0)) >> 16 | round(value(1)) & 0xffff_0000,
        }
    }
}

/// Rounds to the nearest bf16, ties to even, in the upper half of the bits; the lower half is noise.
#[inline(always)]
pub(in crate::kernels) fn round(value: f32) -> u32 {
    let bits = value.to_bits();
    bits.wrapping_add(0x7fff + (bits >> 16 & 1))
}

/// A matrix in panels.
#[derive(Clone, Debug, Default)]
pub(in crate::kernels) struct Packed {
    pub(in crate::kernels) words: Vec<u32>,
    /// Words of a panel.
    pub(in crate::kernels) stride: usize,
    pub(in crate::kernels) panels: usize,
}

impl Packed {
    /// Packs a matrix of `segments` times `steps` words of depth and `columns` columns; `value(segment, index, column)`
    /// is the value of index `index` (two for each word of bf16) of a segment, or zero beyond its end.
    pub(in crate::kernels) fn new(
        format: Format,
        [segments, steps, columns]: [usize; 3],
        value: impl Fn(usize, usize, usize) -> f32,
    ) -> Self {
        let panels = columns.div_ceil(PANEL);
        let stride = segments * steps * PANEL;
        let per_word = format.per_word();
        let mut words = Vec::with_capacity(panels * stride);
        for panel in 0..panels {
            for segment in 0..segments {
                for step in 0..steps {
                    for column in panel * PANEL..(panel + 1) * PANEL {
                        words.push(if column < columns {
                            format.word(|i| value(segment, step * per_word + i, column))
                        } else {
                            0
                        });
                    }
                }
            }
        }
        Self {
            words,
            stride,
            panels,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_hold_rounded_values() {
        for kind in Kind::available() {
            let format = Format {
                kind,
                dtype: Number::Bf16,
            };
            let values: Vec<f32> = (0..71).map(|i| (i as f32 - 30.0) * 1.001).collect();
            for len in [0, 1, 2, 15, 16, 31, 32, 33, 71] {
                let mut words = vec![9; format.words(len) + 1];
                format.write(&values[..len], &mut words);
                for (i, &word) in words.iter().enumerate() {
                    let value = |j: usize| values[..len].get(2 * i + j).copied().unwrap_or(0.0);
                    assert_eq!(word, format.word(value), "{kind:?} {len} {i}");
                }
            }
        }
        // Ties go to even.
        assert_eq!(round(f32::from_bits(0x3f80_8000)) >> 16, 0x3f80);
        assert_eq!(round(f32::from_bits(0x3f81_8000)) >> 16, 0x3f82);
    }
}

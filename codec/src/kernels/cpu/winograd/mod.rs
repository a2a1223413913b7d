//! Convolution 3×3 in space by Winograd's F(2×2, 3×3): 16 multiplications for 4 outputs instead of 36.
//!
//! A tile of 4×4 inputs d, overlapping its neighbours by two, gives 2×2 outputs Aᵀ[(G g Gᵀ) ⊙ (Bᵀ d B)]A (Lavin and
//! Gray, 2015, section 4.1). Summed over channels, each of the 16 places of a tile is a product of its own, of all tiles
//! of a task with a matrix. Taps in time follow each other in the depth of that product. With sums in f32 the result is
//! as close to the exact one as that of the direct way, for bf16 too: transforms are f32, only their results are rounded.

#[cfg(target_arch = "x86_64")]
mod avx512;
mod plain;

use rayon::prelude::*;

use super::finish::{Finish, Place};
use super::kind::Kind;
use super::micro::{Product, product};
use super::operand::Operand;
use super::scratch::{Scratch, at_least, with_scratch};
use super::words::{Format, Number, PANEL, Packed};
use crate::kernels::spec::ConvSpec;

/// Places of a tile.
const PLACES: usize = 16;
/// Words of a group of channels: one AVX-512 register.
const GROUP: usize = 16;
/// Panels that are computed before their sums are transformed back.
const PANELS: usize = 3;
/// Tiles along a row of a task, at most.
const COLUMNS: usize = 16;
/// Tiles of a task.
const TILES: std::ops::RangeInclusive<usize> = 24..=32;
/// Words of transformed inputs that stay in the second cache.
const CACHE: usize = 100_000;

/// The smallest number of output channels that pays for the transform of the inputs.
const OUTPUTS: usize = 32;

pub(in crate::kernels) struct Winograd {
    format: Format,
    spec: ConvSpec,
    /// Groups of channels.
    groups: usize,
    /// For each place of a tile: depth is taps in time, then groups.
    weights: Vec<Packed>,
}

/// A block of tiles of one output frame.
#[derive(Clone, Copy)]
struct Block {
    /// First row and column of tiles.
    start: [usize; 2],
    /// Rows and columns of tiles.
    size: [usize; 2],
}

impl Block {
    fn tiles(&self) -> usize {
        self.size[0] * self.size[1]
    }
}

impl Winograd {
    /// Whether it serves a convolution better than the direct way. Tiles of AMX multiply faster than transforms run.
    pub(in crate::kernels) fn suits(format: Format, spec: &ConvSpec) -> bool {
        let tiles = format.kind == Kind::Amx && format.dtype == Number::Bf16;
        let plain = spec.stride_time == 1 && spec.stride_space == 1 && spec.phases == 1 && !spec.upsample;
        plain && !tiles && spec.kernel[1..] == [3, 3] && spec.outputs >= OUTPUTS
    }

    /// From a weight (outputs, inputs, extents), or none.
    pub(in crate::kernels) fn new(format: Format, spec: &ConvSpec, weight: &[f32]) -> Self {
        let time = spec.kernel[0];
        let groups = format.words(spec.inputs).div_ceil(GROUP);
        let mut this = Self {
            format,
            spec: *spec,
            groups,
            weights: Vec::new(),
        };
        if weight.is_empty() {
            return this;
        }
        let transformed: Vec<[f32; PLACES]> = weight
            .chunks_exact(9)
            .map(|taps| transform_weight(std::array::from_fn(|i| taps[i])))
            .collect();
        let shape = [time * groups, GROUP, spec.outputs];
        let pack = |place: usize| {
            Packed::new(format, shape, |segment, index, output| {
                let (tap, group) = (segment / groups, segment % groups);
                let input = group * GROUP * format.per_word() + channel_of(format.dtype, index);
                if input < spec.inputs {
                    transformed[(output * spec.inputs + input) * time + tap][place]
                } else {
                    0.0
                }
            })
        };
        this.weights = (0..PLACES).map(pack).collect();
        this
    }

    pub(in crate::kernels) fn run(
        &self,
        operand: &Operand,
        missing: usize,
        [frames, height, width]: [usize; 3],
        bias: &[f32],
        finish: &Finish<'_>,
    ) {
        let [rows, columns] = [height.div_ceil(2), width.div_ceil(2)];
        let depth = self.spec.kernel[0] * self.groups * GROUP;
        let tiles = (CACHE / (PLACES * depth)).clamp(*TILES.start(), *TILES.end());
        let across = columns.div_ceil(columns.div_ceil(COLUMNS));
        // Work for every thread, also where there are few tiles.
        let fair = (frames * rows * columns).div_ceil(rayon::current_num_threads());
        let down = (tiles.min(fair) / across).clamp(1, rows);
        let (bands, blocks) = (rows.div_ceil(down), columns.div_ceil(across));
        (0..frames * bands * blocks).into_par_iter().for_each(|task| {
            let (rest, x) = (task / blocks, task % blocks);
            let (frame, y) = (rest / bands, rest % bands);
            let block = Block {
                start: [y * down, x * across],
                size: [down.min(rows - y * down), across.min(columns - x * across)],
            };
            with_scratch(|scratch| {
                self.block(
                    operand,
                    missing,
                    frame,
                    block,
                    [height, width],
                    bias,
                    finish,
                    scratch,
                )
            });
        });
    }

    #[expect(clippy::too_many_arguments, reason = "one call, all of it needed")]
    fn block(
        &self,
        operand: &Operand,
        missing: usize,
        frame: usize,
        block: Block,
        [height, width]: [usize; 2],
        bias: &[f32],
        finish: &Finish<'_>,
        scratch: &mut Scratch,
    ) {
        let Scratch {
            words,
            sums,
            rows,
            spare,
            ..
        } = scratch;
        let tiles = block.tiles();
        // Frames that are not there come first.
        let skipped = missing.saturating_sub(frame);
        let taps = self.spec.kernel[0] - skipped;
        let depth = taps * self.groups * GROUP;
        let words = at_least(words, PLACES * tiles * depth);
        for tap in 0..taps {
            let first = tap * self.groups * GROUP;
            self.transform_inputs(operand, frame + skipped + tap, block, first, depth, words);
        }
        let panels = self.spec.outputs.div_ceil(PANEL);
        let stride = panels * PANEL;
        let rows = at_least(rows, 4 * tiles * stride);
        let sums = at_least(sums, PLACES * tiles * PANELS * PANEL);
        for first in (0..panels).step_by(PANELS) {
            let count = PANELS.min(panels - first);
            for (place, weight) in self.weights.iter().enumerate() {
                product(
                    self.format.kind,
                    self.format.dtype,
                    Product {
                        segments: &[&words[place * tiles * depth..]],
                        a_stride: depth,
                        steps: depth,
                        b: &weight.words[first * weight.stride + skipped * self.groups * GROUP * PANEL..],
                        b_stride: weight.stride,
                        c: &mut sums[place * tiles * count * PANEL..],
                        c_stride: count * PANEL,
                        rows: tiles,
                        panels: count,
                        accumulate: false,
                    },
                );
            }
            let sums = &sums[..PLACES * tiles * count * PANEL];
            self.transform_sums(sums, block, count, &mut rows[first * PANEL..], stride);
        }
        let columns = 2 * block.size[1];
        let (top, left) = (2 * block.start[0], 2 * block.start[1]);
        let spare = at_least(spare, self.spec.outputs);
        for (row, sums) in rows
            .chunks_exact_mut(columns * stride)
            .enumerate()
            .take(height - top)
        {
            let place = Place {
                frame,
                row: top + row,
                column: left,
                step: 1,
            };
            let count = columns.min(width - left);
            // SAFETY: tasks have tiles of their own.
            unsafe { finish.run(&mut sums[..count * stride], stride, bias, place, spare) }
        }
    }

    /// Writes Bᵀ d B of all tiles of a block: for each place, rows of `depth` words, from word `first` of a row on.
    fn transform_inputs(
        &self,
        operand: &Operand,
        frame: usize,
        block: Block,
        first: usize,
        depth: usize,
        words: &mut [u32],
    ) {
        let layout = operand.layout();
        let from = operand.frame(frame);
        let place_stride = block.tiles() * depth;
        for column in 0..block.size[1] {
            for group in 0..self.groups {
                let at = layout.bordered(2 * block.start[0], 2 * (block.start[1] + column));
                let strip = Strip {
                    from: &from[at + group * GROUP..],
                    row: layout.row,
                    position: layout.position,
                    lanes: (layout.position - group * GROUP).min(GROUP),
                    tiles: block.size[0],
                    place: place_stride,
                    tile: block.size[1] * depth,
                };
                let into = &mut words[column * depth + first + group * GROUP..];
                match (self.format.dtype, self.format.kind) {
                    #[cfg(target_arch = "x86_64")]
                    // SAFETY: the machine has what its kind says.
                    (Number::Bf16, Kind::Avx512Bf16) => unsafe { avx512::strip_bf16(&strip, into) },
                    #[cfg(target_arch = "x86_64")]
                    // SAFETY: as above.
                    (Number::F32, Kind::Avx512Bf16 | Kind::Avx512 | Kind::Amx) => unsafe {
                        avx512::strip_f32(&strip, into);
                    },
                    (dtype, _) => plain::strip(dtype, &strip, into),
                }
            }
        }
    }

    /// Writes Aᵀ m A of all tiles of a block to rows of `stride` values, one for each output position of the block.
    fn transform_sums(&self, sums: &[f32], block: Block, panels: usize, rows: &mut [f32], stride: usize) {
        let back = Back {
            sums,
            place: block.tiles() * panels * PANEL,
            panels,
            size: block.size,
            stride,
        };
        match self.format.kind {
            #[cfg(target_arch = "x86_64")]
            // SAFETY: the machine has what its kind says.
            Kind::Avx512Bf16 | Kind::Avx512 | Kind::Amx => unsafe { avx512::back(&back, rows) },
            _ => plain::back(&back, rows),
        }
    }
}

/// A column of tiles and one group of channels.
struct Strip<'a> {
    /// From the first word of the group of the top left position on.
    from: &'a [u32],
    /// Words from row to row and from position to position of the operand.
    row: usize,
    position: usize,
    /// Words of the group that the operand has; the others count as zero.
    lanes: usize,
    /// Tiles of the column.
    tiles: usize,
    /// Words from place to place and from tile to tile of the result.
    place: usize,
    tile: usize,
}

/// Sums of a block of tiles.
struct Back<'a> {
    /// For each place and each tile, `panels` panels of sums.
    sums: &'a [f32],
    /// Values from place to place.
    place: usize,
    panels: usize,
    /// Rows and columns of tiles.
    size: [usize; 2],
    /// Values from output to output.
    stride: usize,
}

/// Which channel of a group value `index` of the transformed words is. Two registers of even and odd channels are
/// rounded together, so that the lower half of the words holds even channels and the upper half odd ones.
fn channel_of(dtype: Number, index: usize) -> usize {
    match dtype {
        Number::F32 => index,
        Number::Bf16 => index % GROUP * 2 + index / GROUP,
    }
}

/// G g Gᵀ of one input and one output channel.
fn transform_weight(g: [f32; 9]) -> [f32; PLACES] {
    let side = |a: f64, b: f64, c: f64| [a, (a + b + c) / 2.0, (a - b + c) / 2.0, c];
    let g = g.map(f64::from);
    let columns: [[f64; 4]; 3] = std::array::from_fn(|j| side(g[j], g[3 + j], g[6 + j]));
    let mut out = [0.0; PLACES];
    for i in 0..4 {
        let row = side(columns[0][i], columns[1][i], columns[2][i]);
        for (j, value) in row.into_iter().enumerate() {
            out[i * 4 + j] = value as f32;
        }
    }
    out
}

//! Attention: keys and values of a window are packed once, then blocks of queries pass by them.
//!
//! Tasks take all heads of a position together, since these are side by side in memory. Softmax runs
//! online over blocks of keys, so that no task holds more scores than such a block has.

use rayon::prelude::*;

use super::micro::{Product, product};
use super::operand::{Frames, Operand};
use super::scratch::{Scratch, at_least, with_scratch};
use super::shared::Shared;
use super::vector;
use super::words::{Format, Number, PANEL};
use crate::kernels::spec::Layout;
use crate::kernels::spec::{AttentionSpec, RotaryTables};

/// Queries of a task, at most.
const QUERIES: usize = 32;
/// Keys that one task packs: two panels, and a tile's depth of values.
const PACKED: usize = 2 * PANEL;
/// Keys that a task looks at together, at most.
const KEYS: usize = 512;

/// A block of positions that see each other: for each axis where it begins and how long it is.
#[derive(Clone, Copy, Debug)]
struct Window {
    start: [usize; 3],
    size: [usize; 3],
}

impl Window {
    fn len(&self) -> usize {
        self.size.iter().product()
    }

    /// Coordinates of position `index` of the window.
    fn position(&self, index: usize) -> [usize; 3] {
        let [_, h, w] = self.size;
        let [t0, h0, w0] = self.start;
        [t0 + index / (h * w), h0 + index / w % h, w0 + index % w]
    }
}

/// Packed keys and values; the memory stays from one use to the next.
#[derive(Clone, Debug, Default)]
pub(crate) struct AttentionBuffers {
    packed: Vec<u32>,
}

impl AttentionBuffers {
    /// Words for one head of so many channels over each of T frames of (H, W) positions.
    pub(crate) fn words(format: Format, [t, h, w]: [usize; 3], channels: usize) -> u64 {
        (t * Sizes::new(format, h * w, channels).len()) as u64
    }

    /// Memory that it holds, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        self.packed.capacity() * 4
    }
}

/// What is the same for all tasks.
struct Job<'a> {
    op: &'a AttentionSpec,
    rotary: Option<&'a RotaryTables>,
    format: Format,
    /// Words of queries, keys and values, and how many each position has.
    qkv: &'a [u32],
    stride: usize,
    width: usize,
    head: usize,
    out: Frames<'a>,
    layout: Layout,
}

/// Extents of packed keys and values of a window and head.
#[derive(Clone, Copy, Debug)]
struct Sizes {
    keys: usize,
    /// Words of a key's head, and of one dimension of all values.
    head_words: usize,
    key_words: usize,
    key_panels: usize,
    value_panels: usize,
}

impl Sizes {
    fn new(format: Format, keys: usize, head: usize) -> Self {
        Self {
            keys,
            head_words: format.words(head),
            key_words: format.words(keys),
            key_panels: keys.div_ceil(PANEL),
            value_panels: head.div_ceil(PANEL),
        }
    }

    /// Words of the keys, which come before the values.
    fn keys_len(&self) -> usize {
        self.key_panels * self.head_words * PANEL
    }

    fn len(&self) -> usize {
        self.keys_len() + self.value_panels * self.key_words * PANEL
    }
}

/// A window and where its packed keys and values are: those of one head after the other.
#[derive(Debug)]
struct Piece {
    window: Window,
    sizes: Sizes,
    start: usize,
}

/// See `dispatch::Attention::run`.
pub(crate) fn run(
    op: &AttentionSpec,
    rotary: Option<&RotaryTables>,
    format: Format,
    qkv: &Operand,
    buffers: &mut AttentionBuffers,
    out: &mut Operand,
) {
    let positions: usize = op.grid.iter().product();
    let Some(extent) = qkv.extent() else { return };
    let width = extent.channels / 3;
    assert_eq!([extent.frames, extent.height, extent.width], op.grid);
    assert!(width.is_multiple_of(2 * op.heads) && extent.border == [0; 4]);
    assert_eq!(out.words().len(), positions * format.words(width));
    let layout = out.layout();
    let job = Job {
        op,
        rotary,
        format,
        qkv: qkv.words(),
        stride: qkv.layout().position,
        width,
        head: width / op.heads,
        out: out.frames_from(0),
        layout,
    };
    let mut len = 0;
    let pieces: Vec<Piece> = windows(op)
        .into_iter()
        .map(|window| {
            let sizes = Sizes::new(format, window.len(), job.head);
            let start = len;
            len += op.heads * sizes.len();
            Piece { window, sizes, start }
        })
        .collect();
    let packed = Shared::new(at_least(&mut buffers.packed, len));
    let parts = |piece: &Piece, most: usize| piece.sizes.keys.div_ceil(most);
    let packing = pieces.par_iter().flat_map(|piece| {
        let groups = (0..parts(piece, PACKED)).into_par_iter();
        groups.map(move |group| (piece, group * PACKED))
    });
    packing.for_each(|(piece, first)| with_scratch(|scratch| job.pack(piece, first, &packed, scratch)));
    let packed = &buffers.packed;
    let tasks = pieces.par_iter().flat_map(|piece| {
        let blocks = parts(piece, QUERIES);
        (0..blocks)
            .into_par_iter()
            .map(move |block| (piece, block, blocks))
    });
    tasks.for_each(|(piece, block, blocks)| {
        let first = piece.sizes.keys * block / blocks;
        let count = piece.sizes.keys * (block + 1) / blocks - first;
        let packed = &packed[piece.start..][..op.heads * piece.sizes.len()];
        with_scratch(|scratch| job.run(piece, packed, [first, count], scratch));
    });
}

fn windows(op: &AttentionSpec) -> Vec<Window> {
    let [ts, hs, ws] = op.runs();
    let mut windows = Vec::with_capacity(ts.len() * hs.len() * ws.len());
    for &(t, nt) in ts {
        for &(h, nh) in hs {
            windows.extend(ws.iter().map(|&(w, nw)| Window {
                start: [t, h, w],
                size: [nt, nh, nw],
            }));
        }
    }
    windows
}

impl Job<'_> {
    fn index(&self, [t, h, w]: [usize; 3]) -> usize {
        (t * self.op.grid[1] + h) * self.op.grid[2] + w
    }

    /// The words of one head of the queries (part 0), keys (1) or values (2) of a position.
    fn words(&self, position: [usize; 3], part: usize, head: usize) -> &[u32] {
        let per_word = self.format.per_word();
        let at = self.index(position) * self.stride + (part * self.width + head * self.head) / per_word;
        &self.qkv[at..at + self.head / per_word]
    }

    /// Cosines and sines for some positions, `head` values each; none without rotary positions.
    fn angles<'s>(
        &self,
        positions: impl ExactSizeIterator<Item = [usize; 3]>,
        spare: &'s mut Vec<f32>,
    ) -> Option<&'s [f32]> {
        let rotary = self.rotary?;
        let angles = at_least(spare, positions.len() * self.head);
        for (position, angles) in positions.zip(angles.chunks_exact_mut(self.head)) {
            let (cosines, sines) = angles.split_at_mut(self.head / 2);
            rotary.at(position, cosines, sines);
        }
        Some(angles)
    }

    /// Writes the words of one head of a position, turned by the angles of position `index` among `angles`.
    fn turned(&self, from: &[u32], angles: Option<&[f32]>, index: usize, words: &mut [u32]) {
        let (into, beyond) = words.split_at_mut(from.len());
        beyond.fill(0);
        let Some(angles) = angles else {
            into.copy_from_slice(from);
            return;
        };
        let (cosines, sines) = angles[index * self.head..(index + 1) * self.head].split_at(self.head / 2);
        match self.format.dtype {
            Number::F32 => vector::turn_f32(from, cosines, sines, into),
            Number::Bf16 => vector::turn_bf16(self.format.kind, from, cosines, sines, into),
        }
    }

    /// Packs [`PACKED`] keys and values of a window from key `first` on, zeros behind its end.
    fn pack(&self, piece: &Piece, first: usize, packed: &Shared<'_, u32>, scratch: &mut Scratch) {
        let Scratch { words, spare, .. } = scratch;
        let Piece { window, sizes, start } = piece;
        let words = at_least(words, sizes.head_words);
        let positions: [Option<[usize; 3]>; PACKED] =
            std::array::from_fn(|i| (first + i < sizes.keys).then(|| window.position(first + i)));
        let angles = self.angles(
            positions.iter().map(|position| position.unwrap_or_default()),
            spare,
        );
        let per_word = self.format.per_word();
        let step = first / per_word;
        let steps = (PACKED / per_word).min(sizes.key_words - step);
        // Positions outside, heads inside: so memory is read from front to back.
        let panel_size = sizes.head_words * PANEL;
        let panels = (PACKED / PANEL).min(sizes.key_panels - first / PANEL);
        for (index, position) in positions.iter().enumerate().take(panels * PANEL) {
            for head in 0..self.op.heads {
                match position {
                    Some(position) => self.turned(self.words(*position, 1, head), angles, index, words),
                    None => words.fill(0),
                }
                let at = start + head * sizes.len() + (first + index) / PANEL * panel_size;
                // SAFETY: every panel of keys is packed by one task.
                let panel = unsafe { packed.part(at..at + panel_size) };
                for (into, &word) in panel[index % PANEL..].iter_mut().step_by(PANEL).zip(words.iter()) {
                    *into = word;
                }
            }
        }
        for offset in 0..steps {
            for head in 0..self.op.heads {
                let row = |i: usize| {
                    let position = positions[offset * per_word + i];
                    position.map(|position| self.words(position, 2, head))
                };
                for panel in 0..sizes.value_panels {
                    let at = start
                        + head * sizes.len()
                        + sizes.keys_len()
                        + (panel * sizes.key_words + step + offset) * PANEL;
                    // SAFETY: every step of values is packed by one task.
                    let into = unsafe { packed.part(at..at + PANEL) };
                    let dimensions = PANEL.min(self.head - panel * PANEL);
                    let (into, beyond) = into.split_at_mut(dimensions);
                    beyond.fill(0);
                    let part = |i: usize| {
                        let from = panel * PANEL / per_word;
                        let to = from + dimensions / per_word;
                        row(i).map_or(&[0; PANEL][..to - from], |words| &words[from..to])
                    };
                    match self.format.dtype {
                        Number::F32 => into.copy_from_slice(part(0)),
                        Number::Bf16 => {
                            let both = part(0).iter().zip(part(1));
                            for ([even, odd], (first, second)) in
                                into.as_chunks_mut::<2>().0.iter_mut().zip(both)
                            {
                                *even = first & 0xffff | second << 16;
                                *odd = first >> 16 | second & 0xffff_0000;
                            }
                        }
                    }
                }
            }
        }
    }

    /// Computes all heads of `count` queries of a window, from query `first` on.
    fn run(&self, piece: &Piece, packed: &[u32], [first, count]: [usize; 2], scratch: &mut Scratch) {
        let Piece { window, sizes, .. } = piece;
        let mut spare = std::mem::take(&mut scratch.spare);
        let angles = self.angles(
            (first..first + count).map(|index| window.position(index)),
            &mut spare,
        );
        let head_len = count * sizes.head_words;
        let weights_len = count * self.format.words(KEYS.min(sizes.keys));
        let mut words = std::mem::take(&mut scratch.words);
        let (queries, weights) = at_least(&mut words, self.op.heads * head_len + weights_len)
            .split_at_mut(self.op.heads * head_len);
        for index in 0..count {
            let position = window.position(first + index);
            for (head, queries) in queries.chunks_exact_mut(head_len).enumerate() {
                let into = &mut queries[index * sizes.head_words..][..sizes.head_words];
                self.turned(self.words(position, 0, head), angles, index, into);
            }
        }
        let heads = packed
            .chunks_exact(sizes.len())
            .zip(queries.chunks_exact(head_len));
        for (head, (packed, queries)) in heads.enumerate() {
            self.head(
                window,
                head,
                *sizes,
                packed,
                [first, count],
                queries,
                weights,
                scratch,
            );
        }
        scratch.words = words;
        scratch.spare = spare;
    }

    #[expect(clippy::too_many_arguments, reason = "one call, all of it needed")]
    fn head(
        &self,
        window: &Window,
        head: usize,
        sizes: Sizes,
        packed: &[u32],
        [first, count]: [usize; 2],
        queries: &[u32],
        weights: &mut [u32],
        scratch: &mut Scratch,
    ) {
        let Scratch { sums, rows, .. } = scratch;
        let (keys, values) = packed.split_at(sizes.keys_len());
        let format = self.format;
        // The running maximum and sum of each query.
        let (mut maxima, mut totals) = ([f32::NEG_INFINITY; QUERIES], [0.0; QUERIES]);
        let width = sizes.value_panels * PANEL;
        let outputs = at_least(rows, count * width);
        let scale = 1.0 / (self.head as f32).sqrt();
        for start in (0..sizes.keys).step_by(KEYS) {
            let len = KEYS.min(sizes.keys - start);
            let panels = len.div_ceil(PANEL);
            let stride = panels * PANEL;
            let scores = at_least(sums, count * stride);
            product(
                format.kind,
                format.dtype,
                Product {
                    segments: &[queries],
                    a_stride: sizes.head_words,
                    steps: sizes.head_words,
                    b: &keys[start / PANEL * sizes.head_words * PANEL..],
                    b_stride: sizes.head_words * PANEL,
                    c: scores,
                    c_stride: stride,
                    rows: count,
                    panels,
                    accumulate: false,
                },
            );
            let steps = format.words(len);
            for (query, scores) in scores.chunks_exact_mut(stride).enumerate() {
                let scores = &mut scores[..len];
                let largest = vector::max(scores).max(maxima[query]);
                let total = vector::exponentials(format.kind, scores, largest, scale);
                if start > 0 {
                    let fade = vector::exp((maxima[query] - largest) * scale);
                    totals[query] *= fade;
                    outputs[query * width..(query + 1) * width]
                        .iter_mut()
                        .for_each(|o| *o *= fade);
                }
                totals[query] += total;
                maxima[query] = largest;
                format.write(scores, &mut weights[query * steps..(query + 1) * steps]);
            }
            product(
                format.kind,
                format.dtype,
                Product {
                    segments: &[weights],
                    a_stride: steps,
                    steps,
                    b: &values[start / format.per_word() * PANEL..],
                    b_stride: sizes.key_words * PANEL,
                    c: outputs,
                    c_stride: width,
                    rows: count,
                    panels: sizes.value_panels,
                    accumulate: start > 0,
                },
            );
        }
        let part = self.head / format.per_word();
        for (query, output) in outputs.chunks_exact_mut(width).enumerate() {
            let output = &mut output[..self.head];
            let factor = 1.0 / totals[query];
            output.iter_mut().for_each(|o| *o *= factor);
            let position = self.index(window.position(first + query));
            let at = self.layout.bordered(0, position);
            let last = head + 1 == self.op.heads;
            let end = if last {
                self.layout.position
            } else {
                (head + 1) * part
            };
            // SAFETY: every head of every position belongs to one task.
            let words = unsafe { self.out.part(0, at + head * part..at + end) };
            format.write(output, words);
        }
    }
}

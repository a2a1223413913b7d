//! Attention: keys and values are packed once for each window and head, then blocks of queries pass by them.
//!
//! Softmax runs online over blocks of keys, so that no task holds more scores than such a block has.

use rayon::prelude::*;

use super::micro::{PANEL, Product, product};
use super::operand::{Layout, Operand};
use super::scratch::{Scratch, at_least, with_scratch};
use super::shared::Shared;
use super::vector;
use super::words::Format;
use crate::kernels::{Attention, Rotary};

/// Queries of a task, at most.
const QUERIES: usize = 64;
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
    /// Memory that it holds, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        self.packed.capacity() * 4
    }
}

/// What is the same for all tasks.
struct Job<'a> {
    op: &'a Attention<'a>,
    format: Format,
    qkv: &'a [f32],
    width: usize,
    head: usize,
    out: Shared<'a, u32>,
    layout: Layout,
}

/// Extents of packed keys and values of a window and head.
#[derive(Clone, Copy)]
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

/// Queries, keys and values (positions, 3 · width), heads side by side, to the positions of `out`.
pub(in crate::kernels) fn attention(
    op: &Attention<'_>,
    format: Format,
    qkv: &[f32],
    width: usize,
    buffers: &mut AttentionBuffers,
    out: &mut Operand,
) {
    let layout = out.layout();
    let job = Job {
        op,
        format,
        qkv,
        width,
        head: width / op.heads,
        out: out.shared(),
        layout,
    };
    // One piece for each window and head, windows outside.
    let mut pieces = Vec::new();
    let mut len = 0;
    for window in windows(op) {
        let sizes = Sizes::new(format, window.len(), job.head);
        for head in 0..op.heads {
            pieces.push((window, head, sizes, len..len + sizes.len()));
            len += sizes.len();
        }
    }
    let packed = Shared::new(at_least(&mut buffers.packed, len));
    pieces.par_iter().for_each(|(window, head, sizes, range)| {
        // SAFETY: ranges of pieces do not overlap.
        let packed = unsafe { packed.part(range.clone()) };
        with_scratch(|scratch| job.pack(window, *head, *sizes, packed, scratch));
    });
    let packed = &buffers.packed;
    let tasks = pieces.par_iter().flat_map_iter(|(window, head, sizes, range)| {
        let blocks = sizes.keys.div_ceil(QUERIES);
        (0..blocks).map(move |block| (window, *head, *sizes, &packed[range.clone()], block, blocks))
    });
    tasks.for_each(|(window, head, sizes, packed, block, blocks)| {
        let first = sizes.keys * block / blocks;
        let count = sizes.keys * (block + 1) / blocks - first;
        with_scratch(|scratch| job.run(window, head, sizes, packed, [first, count], scratch));
    });
}

fn windows(op: &Attention<'_>) -> Vec<Window> {
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

    /// One head of queries (part 0), keys (1) or values (2) of a position, turned if it is not a value.
    fn gather(&self, window: &Window, index: usize, head: usize, part: usize, into: &mut [f32]) {
        let position = window.position(index);
        let at = self.index(position) * 3 * self.width + part * self.width + head * self.head;
        into.copy_from_slice(&self.qkv[at..at + self.head]);
        if let (Some(rotary), 0 | 1) = (self.op.rotary, part) {
            turn(rotary, position, into);
        }
    }

    fn pack(&self, window: &Window, head: usize, sizes: Sizes, packed: &mut [u32], scratch: &mut Scratch) {
        let Scratch { words, rows, spare, .. } = scratch;
        let (keys, values) = packed.split_at_mut(sizes.keys_len());
        let row = at_least(spare, self.head);
        let words = at_least(words, sizes.head_words);
        for (panel, into) in keys.chunks_exact_mut(sizes.head_words * PANEL).enumerate() {
            for column in 0..PANEL {
                let key = panel * PANEL + column;
                if key < sizes.keys {
                    self.gather(window, key, head, 1, row);
                    self.format.write(row, words);
                } else {
                    words.fill(0);
                }
                for (step, &word) in words.iter().enumerate() {
                    into[step * PANEL + column] = word;
                }
            }
        }
        let per_word = self.format.per_word();
        let pair = at_least(rows, per_word * self.head);
        for step in 0..sizes.key_words {
            for (i, row) in pair.chunks_exact_mut(self.head).enumerate() {
                let key = step * per_word + i;
                if key < sizes.keys {
                    self.gather(window, key, head, 2, row);
                } else {
                    row.fill(0.0);
                }
            }
            for panel in 0..sizes.value_panels {
                let into = &mut values[(panel * sizes.key_words + step) * PANEL..][..PANEL];
                for (column, word) in into.iter_mut().enumerate() {
                    let dimension = panel * PANEL + column;
                    *word = if dimension < self.head {
                        self.format.word(|i| pair[i * self.head + dimension])
                    } else {
                        0
                    };
                }
            }
        }
    }

    fn run(
        &self,
        window: &Window,
        head: usize,
        sizes: Sizes,
        packed: &[u32],
        [first, count]: [usize; 2],
        scratch: &mut Scratch,
    ) {
        let Scratch {
            words,
            sums,
            rows,
            spare,
            ..
        } = scratch;
        let (keys, values) = packed.split_at(sizes.keys_len());
        let format = self.format;
        let longest = KEYS.min(sizes.keys);
        let weight_words = format.words(longest);
        let (queries, weights) =
            at_least(words, count * (sizes.head_words + weight_words)).split_at_mut(count * sizes.head_words);
        // A row for gathering, then the running maximum and sum of each query.
        let (row, state) = at_least(spare, self.head + 2 * count).split_at_mut(self.head);
        let (maxima, totals) = state.split_at_mut(count);
        maxima.fill(f32::NEG_INFINITY);
        totals.fill(0.0);
        for (index, words) in queries.chunks_exact_mut(sizes.head_words).enumerate() {
            self.gather(window, first + index, head, 0, row);
            format.write(row, words);
        }
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
                    a: queries,
                    a_stride: sizes.head_words,
                    segments: &[0],
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
                    outputs[query * width..(query + 1) * width].iter_mut().for_each(|o| *o *= fade);
                }
                totals[query] += total;
                maxima[query] = largest;
                format.write(scores, &mut weights[query * steps..(query + 1) * steps]);
            }
            product(
                format.kind,
                format.dtype,
                Product {
                    a: weights,
                    a_stride: steps,
                    segments: &[0],
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
            let at = self.layout.bordered(0, 0, position);
            let last = head + 1 == self.op.heads;
            let end = if last { self.layout.position } else { (head + 1) * part };
            // SAFETY: every head of every position belongs to one task.
            let words = unsafe { self.out.part(at + head * part..at + end) };
            format.write(output, words);
        }
    }
}

/// Turns neighbouring pairs of one head.
fn turn(rotary: &Rotary, position: [usize; 3], head: &mut [f32]) {
    let tables = rotary.axes.iter().zip(position);
    let angles = tables.flat_map(|((count, table), p)| &table[p * count..(p + 1) * count]);
    for ([a, b], (cos, sin)) in head.as_chunks_mut::<2>().0.iter_mut().zip(angles) {
        (*a, *b) = (*a * cos - *b * sin, *a * sin + *b * cos);
    }
}

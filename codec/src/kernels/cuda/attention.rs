//! Attention on a device: in windows by a kernel of our own, within whole frames by products of matrices.

use super::arguments::{self, Softmax, Turn};
use super::driver::{Kernel, Product, THREADS};
use super::finish::{Finisher, Sums};
use super::memory::Memory;
use super::{Gpu, Operand, Sink, lost};
use crate::error::Result;
use crate::kernels::spec::{AttentionSpec, RotaryTables};

/// Scores that are in memory at a time, about.
const SCORES: usize = if cfg!(test) { 1 << 10 } else { 16 << 20 };

/// Cosines and sines of rotary positions: for each axis both tables.
#[derive(Debug)]
pub(crate) struct Tables {
    memory: Memory,
    pairs: [u64; 3],
    cosines: [u64; 3],
    sines: [u64; 3],
}

impl Tables {
    pub(crate) fn new(gpu: &Gpu, tables: &RotaryTables) -> Result<Self> {
        let axes = &tables.axes;
        let (mut all, mut cosines, mut sines) = (Vec::new(), [0; 3], [0; 3]);
        for (axis, (_, cos, sin)) in axes.iter().enumerate() {
            cosines[axis] = all.len() as u64;
            all.extend_from_slice(cos);
            sines[axis] = all.len() as u64;
            all.extend_from_slice(sin);
        }
        Ok(Self {
            memory: gpu.exact(&all)?,
            pairs: std::array::from_fn(|axis| axes[axis].0 as u64),
            cosines,
            sines,
        })
    }
}

/// Queries, keys and values, each of them heads side by side, to the positions of `out`. Queries and keys are turned
/// where they are. See `dispatch::Attention::run`.
pub(crate) fn attention(
    op: &AttentionSpec,
    tables: Option<&Tables>,
    qkv: &mut Operand,
    out: &mut Operand,
) -> Result<()> {
    let gpu = qkv.gpu().clone();
    let extent = qkv.extent().ok_or_else(lost)?;
    let width = extent.channels / 3;
    match tables {
        Some(tables) => {
            turn(&gpu, op, tables, qkv, width)?;
            windows(&gpu, op, qkv, width, out)
        }
        None => frames(&gpu, op, qkv, width, out),
    }
}

/// Bytes that attention within frames of (H, W) positions works in.
pub(crate) fn frame_bytes(gpu: &Gpu, [height, width]: [usize; 2], channels: usize) -> u64 {
    let sizes = Sizes::new(gpu, height * width, channels);
    sizes.bytes as u64
}

fn turn(gpu: &Gpu, op: &AttentionSpec, tables: &Tables, qkv: &Operand, width: usize) -> Result<()> {
    let head = width / op.heads;
    let count = op.clips * op.grid.iter().product::<usize>() * width;
    let arguments = Turn {
        qkv: qkv.at(0)?,
        tables: tables.memory.address(),
        count: count as u64,
        frames: op.grid[0] as u64,
        height: op.grid[1] as u64,
        width: op.grid[2] as u64,
        position: qkv.layout().position as u64,
        heads: op.heads as u64,
        head: head as u64,
        pairs: tables.pairs,
        cosines: tables.cosines,
        sines: tables.sines,
    };
    gpu.each(Kernel::Turn, &arguments, count)
}

fn windows(gpu: &Gpu, op: &AttentionSpec, qkv: &Operand, width: usize, out: &Operand) -> Result<()> {
    let head = width / op.heads;
    let runs: [usize; 3] = std::array::from_fn(|axis| op.runs()[axis].len());
    let longest = |axis: usize| op.runs()[axis].iter().map(|&(_, len)| len).max();
    let most: usize = (0..3).map(|axis| longest(axis).unwrap_or(0)).product();
    // Powers of two: the kernel multiplies by them before it rounds.
    let scale = std::f32::consts::LOG2_E / (head as f32).sqrt();
    let three = |values: [usize; 3]| values.map(|value| value as u64);
    let arguments = arguments::Attention {
        qkv: qkv.at(0)?,
        out: out.at(0)?,
        position: qkv.layout().position as u64,
        out_position: out.layout().position as u64,
        width: width as u64,
        scale: u64::from(scale.to_bits()),
        length: three(op.grid),
        window: three(op.window),
        shift: three(op.shift),
        runs: three(runs),
    };
    let threads = (most.next_multiple_of(32) as u32).min(THREADS / 2);
    let blocks = [
        runs.iter().product::<usize>() as u32,
        most.div_ceil(threads as usize) as u32,
        (op.heads * op.clips) as u32,
    ];
    gpu.launch(Kernel::Attention, head, blocks, threads, &arguments)
}

/// Extents of the scores of some queries of a frame.
struct Sizes {
    queries: usize,
    /// Values of a row of weights.
    row: usize,
    /// Where weights, then results begin, and where these end, in bytes.
    weights: usize,
    results: usize,
    bytes: usize,
}

impl Sizes {
    fn new(gpu: &Gpu, keys: usize, width: usize) -> Self {
        let queries = (SCORES / keys.max(1)).clamp(1, keys.max(1));
        let row = gpu.position(keys);
        let weights = (queries * keys * 4).next_multiple_of(256);
        let results = weights + (queries * row * gpu.element()).next_multiple_of(256);
        Self {
            queries,
            row,
            weights,
            results,
            bytes: results + queries * width * 4,
        }
    }
}

/// One head over all positions of each frame: scores of some queries at a time.
fn frames(gpu: &Gpu, op: &AttentionSpec, qkv: &Operand, width: usize, out: &mut Operand) -> Result<()> {
    let [count, height, columns] = op.grid;
    assert!(op.clips == 1 && op.heads == 1 && op.window[1..] == op.grid[1..] && op.window[0] == 1);
    let keys = height * columns;
    let sizes = Sizes::new(gpu, keys, width);
    let stride = qkv.layout().position;
    let finisher = Finisher::plain(gpu, width, op.grid, Sink::to(out))?;
    let scores = Product {
        dtype: gpu.dtype(),
        rows: 0,
        columns: keys,
        depth: width,
        transposed: true,
        add: false,
        count: 1,
        a_step: 0,
        c_step: 0,
        a_stride: stride,
        b_stride: stride,
        c_stride: keys,
    };
    let results = Product {
        columns: width,
        depth: keys,
        transposed: false,
        a_stride: sizes.row,
        c_stride: width,
        ..scores
    };
    for frame in 0..count {
        let start = frame * keys;
        for first in (0..keys).step_by(sizes.queries) {
            let rows = sizes.queries.min(keys - first);
            let sums = gpu.sums(sizes.bytes)?;
            let weights = sums.address + sizes.weights as u64;
            let sum = sums.address + sizes.results as u64;
            let [queries, key, value] = [
                (start + first) * stride,
                start * stride + width,
                start * stride + 2 * width,
            ];
            gpu.driver().multiply(
                &Product { rows, ..scores },
                qkv.at(queries)?,
                qkv.at(key)?,
                sums.address,
            )?;
            let lanes = 32;
            let softmax = Softmax {
                scores: sums.address,
                weights,
                rows: rows as u64,
                columns: keys as u64,
                scores_row: keys as u64,
                weights_row: sizes.row as u64,
                scale: u64::from((width as f32).sqrt().recip().to_bits()),
                lanes: lanes as u64,
            };
            gpu.each(Kernel::Softmax, &softmax, rows * lanes)?;
            gpu.driver()
                .multiply(&Product { rows, ..results }, weights, qkv.at(value)?, sum)?;
            let finish = Sums::Rows {
                address: sum,
                bias: 0,
                stride: width,
            };
            finisher.run(&finish, start + first, rows)?;
        }
    }
    finisher.end()
}

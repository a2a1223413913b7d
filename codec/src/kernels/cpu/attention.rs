//! Attention, a block of queries of one window for each task.

use rayon::prelude::*;

use super::gemm::{View, gemm};
use super::math;
use super::simd::vectorize;
use crate::kernels::{Attention, Rotary};

/// Queries of a task, at most.
const QUERIES: usize = 256;
/// Scores that a task holds, about; with more keys it takes fewer queries.
const SCORES: usize = 1 << 21;

/// A block of positions that see each other: for each axis where it begins and how long it is.
#[derive(Clone, Copy)]
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

struct Task<'a> {
    window: Window,
    /// The first query, counted within the window.
    first: usize,
    /// (queries, width).
    out: &'a mut [f32],
}

/// Buffers of one task.
#[derive(Default)]
struct Scratch {
    queries: Vec<f32>,
    keys: Vec<f32>,
    values: Vec<f32>,
    scores: Vec<f32>,
}

pub(in crate::kernels) fn attention(op: &Attention<'_>, qkv: &[f32], width: usize, out: &mut [f32]) {
    if out.is_empty() {
        return;
    }
    let windows = windows(op);
    // Windows one after the other; brought into the order of the grid at the end.
    let mut by_window = vec![0.0; out.len()];
    tasks(&windows, width, &mut by_window)
        .into_par_iter()
        .for_each_init(Scratch::default, |scratch, task| {
            run(op, qkv, width, scratch, task)
        });
    restore(op, &by_window, width, out);
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

fn tasks<'a>(windows: &[Window], width: usize, mut out: &'a mut [f32]) -> Vec<Task<'a>> {
    let mut tasks = Vec::new();
    for &window in windows {
        let len = window.len();
        let block = (SCORES / len).clamp(16, QUERIES);
        for first in (0..len).step_by(block) {
            let (head, tail) = std::mem::take(&mut out).split_at_mut((len - first).min(block) * width);
            tasks.push(Task {
                window,
                first,
                out: head,
            });
            out = tail;
        }
    }
    tasks
}

fn run(op: &Attention<'_>, qkv: &[f32], width: usize, scratch: &mut Scratch, task: Task<'_>) {
    let keys = task.window.len();
    let queries = task.out.len() / width;
    let head = width / op.heads;
    let Scratch {
        queries: q,
        keys: k,
        values: v,
        scores,
    } = scratch;
    q.resize(queries * head, 0.0);
    k.resize(keys * head, 0.0);
    v.resize(keys * head, 0.0);
    scores.resize(queries * keys, 0.0);
    let gather = |from: usize, first: usize, rotary: Option<&Rotary>, into: &mut [f32]| {
        for (index, into) in into.chunks_exact_mut(head).enumerate() {
            let position = task.window.position(first + index);
            let [t, h, w] = position;
            let at = ((t * op.grid[1] + h) * op.grid[2] + w) * 3 * width + from;
            into.copy_from_slice(&qkv[at..at + head]);
            if let Some(rotary) = rotary {
                turn(rotary, position, into);
            }
        }
    };
    for index in 0..op.heads {
        let at = index * head;
        gather(at, task.first, op.rotary, q);
        gather(width + at, 0, op.rotary, k);
        gather(2 * width + at, 0, None, v);
        gemm(
            [queries, keys, head],
            View::rows(q, head),
            View::columns(k, head),
            scores,
            keys,
            false,
        );
        let scale = 1.0 / (head as f32).sqrt();
        vectorize(
            #[inline(always)]
            || scores.chunks_exact_mut(keys).for_each(|row| softmax(row, scale)),
        );
        gemm(
            [queries, head, keys],
            View::rows(scores, keys),
            View::rows(v, head),
            &mut task.out[at..],
            width,
            false,
        );
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

#[inline(always)]
fn softmax(row: &mut [f32], scale: f32) {
    let max = math::max(row);
    row.iter_mut().for_each(|v| *v = math::exp((*v - max) * scale));
    let factor = 1.0 / math::sum(row, |v| v);
    row.iter_mut().for_each(|v| *v *= factor);
}

/// Brings results from the order of windows into that of the grid.
fn restore(op: &Attention<'_>, by_window: &[f32], width: usize, out: &mut [f32]) {
    let [_, height, columns] = op.grid;
    let [ts, hs, ws] = op.runs();
    out.par_chunks_exact_mut(columns * width)
        .enumerate()
        .for_each(|(line, out)| {
            let (t, h) = (line / height, line % height);
            let (Some(&(t0, nt)), Some(&(h0, nh))) = (run_of(ts, t), run_of(hs, h)) else {
                return;
            };
            // Windows of earlier runs hold whole slabs and strips of the grid.
            let before = t0 * height * columns + nt * h0 * columns;
            for &(w0, nw) in ws {
                let at = before + nt * nh * w0 + ((t - t0) * nh + (h - h0)) * nw;
                out[w0 * width..(w0 + nw) * width].copy_from_slice(&by_window[at * width..(at + nw) * width]);
            }
        });
}

fn run_of(runs: &[(usize, usize)], index: usize) -> Option<&(usize, usize)> {
    runs.iter().rev().find(|(start, _)| *start <= index)
}

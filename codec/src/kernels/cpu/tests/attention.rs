//! Attention against its definition.

use super::*;

/// The definition of windowed attention with rotary positions, pair by pair.
fn naive_attention(
    qkv: &[f32],
    grid: [usize; 3],
    window: [usize; 3],
    shift: [usize; 3],
    heads: usize,
    width: usize,
) -> Vec<f64> {
    let head = width / heads;
    let n: usize = grid.iter().product();
    let place = |i: usize| [i / (grid[1] * grid[2]), i / grid[2] % grid[1], i % grid[2]];
    let tag = |i: usize| -> [usize; 3] {
        std::array::from_fn(|a| {
            if grid[a] <= window[a] {
                0
            } else {
                (place(i)[a] + window[a] - shift[a]) / window[a]
            }
        })
    };
    let pairs = head / 2;
    let counts = [
        pairs / 4,
        (pairs - pairs / 4) / 2,
        pairs - pairs / 4 - (pairs - pairs / 4) / 2,
    ];
    let turned = |i: usize, from: usize| -> Vec<f64> {
        let mut v: Vec<f64> = (0..head)
            .map(|c| f64::from(qkv[i * 3 * width + from + c]))
            .collect();
        let mut pair = 0;
        for (count, position) in counts.into_iter().zip(place(i)) {
            for k in 0..count {
                let angle = position as f64 * 100f64.powf(-(k as f64) / count as f64);
                let (a, b) = (v[2 * pair], v[2 * pair + 1]);
                v[2 * pair] = a * angle.cos() - b * angle.sin();
                v[2 * pair + 1] = a * angle.sin() + b * angle.cos();
                pair += 1;
            }
        }
        v
    };
    let mut out = vec![0.0; n * width];
    for h in 0..heads {
        let keys: Vec<_> = (0..n).map(|i| turned(i, width + h * head)).collect();
        for q in 0..n {
            let query = turned(q, h * head);
            let seen: Vec<usize> = (0..n).filter(|&k| tag(k) == tag(q)).collect();
            let dot = |k: &usize| {
                query.iter().zip(&keys[*k]).map(|(a, b)| a * b).sum::<f64>() / (head as f64).sqrt()
            };
            let weights: Vec<f64> = seen.iter().map(|k| dot(k).exp()).collect();
            let total: f64 = weights.iter().sum();
            for (k, weight) in seen.iter().zip(weights) {
                for c in 0..head {
                    out[q * width + h * head + c] +=
                        weight / total * f64::from(qkv[k * 3 * width + 2 * width + h * head + c]);
                }
            }
        }
    }
    out
}

#[test]
fn attention_is_its_definition() {
    let mut random = Random::new(10);
    for (grid, window, shift, heads, width) in [
        ([3, 5, 7], [2, 3, 3], [1, 1, 2], 2, 24),
        ([1, 9, 4], [4, 4, 4], [0, 2, 2], 1, 10),
        ([2, 4, 4], [2, 4, 4], [0, 0, 0], 2, 36),
        ([2, 3, 2], [2, 3, 2], [0, 0, 0], 3, 12),
        ([1, 1, 1], [4, 8, 8], [0, 4, 4], 2, 8),
        // More queries than one task takes.
        ([3, 10, 11], [3, 10, 11], [0, 0, 0], 1, 8),
        // More keys than a task looks at together.
        ([4, 17, 18], [4, 17, 18], [0, 0, 0], 1, 20),
    ] {
        let n: usize = grid.iter().product();
        let rotary = RotaryTables::new(grid, width / heads, 100.0);
        let mut op = AttentionSpec::windowed(grid, window, shift);
        op.heads = heads;
        for format in formats() {
            let qkv = random.values(format.dtype, n * 3 * width);
            let mut out = poisoned();
            let mut words = poisoned();
            words.reshape(format, op.extent(width), 0);
            fill(format, &qkv, &mut words);
            let row = Conv::new(
                format,
                ConvSpec::new(width, 1, [1; 3]),
                &vec![0.0; width],
                vec![0.0],
            );
            row.shape(&mut out, [1, 1, n]);
            crate::kernels::cpu::attention::run(
                &op,
                Some(&rotary),
                format,
                &words,
                &mut AttentionBuffers::default(),
                &mut out,
            );
            let found = read(format, &out, width);
            let expected = naive_attention(&qkv, grid, window, shift, heads, width);
            let tolerance = match format.dtype {
                Number::F32 => 1e-5,
                Number::Bf16 => 1e-2,
            };
            assert_close(
                &found,
                &expected,
                tolerance,
                &format!("{grid:?} in {window:?}, {format:?}"),
            );
        }
    }
}

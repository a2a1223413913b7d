//! Kernels against plain loops in f64, and against PyTorch.

use std::collections::HashMap;

use candle_core::{Device, Tensor};

use super::cpu::{self, ConvOperands};
use super::{Activation, Attention, ConvSpec, Epsilon, Rotary};

/// A small generator of reproducible numbers (Knuth's MMIX constants).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        self.0 >> 33
    }

    fn below(&mut self, end: usize) -> usize {
        self.next() as usize % end
    }

    fn values(&mut self, count: usize) -> Vec<f32> {
        (0..count)
            .map(|_| self.next() as f32 / (1u64 << 30) as f32 - 1.0)
            .collect()
    }
}

fn poison(len: usize) -> Vec<f32> {
    vec![f32::NAN; len]
}

fn assert_close(found: &[f32], expected: &[f64], what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    let largest = expected.iter().fold(1e-9, |m: f64, v| m.max(v.abs()));
    for (i, (&f, &e)) in found.iter().zip(expected).enumerate() {
        assert!(
            (f64::from(f) - e).abs() <= 1e-5 * largest,
            "{what}: value {i} is {f}, but should be {e}"
        );
    }
}

/// The definition of a convolution, value by value.
fn naive_conv(spec: &ConvSpec, op: &ConvOperands<'_>) -> Vec<f64> {
    let [_, height, width] = op.input;
    let [to, ho, wo] = spec.output(op.input);
    let [kt, kh, kw] = spec.kernel;
    let (ci, co) = (spec.inputs, spec.outputs);
    let repeat = if spec.upsample { 2 } else { 1 };
    let frame = height * width * ci;
    let known = op.history.len() / frame;
    let value = |t: isize, y: isize, x: isize, c: usize| -> f64 {
        let inside = |v: isize, n: usize| v >= 0 && (v as usize) < n * repeat;
        if !inside(y, height) || !inside(x, width) || t < -(known as isize) {
            return 0.0;
        }
        let at = (y as usize / repeat * width + x as usize / repeat) * ci + c;
        f64::from(if t >= 0 {
            op.x[t as usize * frame + at]
        } else {
            op.history[(t + known as isize) as usize * frame + at]
        })
    };
    let [pad_top, pad_left] = spec.pad();
    let mut out = Vec::new();
    for f in 0..to {
        let (t, phase) = (f / spec.phases, f % spec.phases);
        for y in 0..ho {
            for x in 0..wo {
                for o in 0..co {
                    let o = phase * co + o;
                    let mut sum = f64::from(op.bias[o]);
                    for tap in 0..kt * kh * kw {
                        let (dt, dh, dw) = (tap / (kh * kw), tap / kw % kh, tap % kw);
                        let ti = (t * spec.stride_time + dt) as isize - spec.lead() as isize;
                        let yi = (y * spec.stride_space + dh) as isize - pad_top as isize;
                        let xi = (x * spec.stride_space + dw) as isize - pad_left as isize;
                        for i in 0..ci {
                            let weight = op.weight[(tap * ci + i) * spec.phases * co + o];
                            sum += value(ti, yi, xi, i) * f64::from(weight);
                        }
                    }
                    out.push(sum + op.residual.map_or(0.0, |r| f64::from(r[out.len()])));
                }
            }
        }
    }
    out
}

fn check_conv(random: &mut Random, spec: ConvSpec, input: [usize; 3], history: usize, residual: bool) {
    let [t, h, w] = input;
    let frame = h * w * spec.inputs;
    let outputs = spec.phases * spec.outputs;
    let x = random.values(t * frame);
    let history = random.values(history * frame);
    let weight = random.values(spec.kernel.iter().product::<usize>() * spec.inputs * outputs);
    let bias = random.values(outputs);
    let len = spec.output(input).iter().product::<usize>() * spec.outputs;
    let residual = residual.then(|| random.values(len));
    let op = ConvOperands {
        x: &x,
        input,
        history: &history,
        weight: &weight,
        bias: &bias,
        residual: residual.as_deref(),
    };
    let mut out = poison(len);
    cpu::conv(&spec, &op, &mut out);
    assert_close(&out, &naive_conv(&spec, &op), &format!("{spec:?} of {input:?}"));
}

#[test]
fn conv_is_its_definition() {
    let mut random = Random(7);
    for round in 0..60 {
        let kernel = [
            1 + random.below(3),
            1 + 2 * random.below(2),
            1 + 2 * random.below(2),
        ];
        let mut spec = ConvSpec::new(1 + random.below(21), 1 + random.below(37), kernel);
        spec.upsample = round % 5 == 1;
        let mut input = [1 + random.below(4), 1 + random.below(11), 1 + random.below(15)];
        if round % 5 == 2 {
            spec = ConvSpec {
                kernel: [1, 3, 3],
                stride_space: 2,
                ..spec
            };
        }
        if round % 5 == 3 {
            spec = ConvSpec {
                kernel: [3, 1, 1],
                stride_time: 2,
                ..spec
            };
            input[0] *= 2;
        }
        if round % 5 == 4 {
            spec.phases = 2;
        }
        let history = random.below(spec.lead() + 1);
        let residual = random.below(2) == 0;
        check_conv(&mut random, spec, input, history, residual);
    }
}

#[test]
fn conv_of_many_tiles_is_its_definition() {
    let mut random = Random(8);
    for (kernel, upsample, stride_space, input) in [
        ([1, 3, 3], false, 1, [2, 21, 131]),
        ([1, 3, 3], true, 1, [1, 13, 67]),
        ([1, 3, 3], false, 2, [1, 38, 262]),
        ([3, 1, 1], false, 1, [2, 41, 33]),
        ([2, 3, 5], false, 1, [1, 9, 70]),
    ] {
        let spec = ConvSpec {
            upsample,
            stride_space,
            ..ConvSpec::new(3, 5, kernel)
        };
        check_conv(&mut random, spec, input, spec.lead(), true);
    }
}

#[test]
fn conv_packs_by_tap() {
    let spec = ConvSpec::new(2, 2, [1, 1, 3]);
    let weight: Vec<f32> = (0..12).map(|i| i as f32).collect();
    assert_eq!(
        spec.pack(&weight),
        [0.0, 6.0, 3.0, 9.0, 1.0, 7.0, 4.0, 10.0, 2.0, 8.0, 5.0, 11.0]
    );
}

fn golden() -> HashMap<String, Tensor> {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../testdata/golden/operators.safetensors"
    );
    candle_core::safetensors::load(path, &Device::Cpu).unwrap()
}

fn flat(tensor: &Tensor) -> Vec<f32> {
    tensor.flatten_all().unwrap().to_vec1().unwrap()
}

fn wide(values: &[f32]) -> Vec<f64> {
    values.iter().copied().map(f64::from).collect()
}

#[test]
fn conv_matches_pytorch_with_and_without_cache() {
    let golden = golden();
    let (x, expected) = (flat(&golden["conv.input"]), flat(&golden["conv.output"]));
    let spec = ConvSpec::new(5, 19, [3, 3, 3]);
    let weight = spec.pack(&flat(&golden["conv.weight"]));
    let bias = flat(&golden["conv.bias"]);
    let (frame, out_frame) = (7 * 9 * 5, 7 * 9 * 19);
    for start in 0..6usize {
        let history = &x[start.saturating_sub(2) * frame..start * frame];
        let x = &x[start * frame..];
        let op = ConvOperands {
            x,
            input: [6 - start, 7, 9],
            history,
            weight: &weight,
            bias: &bias,
            residual: None,
        };
        let mut out = poison((6 - start) * out_frame);
        cpu::conv(&spec, &op, &mut out);
        assert_close(
            &out,
            &wide(&expected[start * out_frame..]),
            &format!("from frame {start}"),
        );
    }
}

#[test]
fn norm_matches_pytorch() {
    let golden = golden();
    let (x, gamma) = (flat(&golden["norm.input"]), flat(&golden["norm.gamma"]));
    for (silu, name) in [(false, "norm.output"), (true, "norm.silu")] {
        let mut out = poison(x.len());
        cpu::rms_norm(&x, &gamma, Epsilon::Clamp, silu, &mut out);
        assert_close(&out, &wide(&flat(&golden[name])), name);
    }
}

#[test]
fn norm_of_nothing_is_nothing() {
    for epsilon in [Epsilon::Clamp, Epsilon::Add] {
        let mut out = poison(34);
        cpu::rms_norm(&[0.0; 34], &[1.0; 17], epsilon, true, &mut out);
        assert_eq!(out, [0.0; 34]);
    }
}

#[test]
fn linear_is_its_definition() {
    let mut random = Random(9);
    for (rows, inputs, outputs) in [(1, 1, 1), (3, 17, 5), (700, 33, 49), (65, 130, 16)] {
        let (x, weight, bias) = (
            random.values(rows * inputs),
            random.values(inputs * outputs),
            random.values(outputs),
        );
        let residual = random.values(rows * outputs);
        for activation in [Activation::None, Activation::Gelu] {
            let mut out = poison(rows * outputs);
            cpu::linear(&x, &weight, &bias, activation, Some(&residual), &mut out);
            let expected: Vec<f64> = (0..rows * outputs)
                .map(|at| {
                    let (row, o) = (at / outputs, at % outputs);
                    let terms = (0..inputs)
                        .map(|i| f64::from(x[row * inputs + i]) * f64::from(weight[i * outputs + o]));
                    let u = terms.sum::<f64>() + f64::from(bias[o]);
                    let cubic = (2.0 / std::f64::consts::PI).sqrt() * (u + 0.044715 * u.powi(3));
                    let u = if activation == Activation::Gelu {
                        0.5 * u * (1.0 + cubic.tanh())
                    } else {
                        u
                    };
                    u + f64::from(residual[at])
                })
                .collect();
            assert_close(&out, &expected, &format!("{rows} rows, {activation:?}"));
        }
    }
}

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
    let mut random = Random(10);
    for (grid, window, shift, heads, width) in [
        ([3, 5, 7], [2, 3, 3], [1, 1, 2], 2, 24),
        ([1, 9, 4], [4, 4, 4], [0, 2, 2], 1, 10),
        ([2, 3, 2], [2, 3, 2], [0, 0, 0], 3, 12),
        ([1, 1, 1], [4, 8, 8], [0, 4, 4], 2, 8),
        // More queries than one task takes.
        ([3, 10, 11], [3, 10, 11], [0, 0, 0], 1, 8),
    ] {
        let n: usize = grid.iter().product();
        let qkv = random.values(n * 3 * width);
        let rotary = Rotary::new(grid, width / heads, 100.0);
        let op = Attention::windowed(grid, window, shift).heads(heads, &rotary);
        let mut out = poison(n * width);
        cpu::attention(&op, &qkv, width, &mut out);
        let expected = naive_attention(&qkv, grid, window, shift, heads, width);
        assert_close(&out, &expected, &format!("{grid:?} in {window:?}"));
    }
}

#[test]
fn shuffles_are_inverse() {
    let x: Vec<f32> = (0..2 * 4 * 6 * 3).map(|i| i as f32).collect();
    let (mut folded, mut back) = (poison(x.len()), poison(x.len()));
    cpu::patchify(&x, 6, 3, 2, &mut folded);
    // Channel (c, column, row) of the first patch.
    assert_eq!(
        folded[..12],
        [0.0, 18.0, 3.0, 21.0, 1.0, 19.0, 4.0, 22.0, 2.0, 20.0, 5.0, 23.0]
    );
    cpu::unpatchify(&folded, 6, 3, 2, &mut back);
    assert_eq!(back, x);
}

/// Prints the speed of the kernels: `cargo test --release -p latentbit-codec speed -- --ignored --nocapture`.
#[test]
#[ignore = "measures, checks nothing"]
fn speed() {
    let mut random = Random(11);
    let measure = |name: String, flops: f64, run: &mut dyn FnMut()| {
        run();
        let mut best = f64::INFINITY;
        for _ in 0..5 {
            let start = std::time::Instant::now();
            run();
            best = best.min(start.elapsed().as_secs_f64());
        }
        println!("{name}: {:.1} GFLOP/s, {:.2} ms", flops / best * 1e-9, best * 1e3);
    };
    for (kernel, channels, input) in [
        ([1, 3, 3], 96, [1, 64, 64]),
        ([1, 3, 3], 96, [1, 128, 128]),
        ([1, 3, 3], 192, [1, 32, 32]),
        ([1, 3, 3], 192, [4, 64, 64]),
        ([3, 3, 3], 96, [4, 64, 64]),
        ([3, 3, 3], 192, [4, 32, 32]),
        ([3, 3, 3], 384, [4, 32, 32]),
        ([3, 1, 1], 192, [4, 32, 32]),
    ] {
        let spec = ConvSpec::new(channels, channels, kernel);
        let positions: usize = input.iter().product();
        let taps: usize = kernel.iter().product();
        let x = random.values(positions * channels);
        let history = random.values(spec.lead() * input[1] * input[2] * channels);
        let weight = random.values(taps * channels * channels);
        let bias = random.values(channels);
        let op = ConvOperands {
            x: &x,
            input,
            history: &history,
            weight: &weight,
            bias: &bias,
            residual: None,
        };
        let mut out = poison(positions * channels);
        let flops = 2.0 * (positions * taps * channels * channels) as f64;
        measure(
            format!("conv {kernel:?} {channels} {input:?}"),
            flops,
            &mut || cpu::conv(&spec, &op, &mut out),
        );
    }
    for (rows, inputs, outputs) in [
        (1024, 256, 768),
        (4096, 256, 1024),
        (4096, 1024, 256),
        (4096, 448, 1344),
    ] {
        let (x, weight, bias) = (
            random.values(rows * inputs),
            random.values(inputs * outputs),
            random.values(outputs),
        );
        let mut out = poison(rows * outputs);
        let flops = 2.0 * (rows * inputs * outputs) as f64;
        measure(format!("linear {rows}x{inputs}x{outputs}"), flops, &mut || {
            cpu::linear(&x, &weight, &bias, Activation::Gelu, None, &mut out);
        });
    }
    let (x, gamma) = (random.values(64 * 64 * 96), random.values(96));
    let mut out = poison(x.len());
    let len = x.len() as f64;
    measure("norm + SiLU (values)".to_owned(), len, &mut || {
        cpu::rms_norm(&x, &gamma, Epsilon::Clamp, true, &mut out)
    });
    let (grid, width) = ([4, 32, 32], 256);
    let rotary = Rotary::new(grid, 64, 100.0);
    let op = Attention::windowed(grid, [4, 8, 8], [0, 4, 4]).heads(4, &rotary);
    let qkv = random.values(4096 * 3 * width);
    let mut out = poison(4096 * width);
    let flops = 4.0 * (4096 * 256 * width) as f64;
    measure("attention [4, 32, 32]".to_owned(), flops, &mut || {
        cpu::attention(&op, &qkv, width, &mut out)
    });
}

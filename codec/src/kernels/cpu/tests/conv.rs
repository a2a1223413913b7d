//! Convolutions and linear layers against their definition, and what follows their sums.

use super::*;
use crate::shared::tensors::{Golden, path};

/// A convolution, its input, and what it adds to.
struct Case {
    spec: ConvSpec,
    input: [usize; 3],
    /// Frames before the input that are there.
    known: usize,
    weight: Vec<f32>,
    bias: Vec<f32>,
    /// Known frames, then the input.
    x: Vec<f32>,
    residual: Vec<f32>,
}

impl Case {
    fn random(random: &mut Random, dtype: Number, spec: ConvSpec, input: [usize; 3], known: usize) -> Self {
        let outputs = spec.outputs * spec.phases;
        let taps: usize = spec.kernel.iter().product();
        let positions: usize = spec.output(input).iter().product();
        let frame = input[1] * input[2] * spec.inputs;
        Self {
            weight: random.values(dtype, outputs * spec.inputs * taps),
            bias: random.values(Number::F32, outputs),
            x: random.values(dtype, (known + input[0]) * frame),
            residual: random.values(Number::F32, positions * spec.outputs),
            spec,
            input,
            known,
        }
    }

    /// The definition, value by value: sums, bias, activation, residual.
    fn expected(&self) -> Vec<f64> {
        let spec = &self.spec;
        let [_, height, width] = self.input;
        let [to, ho, wo] = spec.output(self.input);
        let [kt, kh, kw] = spec.kernel;
        let zoom = spec.zoom() as isize;
        let value = |t: isize, y: isize, x: isize, c: usize| -> f64 {
            let inside = |v: isize, n: usize| v >= 0 && v < n as isize * zoom;
            if !inside(y, height) || !inside(x, width) || t < -(self.known as isize) {
                return 0.0;
            }
            let frame = (t + self.known as isize) as usize;
            let (y, x) = ((y / zoom) as usize, (x / zoom) as usize);
            f64::from(self.x[((frame * height + y) * width + x) * spec.inputs + c])
        };
        let pad = |axis: usize| {
            if spec.stride_space > 1 {
                0
            } else {
                spec.kernel[axis] / 2
            }
        };
        let mut out = Vec::new();
        for f in 0..to {
            let (t, phase) = (f / spec.phases, f % spec.phases);
            for y in 0..ho {
                for x in 0..wo {
                    for o in 0..spec.outputs {
                        let o = phase * spec.outputs + o;
                        let mut sum = f64::from(self.bias[o]);
                        for tap in 0..kt * kh * kw {
                            let (dt, dh, dw) = (tap / (kh * kw), tap / kw % kh, tap % kw);
                            let ti = (t * spec.stride_time + dt) as isize - spec.lead() as isize;
                            let yi = (y * spec.stride_space + dh) as isize - pad(1) as isize;
                            let xi = (x * spec.stride_space + dw) as isize - pad(2) as isize;
                            for c in 0..spec.inputs {
                                let w = self.weight[(o * spec.inputs + c) * kt * kh * kw + tap];
                                sum += f64::from(w) * value(ti, yi, xi, c);
                            }
                        }
                        if spec.activation == Activation::Gelu {
                            let cubic = (2.0 / std::f64::consts::PI).sqrt() * (sum + 0.044715 * sum.powi(3));
                            sum *= 0.5 * (1.0 + cubic.tanh());
                        }
                        out.push(sum + f64::from(self.residual[out.len()]));
                    }
                }
            }
        }
        out
    }

    /// What the operator gives: values, and what another convolution would read behind `norm`.
    fn found(&self, format: Format, norm: Option<&RmsNorm>) -> (Vec<f32>, Vec<f32>) {
        let spec = self.spec;
        let conv = Conv::new(format, spec, &self.weight, self.bias.clone());
        let mut operand = poisoned();
        conv.shape(&mut operand, self.input);
        // Frames that are not known stay poisoned.
        fill(format, &self.x, &mut operand);
        let mut values = self.residual.clone();
        let output = spec.output(self.input);
        let reader = ConvSpec::new(spec.outputs, 1, [1, 3, 3]);
        let reader = Conv::new(format, reader, &vec![0.0; 9 * spec.outputs], vec![0.0]);
        let mut target = poisoned();
        reader.shape(&mut target, output);
        let sink = Sink {
            stream: Some(Stream {
                values: &mut values,
                add: true,
                store: true,
            }),
            targets: [
                None,
                Some(Target {
                    norm,
                    operand: &mut target,
                }),
                None,
            ],
            tokens: None,
        };
        conv.run(&operand, self.known, self.input, sink);
        (values, read(format, &target, spec.outputs))
    }
}

fn check(random: &mut Random, spec: ConvSpec, input: [usize; 3], known: usize) {
    for format in formats() {
        let case = Case::random(random, format.dtype, spec, input, known);
        let norm = RmsNorm {
            gain: random.values(Number::F32, spec.outputs),
            epsilon: Epsilon::Clamp,
            silu: known == 0,
        };
        let what = format!("{spec:?} of {input:?} after {known}, {format:?}");
        let expected = case.expected();
        let (values, target) = case.found(format, Some(&norm));
        // Transforms and sums of weights are rounded to bf16, which exact inputs do not spare them.
        let folded = spec.upsample || spec.kernel[1..] == [3, 3];
        let tolerance = match format.dtype {
            Number::Bf16 if folded => 1e-2,
            _ => 1e-5,
        };
        assert_close(&values, &expected, tolerance, &what);
        let normed: Vec<f64> = expected
            .chunks(spec.outputs)
            .flat_map(|row| {
                let square: f64 = row.iter().map(|v| v * v).sum();
                let factor = (row.len() as f64).sqrt() / square.sqrt().max(1e-12);
                let scaled = row
                    .iter()
                    .zip(&norm.gain)
                    .map(move |(v, &g)| v * factor * f64::from(g));
                let silu = norm.silu;
                scaled
                    .map(move |v| if silu { v / (1.0 + (-v).exp()) } else { v })
                    .collect::<Vec<_>>()
            })
            .collect();
        let tolerance = match format.dtype {
            Number::Bf16 => 2e-2,
            Number::F32 => 1e-4,
        };
        assert_close(&target, &normed, tolerance, &format!("norm of {what}"));
    }
}

#[test]
fn conv_is_its_definition() {
    let mut random = Random::new(7);
    let one = ConvSpec::new(1, 1, [1; 3]);
    for (inputs, outputs, kernel) in [
        (5, 7, [1, 1, 1]),
        (3, 17, [3, 1, 1]),
        (33, 40, [1, 3, 3]),
        (16, 16, [3, 3, 3]),
        (17, 50, [3, 3, 3]),
        (9, 70, [2, 5, 3]),
        (1, 1, [1, 3, 3]),
        (70, 33, [1, 3, 3]),
    ] {
        let spec = ConvSpec::new(inputs, outputs, kernel);
        for (input, known) in [([1, 1, 1], 0), ([3, 5, 7], 1), ([2, 8, 9], 2), ([4, 2, 33], 0)] {
            check(&mut random, spec, input, known.min(spec.lead()));
        }
    }
    let down = ConvSpec {
        inputs: 19,
        outputs: 34,
        kernel: [1, 3, 3],
        stride_space: 2,
        ..one
    };
    check(&mut random, down, [2, 6, 10], 0);
    check(&mut random, ConvSpec { inputs: 40, ..down }, [1, 2, 4], 0);
    let halve = ConvSpec {
        inputs: 12,
        outputs: 12,
        kernel: [3, 1, 1],
        stride_time: 2,
        ..one
    };
    check(&mut random, halve, [4, 3, 5], 1);
    check(&mut random, halve, [2, 3, 5], 0);
    for kernel in [[1, 3, 3], [1, 5, 1], [2, 1, 7]] {
        let up = ConvSpec {
            inputs: 21,
            outputs: 18,
            kernel,
            upsample: true,
            ..one
        };
        check(&mut random, up, [2, 3, 4], 0);
    }
    let double = ConvSpec {
        inputs: 10,
        outputs: 9,
        kernel: [3, 1, 1],
        phases: 2,
        ..one
    };
    for known in 0..3 {
        check(&mut random, double, [2, 3, 4], known);
    }
}

#[test]
fn random_convs_are_their_definition() {
    let mut random = Random::new(8);
    for _ in 0..12 {
        let side = [1, 3, 5][random.below(3)];
        let kernel = [1 + random.below(3), side, [1, 3][random.below(2)]];
        let spec = ConvSpec::new(1 + random.below(80), 1 + random.below(80), kernel);
        let input = [1 + random.below(3), 1 + random.below(20), 1 + random.below(40)];
        let known = random.below(spec.lead() + 1);
        check(&mut random, spec, input, known);
    }
}

#[test]
fn linear_layers_are_their_definition() {
    let mut random = Random::new(9);
    for (rows, inputs, outputs) in [(1, 1, 1), (3, 17, 5), (300, 33, 49), (65, 130, 16)] {
        for activation in [Activation::None, Activation::Gelu] {
            let spec = ConvSpec {
                activation,
                ..ConvSpec::new(inputs, outputs, [1; 3])
            };
            check(&mut random, spec, [1, 1, rows], 0);
        }
    }
}

#[test]
fn parts_of_a_linear_layer_are_those_of_the_whole() {
    let mut random = Random::new(13);
    for format in formats() {
        let spec = ConvSpec::new(20, 36, [1; 3]);
        let case = Case::random(&mut random, format.dtype, spec, [1, 1, 170], 0);
        let (whole, _) = case.found(format, None);
        let conv = Conv::new(format, spec, &case.weight, case.bias.clone());
        let mut operand = poisoned();
        conv.shape(&mut operand, case.input);
        fill(format, &case.x, &mut operand);
        // Positions 30 to 129 of the input, to positions 7 to 106 of 110.
        let mut values = vec![f32::NAN; 110 * 36];
        values[7 * 36..107 * 36].copy_from_slice(&case.residual[30 * 36..130 * 36]);
        let sink = Sink {
            stream: Some(Stream {
                values: &mut values,
                add: true,
                store: true,
            }),
            ..Sink::default()
        };
        conv.run_part(&operand, 30..130, 7, [170, 110], sink);
        assert_eq!(values[7 * 36..107 * 36], whole[30 * 36..130 * 36]);
        assert!(
            values[..7 * 36]
                .iter()
                .chain(&values[107 * 36..])
                .all(|v| v.is_nan())
        );
    }
}

#[test]
fn signs_are_tokens() {
    let mut random = Random::new(12);
    for format in formats() {
        let spec = ConvSpec::new(20, 36, [1; 3]);
        let mut case = Case::random(&mut random, format.dtype, spec, [1, 1, 70], 0);
        case.residual.fill(0.0);
        let (values, _) = case.found(format, None);
        let conv = Conv::new(format, spec, &case.weight, case.bias.clone());
        let mut operand = poisoned();
        conv.shape(&mut operand, case.input);
        fill(format, &case.x, &mut operand);
        let mut tokens = vec![u64::MAX; 70];
        let sink = Sink {
            tokens: Some(&mut tokens),
            ..Sink::default()
        };
        conv.run(&operand, 0, case.input, sink);
        for (token, values) in tokens.iter().zip(values.chunks(36)) {
            let bits = values.iter().enumerate();
            assert_eq!(
                *token,
                bits.fold(0, |bits, (j, &v)| bits | u64::from(v > 0.0) << j)
            );
        }
    }
}

#[test]
fn norm_of_nothing_is_nothing() {
    for format in formats() {
        for epsilon in [Epsilon::Clamp, Epsilon::Add] {
            let spec = ConvSpec::new(3, 17, [1; 3]);
            let mut case = Case::random(&mut Random::new(1), format.dtype, spec, [1, 1, 2], 0);
            case.x.fill(0.0);
            case.bias.fill(0.0);
            case.residual.fill(0.0);
            let norm = RmsNorm {
                gain: vec![1.0; 17],
                epsilon,
                silu: true,
            };
            assert_eq!(case.found(format, Some(&norm)).1, [0.0; 34]);
        }
    }
}

fn golden() -> Golden {
    Golden::load(path("operators"))
}

fn wide(values: &[f32]) -> Vec<f64> {
    values.iter().copied().map(f64::from).collect()
}

#[test]
fn conv_matches_pytorch_with_and_without_cache() {
    let golden = golden();
    let (x, expected) = (golden["conv.input"].floats(), golden["conv.output"].floats());
    let (frame, out_frame) = (7 * 9 * 5, 7 * 9 * 19);
    for format in formats().into_iter().filter(|format| format.dtype == Number::F32) {
        for start in 0..6usize {
            let known = start.min(2);
            let case = Case {
                spec: ConvSpec::new(5, 19, [3, 3, 3]),
                input: [6 - start, 7, 9],
                known,
                weight: golden["conv.weight"].floats(),
                bias: golden["conv.bias"].floats(),
                x: x[(start - known) * frame..].to_vec(),
                residual: vec![0.0; (6 - start) * out_frame],
            };
            let (found, _) = case.found(format, None);
            let what = format!("from frame {start}, {format:?}");
            assert_close(&found, &wide(&expected[start * out_frame..]), 1e-5, &what);
        }
    }
}

#[test]
fn norm_matches_pytorch() {
    let golden = golden();
    let (x, gain) = (golden["norm.input"].floats(), golden["norm.gamma"].floats());
    let channels = gain.len();
    for format in formats().into_iter().filter(|format| format.dtype == Number::F32) {
        for (silu, name) in [(false, "norm.output"), (true, "norm.silu")] {
            // The norm follows a convolution that adds nothing to its residual.
            let case = Case {
                spec: ConvSpec::new(1, channels, [1; 3]),
                input: [1, 1, x.len() / channels],
                known: 0,
                weight: vec![0.0; channels],
                bias: vec![0.0; channels],
                x: vec![0.0; x.len() / channels],
                residual: x.clone(),
            };
            let norm = RmsNorm {
                gain: gain.clone(),
                epsilon: Epsilon::Clamp,
                silu,
            };
            assert_close(
                &case.found(format, Some(&norm)).1,
                &wide(&golden[name].floats()),
                1e-5,
                name,
            );
        }
    }
}

//! Operators on the emulated GPU against the same ones on the CPU.

use super::super::Emulator;
use crate::Dtype;
use crate::device::Device;
use crate::kernels::cpu::tests::Random;
use crate::kernels::{
    Activation, Attention, AttentionBuffers, Backend, Conv, ConvSpec, Epsilon, Gpu, Norm, Operand, RmsNorm,
    Rotary, Sink, Stream, Target, Values, fill,
};

/// The CPU, a GPU, and two that must do without convolutions of their library, all or those with a depth, in f32.
fn backends() -> [Backend; 4] {
    let [cpu, gpu] = [Device::Cpu, Device::emulated()].map(|device| device.backend(Dtype::F32).unwrap());
    let wrong = Gpu::new(Emulator::wrong(), Dtype::F32).unwrap();
    assert!(!wrong.trusts_its_library());
    let flat = Gpu::new(Emulator::flat(), Dtype::F32).unwrap();
    assert!(flat.trusts_its_library());
    [cpu, gpu, Backend::Gpu(wrong), Backend::Gpu(flat)]
}

fn conv(backend: &Backend, random: &mut Random, spec: ConvSpec) -> Conv {
    let count = spec.phases * spec.outputs;
    let weight = random.values_f32(count * spec.inputs * spec.kernel.iter().product::<usize>());
    let bias = random.values_f32(count);
    Conv::new(backend, spec, &weight, bias).unwrap()
}

/// The stream behind a convolution, and what another one makes of its normed outputs.
fn outputs(backend: &Backend, spec: ConvSpec, input: [usize; 3], known: usize, silu: bool) -> Vec<f32> {
    let mut random = Random::new(31);
    let conv_ = conv(backend, &mut random, spec);
    let mut operand = Operand::default();
    conv_.shape(&mut operand, input).unwrap();
    let [t, h, w] = input;
    let x = random.values_f32((t + known) * h * w * spec.inputs);
    fill(backend, &x, &mut operand).unwrap();
    let output = spec.output(input);
    let len = output.iter().product::<usize>() * spec.outputs;
    let mut stream = Values::of(backend, random.values_f32(len)).unwrap();
    let rms = RmsNorm {
        gain: random.values_f32(spec.outputs),
        epsilon: if silu { Epsilon::Clamp } else { Epsilon::Add },
        silu,
    };
    let norm = Norm::new(backend, rms).unwrap();
    let reader_spec = ConvSpec::new(spec.outputs, 5, [1, 3, 3]);
    let reader = conv(backend, &mut random, reader_spec);
    let mut target = Operand::default();
    reader.shape(&mut target, output).unwrap();
    let sink = Sink {
        stream: Some(Stream {
            values: &mut stream,
            add: true,
            store: known == 0,
        }),
        targets: [
            None,
            Some(Target {
                norm: Some(&norm),
                operand: &mut target,
            }),
            None,
        ],
        tokens: None,
    };
    conv_.run(&operand, known, input, sink).unwrap();
    let read = output.iter().product::<usize>() * 5;
    let mut last = Values::default();
    last.reserve(backend, read).unwrap();
    let sink = Sink {
        stream: Some(Stream {
            values: &mut last,
            add: false,
            store: true,
        }),
        ..Sink::default()
    };
    reader.run(&target, 0, output, sink).unwrap();
    [stream.first(len).unwrap(), last.first(read).unwrap()].concat()
}

fn assert_close(found: &[f32], expected: &[f32], what: &str) {
    assert_eq!(found.len(), expected.len());
    let largest = expected.iter().fold(0.0f32, |m, v| m.max(v.abs()));
    for (i, (a, b)) in found.iter().zip(expected).enumerate() {
        assert!(
            (a - b).abs() <= 1e-4 * largest,
            "{what}: value {i} is {a}, but should be {b}"
        );
    }
}

#[test]
fn convolutions_are_those_of_the_cpu() {
    let one = ConvSpec::new(1, 1, [1; 3]);
    let kernel = |inputs, outputs, kernel| ConvSpec::new(inputs, outputs, kernel);
    let up = |kernel| ConvSpec {
        inputs: 21,
        outputs: 18,
        kernel,
        upsample: true,
        ..one
    };
    let down = ConvSpec {
        stride_space: 2,
        ..kernel(19, 34, [1, 3, 3])
    };
    let halve = ConvSpec {
        stride_time: 2,
        ..kernel(12, 12, [3, 1, 1])
    };
    let double = ConvSpec {
        phases: 2,
        ..kernel(10, 9, [3, 1, 1])
    };
    let gelu = ConvSpec {
        activation: Activation::Gelu,
        ..kernel(33, 49, [1; 3])
    };
    let cases = [
        (one, [1, 1, 1], 0),
        (kernel(5, 7, [1; 3]), [3, 5, 7], 0),
        (kernel(3, 17, [3, 1, 1]), [3, 1, 7], 1),
        (kernel(33, 40, [1, 3, 3]), [2, 8, 9], 0),
        (kernel(16, 16, [3, 3, 3]), [1, 1, 1], 0),
        (kernel(17, 50, [3, 3, 3]), [4, 6, 7], 2),
        (kernel(9, 70, [2, 5, 3]), [3, 5, 7], 1),
        (gelu, [1, 1, 300], 0),
        (down, [2, 6, 10], 0),
        (down, [1, 2, 4], 0),
        (halve, [4, 3, 5], 1),
        (halve, [2, 3, 5], 0),
        (up([1, 3, 3]), [2, 3, 4], 0),
        (up([1, 5, 1]), [2, 3, 4], 0),
        (up([2, 1, 7]), [2, 3, 4], 0),
        (double, [2, 3, 4], 0),
        (double, [2, 3, 4], 2),
    ];
    let [cpu, gpu, wrong, flat] = backends();
    for (spec, input, known) in cases {
        for silu in [false, true] {
            let expected = outputs(&cpu, spec, input, known, silu);
            for gpu in [&gpu, &wrong, &flat] {
                let what = format!("{spec:?} of {input:?} after {known}");
                assert_close(&outputs(gpu, spec, input, known, silu), &expected, &what);
            }
        }
    }
}

#[test]
fn signs_are_those_of_the_cpu() {
    let spec = ConvSpec::new(20, 36, [1; 3]);
    let tokens = |backend: &Backend| {
        let mut random = Random::new(5);
        let conv = conv(backend, &mut random, spec);
        let mut operand = Operand::default();
        conv.shape(&mut operand, [1, 1, 700]).unwrap();
        fill(backend, &random.values_f32(700 * 20), &mut operand).unwrap();
        let mut tokens = vec![0; 700];
        let sink = Sink {
            tokens: Some(&mut tokens),
            ..Sink::default()
        };
        conv.run(&operand, 0, [1, 1, 700], sink).unwrap();
        tokens
    };
    let [cpu, gpu, ..] = backends();
    assert_eq!(tokens(&gpu), tokens(&cpu));
}

/// Attention, and what a linear layer makes of it.
fn attended(
    backend: &Backend,
    grid: [usize; 3],
    windows: [[usize; 3]; 2],
    heads: usize,
    width: usize,
) -> Vec<f32> {
    let mut random = Random::new(17);
    let [window, shift] = windows;
    let rotary = Rotary::new(backend, grid, width / heads, 100.0).unwrap();
    let mut op = Attention::windowed(grid, window, shift);
    if heads > 1 {
        op = op.heads(heads, &rotary);
    }
    let count: usize = grid.iter().product();
    let (mut qkv, mut out) = (Operand::default(), Operand::default());
    op.shape(backend, width, &mut qkv).unwrap();
    fill(backend, &random.values_f32(count * 3 * width), &mut qkv).unwrap();
    let proj = conv(backend, &mut random, ConvSpec::new(width, 7, [1; 3]));
    proj.shape(&mut out, grid).unwrap();
    op.run(backend, &mut qkv, &mut AttentionBuffers::default(), &mut out)
        .unwrap();
    let mut last = Values::default();
    last.reserve(backend, 7 * count).unwrap();
    let sink = Sink {
        stream: Some(Stream {
            values: &mut last,
            add: false,
            store: true,
        }),
        ..Sink::default()
    };
    proj.run(&out, 0, grid, sink).unwrap();
    last.first(7 * count).unwrap().into_owned()
}

#[test]
fn attention_is_that_of_the_cpu() {
    let [cpu, gpu, ..] = backends();
    for (grid, window, shift, heads, width) in [
        ([3, 5, 7], [2, 3, 3], [1, 1, 2], 2, 24),
        ([2, 9, 4], [4, 4, 4], [0, 2, 2], 2, 20),
        // More queries than one block of threads takes.
        ([3, 10, 11], [3, 10, 11], [0, 0, 0], 2, 16),
        // Whole frames and one head: more scores than are in memory at a time.
        ([2, 9, 13], [1, 9, 13], [0, 0, 0], 1, 20),
    ] {
        let expected = attended(&cpu, grid, [window, shift], heads, width);
        let found = attended(&gpu, grid, [window, shift], heads, width);
        assert_close(&found, &expected, &format!("{grid:?} in {window:?}"));
    }
}

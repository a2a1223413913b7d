//! Down- and upsampling against PyTorch (`testdata/golden`): whole clips, clips in parts, and first frames alone.

use super::*;
use crate::bundle::{Naming, SafetensorsBytes};
use crate::kernels::{Backend, Dtype, Values, fill};
use crate::shared::tensors::{Golden, path};
use crate::vae::program::Program;
use crate::vae::state::State;
use crate::volume::Volume;

fn assert_close(found: &Volume, expected: &Volume, what: &str) {
    assert_eq!(found.shape(), expected.shape(), "{what}");
    let pairs = found.data().iter().zip(expected.data());
    let difference = pairs.fold(0.0f32, |most, (a, b)| most.max((a - b).abs()));
    let largest = expected.data().iter().fold(0.0f32, |most, v| most.max(v.abs()));
    assert!(difference <= 1e-4 * largest, "{what}: {difference} of {largest}");
}

/// Layers over the frames of `plan`, the first of which begins a group.
fn run(parts: &Parts, layers: &[Layer], x: &Volume, plan: &[usize]) -> Volume {
    let [_, h, w, c] = x.four_sides("input").unwrap();
    let mut frames = x.data().chunks(h * w * c);
    let mut state = State::default();
    let mut out = Vec::new();
    let mut size = [0; 3];
    let first_alone = [1, plan[0] - 1].into_iter().chain(plan[1..].iter().copied());
    for (index, count) in first_alone.filter(|&count| count > 0).enumerate() {
        let mut reversed = Vec::new();
        let wants = layers.iter().rev().fold(Wants::stream(), |next, layer| {
            layer.plan(parts, index == 0, next, &mut reversed)
        });
        reversed.reverse();
        let step: Vec<f32> = frames.by_ref().take(count).flatten().copied().collect();
        let input = [count, h, w];
        for want in &wants.operands {
            let mut operand = state.take(want.slot);
            parts
                .shape(&mut state, want.reader, &mut operand, input.into())
                .unwrap();
            fill(parts.backend(), &step, &mut operand).unwrap();
            state.put(want.slot, operand);
        }
        if wants.stream {
            state.streams[0] = Values::of(parts.backend(), step).unwrap();
        }
        let program = Program(reversed);
        program.run(parts, &mut state, input.into()).unwrap();
        size = program.output(parts, input);
        let channels = parts.convs[0].spec().outputs;
        let len = size.iter().product::<usize>() * channels;
        out.extend_from_slice(&state.streams[0].first(len).unwrap());
    }
    let channels = parts.convs[0].spec().outputs;
    let count = out.len() / (size[1] * size[2] * channels);
    Volume::new(&[count, size[1], size[2], channels], out).unwrap()
}

fn backends() -> [Backend; 2] {
    [crate::Device::Cpu, crate::Device::emulated()].map(|device| device.backend(Dtype::F32).unwrap())
}

fn check(
    backend: &Backend,
    kind: &str,
    load: impl Fn(&mut Parts, &mut Weights<'_>, &str, Halving) -> Vec<Layer>,
    plans: &[&[usize]],
) {
    let bytes = std::fs::read(path("resample")).unwrap();
    let golden = Golden::load(path("resample-tensors"));
    for (name, space, time) in [
        ("space", true, false),
        ("time", false, true),
        ("both", true, true),
    ] {
        let source = SafetensorsBytes::new(&bytes).unwrap();
        let mut weights = Weights::new(&source, Naming::Bundle, backend);
        let mut parts = Parts::new(backend);
        let halving = Halving { space, time };
        let layers = load(&mut parts, &mut weights, &format!("{kind}.{name}"), halving);
        let input = &golden.volume("input");
        for plan in plans {
            let what = format!("{kind} {name} {plan:?}");
            assert_close(
                &run(&parts, &layers, input, plan),
                &golden.volume(&format!("{kind}.{name}")),
                &what,
            );
        }
        let first = run(&parts, &layers, input, &[1]);
        assert_close(
            &first,
            &golden.volume(&format!("{kind}.{name}.first")),
            &format!("{kind} {name} alone"),
        );
    }
}

#[test]
fn downsampling_matches_pytorch() {
    let load = |parts: &mut Parts, weights: &mut Weights<'_>, name: &str, halving| {
        Layer::down(parts, weights, name, 8, halving).collect()
    };
    for backend in backends() {
        check(&backend, "down", load, &[&[9], &[1, 8], &[1, 2, 2, 4], &[5, 4]]);
    }
}

#[test]
fn upsampling_matches_pytorch() {
    let load = |parts: &mut Parts, weights: &mut Weights<'_>, name: &str, halving: Halving| {
        let outputs = if halving.space { 4 } else { 8 };
        Layer::up(parts, weights, name, [8, outputs], halving).collect()
    };
    for backend in backends() {
        check(&backend, "up", load, &[&[9], &[1, 8], &[1, 1, 3, 4], &[4, 5]]);
    }
}

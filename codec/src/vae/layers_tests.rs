//! Down- and upsampling against PyTorch (`testdata/golden`): whole clips, clips in parts, and first frames alone.

use std::collections::HashMap;
use std::path::PathBuf;

use candle_core::Device;

use super::*;

fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("../testdata/golden/{name}.safetensors"))
}

fn assert_close(found: &Tensor, expected: &Tensor, what: &str) {
    assert_eq!(found.dims(), expected.dims(), "{what}");
    let difference = (found - expected).unwrap().abs().unwrap();
    let difference = difference.max_all().unwrap().to_scalar::<f32>().unwrap();
    let largest = expected
        .abs()
        .unwrap()
        .max_all()
        .unwrap()
        .to_scalar::<f32>()
        .unwrap();
    assert!(difference <= 1e-4 * largest, "{what}: {difference} of {largest}");
}

/// The layer over the frames of `plan`, the first of which begins a group.
fn run(layer: &Layer, x: &Tensor, plan: &[usize]) -> Tensor {
    let mut cache = Cache::default();
    let mut start = 0;
    let mut parts = Vec::new();
    for &count in plan {
        parts.push(
            layer
                .forward(&x.narrow(0, start, count).unwrap(), &mut cache)
                .unwrap(),
        );
        cache.started = true;
        start += count;
    }
    Tensor::cat(&parts, 0).unwrap()
}

fn check(kind: &str, load: impl Fn(&mut Weights<'_>, &str, Halving) -> Layer, plans: &[&[usize]]) {
    let bytes = std::fs::read(path("resample")).unwrap();
    let golden: HashMap<String, Tensor> =
        candle_core::safetensors::load(path("resample-tensors"), &Device::Cpu).unwrap();
    for (name, space, time) in [
        ("space", true, false),
        ("time", false, true),
        ("both", true, true),
    ] {
        let mut weights = Weights::parse(&bytes, &Device::Cpu).unwrap();
        let layer = load(&mut weights, &format!("{kind}.{name}"), Halving { space, time });
        let input = &golden["input"];
        for plan in plans {
            let what = format!("{kind} {name} {plan:?}");
            assert_close(
                &run(&layer, input, plan),
                &golden[&format!("{kind}.{name}")],
                &what,
            );
        }
        let first = run(&layer, input, &[1]);
        assert_close(
            &first,
            &golden[&format!("{kind}.{name}.first")],
            &format!("{kind} {name} alone"),
        );
    }
}

#[test]
fn downsampling_matches_pytorch() {
    let load = |weights: &mut Weights<'_>, name: &str, halving| {
        Layer::Down(Downsample::load(weights, name, 8, halving).unwrap())
    };
    check("down", load, &[&[9], &[1, 8], &[1, 2, 2, 4], &[5, 4]]);
}

#[test]
fn upsampling_matches_pytorch() {
    let load = |weights: &mut Weights<'_>, name: &str, halving: Halving| {
        let outputs = if halving.space { 4 } else { 8 };
        Layer::Up(Upsample::load(weights, name, [8, outputs], halving).unwrap())
    };
    check("up", load, &[&[9], &[1, 8], &[1, 1, 3, 4], &[4, 5]]);
}

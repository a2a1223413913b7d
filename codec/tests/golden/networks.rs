//! Networks against the tensors that the training recipe's PyTorch modules gave (`testdata/golden`), on any device.

// Helpers of tests fail by panicking, as tests do; not every test looks at every network.
#![allow(clippy::unwrap_used, dead_code, unreachable_pub)]

use std::collections::HashMap;
use std::path::PathBuf;

use candle_core::{DType, Tensor};
use latentbit_codec::bundle::Bundle;
use latentbit_codec::vae::{DecoderState, EncoderState, WanVae};
use latentbit_codec::{Device, Dtype, Error, TensorDevice};

/// Where networks run, and how far off they may be there: the largest difference over the largest value.
pub struct On {
    pub device: Device,
    pub dtype: Dtype,
    pub tolerance: f32,
}

impl On {
    /// On the CPU; the networks of tests have random weights, which make much of what is rounded.
    pub fn of(dtype: Dtype) -> Self {
        Self {
            device: Device::Cpu,
            dtype,
            tolerance: match dtype {
                Dtype::F32 => 1e-4,
                Dtype::Bf16 => 1e-1,
                Dtype::F16 => 2e-2,
            },
        }
    }

    fn open(&self, path: PathBuf) -> Bundle {
        Bundle::open(path, &self.device, self.dtype).unwrap()
    }

    fn bundle(&self, name: &str) -> Bundle {
        self.open(path(name))
    }

    fn assert_close(&self, found: &Tensor, expected: &Tensor, what: &str) {
        let difference = difference(found, expected);
        println!("{what} in {}: {difference:.1e}", self.dtype);
        assert!(
            difference <= self.tolerance,
            "{what} in {}: {difference}",
            self.dtype
        );
    }
}

fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("../testdata/golden/{name}.safetensors"))
}

fn tensors(name: &str) -> HashMap<String, Tensor> {
    candle_core::safetensors::load(path(&format!("{name}-tensors")), &TensorDevice::Cpu).unwrap()
}

/// The largest difference over the largest value.
fn difference(found: &Tensor, expected: &Tensor) -> f32 {
    assert_eq!(found.dims(), expected.dims());
    let values = |t: &Tensor| t.flatten_all().unwrap().to_vec1::<f32>().unwrap();
    let (found, expected) = (values(found), values(expected));
    assert!(found.iter().all(|v| v.is_finite()));
    let largest = expected.iter().fold(0.0f32, |m, v| m.max(v.abs()));
    found
        .iter()
        .zip(&expected)
        .fold(0.0f32, |m, (a, b)| m.max((a - b).abs()))
        / largest
}

fn encode(vae: &WanVae, frames: &Tensor, plan: &[usize]) -> Tensor {
    let mut state = EncoderState::default();
    parts(frames, plan, |part| vae.encode(part, &mut state).unwrap())
}

fn decode(vae: &WanVae, latent: &Tensor, plan: &[usize]) -> Tensor {
    let mut state = DecoderState::default();
    parts(latent, plan, |part| vae.decode(part, &mut state).unwrap())
}

fn parts(x: &Tensor, plan: &[usize], mut f: impl FnMut(&Tensor) -> Tensor) -> Tensor {
    let mut start = 0;
    let mut done = Vec::new();
    for &count in plan {
        done.push(f(&x.narrow(0, start, count).unwrap()));
        start += count;
    }
    Tensor::cat(&done, 0).unwrap()
}

fn vae_matches(on: &On, name: &str, counts: &[usize]) {
    let vae = on.bundle(name).vae;
    let golden = tensors(name);
    for &count in counts {
        let frames = golden["frames"].narrow(0, 0, count).unwrap();
        let latent = &golden[&format!("latent.{count}")];
        let found = encode(&vae, &frames, &[count]);
        on.assert_close(&found, latent, &format!("{name} encodes {count}"));
        let found = decode(&vae, latent, &[latent.dim(0).unwrap()]);
        let expected = &golden[&format!("decoded.{count}")];
        on.assert_close(&found, expected, &format!("{name} decodes {count}"));
    }
}

pub fn vaes_match(on: &On) {
    vae_matches(on, "vae-tiny", &[1, 5, 9, 17]);
    vae_matches(on, "vae-small-wan", &[1, 5, 9]);
    vae_matches(on, "vae-tiny22", &[1, 5, 9]);
}

pub fn vae_in_chunks_is_the_vae_in_one_piece(on: &On) {
    for (name, count, plans) in [
        (
            "vae-tiny",
            17,
            [
                &[1, 4, 4, 4, 4][..],
                &[1, 16],
                &[5, 4, 8],
                &[1, 8, 4, 4],
                &[13, 4],
            ],
        ),
        (
            "vae-small-wan",
            9,
            [&[1, 4, 4], &[1, 8], &[5, 4], &[9], &[1, 4, 4]],
        ),
    ] {
        let vae = on.bundle(name).vae;
        let golden = tensors(name);
        let latent = &golden[&format!("latent.{count}")];
        let whole = decode(&vae, latent, &[latent.dim(0).unwrap()]);
        for plan in plans {
            let found = encode(&vae, &golden["frames"], plan);
            on.assert_close(&found, latent, &format!("{name} encodes {plan:?}"));
            let at_once = encode(&vae, &golden["frames"], &[count]);
            assert!(difference(&found, &at_once) <= on.tolerance / 10.0);
            let plan: Vec<_> = plan.iter().map(|frames| frames.div_ceil(4)).collect();
            let found = decode(&vae, latent, &plan);
            assert!(
                difference(&found, &whole) <= on.tolerance / 10.0,
                "{name} decodes {plan:?}"
            );
        }
    }
}

pub fn vae_keeps_no_more_than_its_cache(on: &On) {
    let vae = on.bundle("vae-tiny").vae;
    let frames = &tensors("vae-tiny")["frames"];
    let (mut encoder, mut decoder) = (EncoderState::default(), DecoderState::default());
    let latent = vae
        .encode(&frames.narrow(0, 0, 1).unwrap(), &mut encoder)
        .unwrap();
    vae.decode(&latent, &mut decoder).unwrap();
    let mut sizes = Vec::new();
    for _ in 0..5 {
        let latent = vae
            .encode(&frames.narrow(0, 1, 8).unwrap(), &mut encoder)
            .unwrap();
        vae.decode(&latent, &mut decoder).unwrap();
        sizes.push((encoder.bytes(), decoder.bytes()));
    }
    assert!(sizes[0].0 > 0 && sizes[0].1 > 0);
    assert!(sizes.iter().all(|size| *size == sizes[0]), "{sizes:?}");
    encoder.reset();
    assert!(encoder.is_fresh());
}

pub fn vae_refuses_other_shapes(on: &On) {
    let vae = on.bundle("vae-tiny").vae;
    let zeros = |shape: &[usize]| Tensor::zeros(shape, DType::F32, &TensorDevice::Cpu).unwrap();
    let mut state = EncoderState::default();
    for shape in [
        &[2, 16, 16, 3][..],
        &[0, 16, 16, 3],
        &[1, 15, 16, 3],
        &[1, 16, 16, 1],
        &[1, 0, 16, 3],
        &[16, 16],
    ] {
        assert!(
            matches!(vae.encode(&zeros(shape), &mut state), Err(Error::Shape { .. })),
            "{shape:?}"
        );
        assert!(state.is_fresh());
    }
    vae.encode(&zeros(&[1, 16, 16, 3]), &mut state).unwrap();
    for shape in [[1, 16, 16, 3], [5, 16, 16, 3], [4, 16, 20, 3]] {
        assert!(
            matches!(vae.encode(&zeros(&shape), &mut state), Err(Error::Shape { .. })),
            "{shape:?}"
        );
    }
    vae.encode(&zeros(&[4, 16, 16, 3]), &mut state).unwrap();
    let mut state = DecoderState::default();
    for shape in [[0, 2, 2, 4], [1, 2, 2, 3], [1, 0, 2, 4]] {
        assert!(
            matches!(vae.decode(&zeros(&shape), &mut state), Err(Error::Shape { .. })),
            "{shape:?}"
        );
    }
}

/// Bits that differ although the outputs are close must be those of outputs near zero.
fn bits_match(tokens: &[u64], outputs: &Tensor, bits: &Tensor, tolerance: f32) {
    let outputs = outputs.to_vec2::<f32>().unwrap();
    let largest = outputs.iter().flatten().fold(1.0f32, |m, v| m.max(v.abs()));
    let bits = bits.to_vec2::<u8>().unwrap();
    assert_eq!(tokens.len(), bits.len());
    for ((token, outputs), bits) in tokens.iter().zip(outputs).zip(bits) {
        for (j, (u, bit)) in outputs.iter().zip(bits).enumerate() {
            assert!(
                (token >> j & 1) as u8 == bit || u.abs() < tolerance * largest,
                "{u} has become {bit}"
            );
        }
    }
}

fn token(bits: &[u8]) -> u64 {
    bits.iter()
        .enumerate()
        .fold(0, |token, (j, &bit)| token | u64::from(bit) << j)
}

fn tokenizer_matches(on: &On, name: &str) {
    let bundle = on.bundle(name);
    let tokenizer = bundle.tokenizer().unwrap();
    let golden = tensors(name);
    let full = tokenizer.bits();
    for size in [[1, 5, 7], [4, 9, 14], [5, 12, 3]] {
        let key = size.map(|side: usize| side.to_string()).join("x");
        let latent = &golden[&format!("latent.{key}")];
        let outputs = &golden[&format!("outputs.{key}")];
        let bits = &golden[&format!("bits.{key}")];
        let found = tokenizer.encoder_output(latent).unwrap();
        on.assert_close(&found, outputs, &format!("{name} encodes {key}"));
        let tokens = tokenizer.encode(latent).unwrap();
        assert_eq!((tokens.bits, tokens.grid), (full, tokenizer.grid_for(size)));
        tokens.validate().unwrap();
        bits_match(&tokens.values, outputs, bits, on.tolerance);
        let exact: Vec<u64> = bits
            .to_vec2::<u8>()
            .unwrap()
            .iter()
            .map(|bits| token(bits))
            .collect();
        for kept in [full, full / 2, 0] {
            let found = tokenizer.decode(&exact, tokens.grid, kept, size).unwrap();
            let expected = &golden[&format!("decoded.{key}.{kept}")];
            on.assert_close(
                &found,
                expected,
                &format!("{name} decodes {key} from {kept} bits"),
            );
        }
        let bad = tokenizer.decode(&exact, tokens.grid, full + 1, size);
        assert!(matches!(
            bad,
            Err(Error::Parameter {
                name: "kept_bits",
                ..
            })
        ));
        let bad = tokenizer.decode(&exact[1..], tokens.grid, full, size);
        assert!(matches!(bad, Err(Error::Parameter { name: "tokens", .. })));
        let bad = tokenizer.decode(&exact, tokens.grid, full, [size[0] + 7, size[1], size[2]]);
        assert!(matches!(bad, Err(Error::Parameter { name: "grid", .. })));
    }
}

pub fn tokenizers_match(on: &On) {
    // Windows, attention to everything, and a spherical code.
    for name in ["tokenizer-windows", "tokenizer-full", "tokenizer-bsq"] {
        tokenizer_matches(on, name);
    }
}

pub fn every_storage_loads(on: &On) {
    for name in ["storage-int8", "storage-bf16"] {
        let bundle = on.bundle(name);
        let golden = tensors(name);
        let latent = encode(&bundle.vae, &golden["frames"], &[1]);
        on.assert_close(&latent, &golden["latent"], name);
        let outputs = bundle
            .tokenizer()
            .unwrap()
            .encoder_output(&golden["latent"])
            .unwrap();
        on.assert_close(&outputs, &golden["outputs"], name);
    }
}

/// The photo and what PyTorch made of it with the shipped bundle, and the bundle.
fn shipped(on: &On) -> (Bundle, HashMap<String, Tensor>, Tensor) {
    let models = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../models/default.safetensors");
    let bundle = on.open(models);
    let golden = candle_core::safetensors::load(path("photo"), &TensorDevice::Cpu).unwrap();
    let pixels = golden["pixels"].to_dtype(DType::F32).unwrap();
    let frames = (pixels / 127.5)
        .unwrap()
        .affine(1.0, -1.0)
        .unwrap()
        .unsqueeze(0)
        .unwrap();
    (bundle, golden, frames)
}

/// The share of bits that tokens have in common with those of PyTorch.
fn equal_bits(tokens: &[u64], bits: &[Vec<u8>]) -> f64 {
    let equal: usize = tokens
        .iter()
        .zip(bits)
        .map(|(t, bits)| {
            bits.iter()
                .enumerate()
                .filter(|&(j, &b)| (t >> j & 1) as u8 == b)
                .count()
        })
        .sum();
    let share = equal as f64 / bits.iter().map(Vec::len).sum::<usize>() as f64;
    println!("{:.3} % of the bits are equal", share * 100.0);
    share
}

/// The shipped bundle on a photo, in 16 bits: as many equal bits as are asked for, and nearly the same picture.
pub fn shipped_bundle_is_close(on: &On) {
    let (bundle, golden, frames) = shipped(on);
    let latent = encode(&bundle.vae, &frames, &[1]);
    let latent_difference = difference(&latent, &golden["latent"]);
    println!("latent of the photo in {}: {latent_difference:.1e}", on.dtype);
    assert!(latent_difference <= 2e-2);
    let tokenizer = bundle.tokenizer().unwrap();
    let tokens = tokenizer.encode(&latent).unwrap();
    let bits = golden["bits"].to_vec2::<u8>().unwrap();
    assert!(equal_bits(&tokens.values, &bits) >= 0.99);
    let exact: Vec<u64> = bits.iter().map(|bits| token(bits)).collect();
    let (t, h, w, _) = latent.dims4().unwrap();
    let latent = tokenizer
        .decode(&exact, tokens.grid, tokens.bits, [t, h, w])
        .unwrap();
    let decoded = golden["decoded"].to_dtype(DType::F32).unwrap();
    let found = decode(&bundle.vae, &latent, &[1]);
    let error = (found - decoded).unwrap().sqr().unwrap().mean_all().unwrap();
    let psnr = 10.0 * (4.0 / error.to_scalar::<f32>().unwrap()).log10();
    println!("the photo in {} beside that in f32: {psnr:.1} dB", on.dtype);
    assert!(psnr >= 45.0);
}

/// The shipped bundle on a photo.
pub fn shipped_bundle_matches(on: &On) {
    let (bundle, golden, frames) = shipped(on);
    let latent = encode(&bundle.vae, &frames, &[1]);
    on.assert_close(&latent, &golden["latent"], "latent of the photo");
    let tokenizer = bundle.tokenizer().unwrap();
    let tokens = tokenizer.encode(&latent).unwrap();
    let bits = golden["bits"].to_vec2::<u8>().unwrap();
    assert!(equal_bits(&tokens.values, &bits) >= 0.999);

    let exact: Vec<u64> = bits.iter().map(|bits| token(bits)).collect();
    let size = latent.dims4().unwrap();
    let latent = tokenizer
        .decode(&exact, tokens.grid, tokens.bits, [size.0, size.1, size.2])
        .unwrap();
    let decoded = golden["decoded"].to_dtype(DType::F32).unwrap();
    // The file keeps the frame in f16, which has 11 bits.
    assert!(difference(&decode(&bundle.vae, &latent, &[1]), &decoded) <= 1e-3);
}

//! Networks against the tensors that the training recipe's PyTorch modules gave (`testdata/golden`), on any device.

use std::path::PathBuf;

use latentbit_codec::vae::{DecoderState, EncoderState, WanVae};
use latentbit_codec::{Bundle, Device, Dtype, Error, Volume};
use latentbit_container::{DepthMap, Tokens};

use super::tensors::{Golden, Tensor, path};

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

    fn assert_close(&self, found: &Volume, expected: &Volume, what: &str) {
        let difference = difference(found, expected);
        println!("{what} in {}: {difference:.1e}", self.dtype);
        assert!(
            difference <= self.tolerance,
            "{what} in {}: {difference}",
            self.dtype
        );
    }
}

fn tensors(name: &str) -> Golden {
    Golden::load(path(&format!("{name}-tensors")))
}

/// The largest difference over the largest value.
fn difference(found: &Volume, expected: &Volume) -> f32 {
    assert_eq!(found.shape(), expected.shape());
    let (found, expected) = (found.data(), expected.data());
    assert!(found.iter().all(|v| v.is_finite()));
    let largest = expected.iter().fold(0.0f32, |m, v| m.max(v.abs()));
    found
        .iter()
        .zip(expected)
        .fold(0.0f32, |m, (a, b)| m.max((a - b).abs()))
        / largest
}

fn encode(vae: &WanVae, frames: &Volume, plan: &[usize]) -> Volume {
    let mut state = EncoderState::default();
    parts(frames, plan, |part| vae.encode(part, &mut state).unwrap())
}

fn decode(vae: &WanVae, latent: &Volume, plan: &[usize]) -> Volume {
    let mut state = DecoderState::default();
    parts(latent, plan, |part| vae.decode(part, &mut state).unwrap())
}

fn parts(x: &Volume, plan: &[usize], mut f: impl FnMut(&Volume) -> Volume) -> Volume {
    let mut start = 0;
    let mut done = Vec::new();
    for &count in plan {
        done.push(f(&x.part(start..start + count).unwrap()));
        start += count;
    }
    Volume::concat(done).unwrap()
}

fn vae_matches(on: &On, name: &str, counts: &[usize]) {
    let vae = on.bundle(name).vae;
    let golden = tensors(name);
    for &count in counts {
        let frames = golden.volume("frames").part(0..count).unwrap();
        let latent = &golden.volume(&format!("latent.{count}"));
        let found = encode(&vae, &frames, &[count]);
        on.assert_close(&found, latent, &format!("{name} encodes {count}"));
        let found = decode(&vae, latent, &[latent.count()]);
        let expected = &golden.volume(&format!("decoded.{count}"));
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
        let latent = &golden.volume(&format!("latent.{count}"));
        let whole = decode(&vae, latent, &[latent.count()]);
        for plan in plans {
            let found = encode(&vae, &golden.volume("frames"), plan);
            on.assert_close(&found, latent, &format!("{name} encodes {plan:?}"));
            let at_once = encode(&vae, &golden.volume("frames"), &[count]);
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
    let frames = &tensors("vae-tiny").volume("frames");
    let (mut encoder, mut decoder) = (EncoderState::default(), DecoderState::default());
    let latent = vae.encode(&frames.part(0..1).unwrap(), &mut encoder).unwrap();
    vae.decode(&latent, &mut decoder).unwrap();
    let mut sizes = Vec::new();
    for _ in 0..5 {
        let latent = vae.encode(&frames.part(1..9).unwrap(), &mut encoder).unwrap();
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
    let zeros = |shape: &[usize]| Volume::zeros(shape).unwrap();
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
fn bits_match(tokens: &[u64], outputs: &Volume, bits: &Tensor, tolerance: f32) {
    let largest = outputs.data().iter().fold(1.0f32, |m, v| m.max(v.abs()));
    assert_eq!(outputs.shape(), bits.shape);
    assert_eq!(tokens.len(), outputs.count());
    let outputs = outputs.data().chunks_exact(bits.shape[1]);
    for ((token, outputs), bits) in tokens.iter().zip(outputs).zip(rows(bits)) {
        for (j, (u, &bit)) in outputs.iter().zip(bits).enumerate() {
            assert!(
                (token >> j & 1) as u8 == bit || u.abs() < tolerance * largest,
                "{u} has become {bit}"
            );
        }
    }
}

/// The bits of one token after the other.
fn rows(bits: &Tensor) -> impl Iterator<Item = &[u8]> {
    bits.bytes().chunks_exact(bits.shape[1])
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
        let latent = &golden.volume(&format!("latent.{key}"));
        let outputs = &golden.volume(&format!("outputs.{key}"));
        let bits = &golden[format!("bits.{key}").as_str()];
        let found = tokenizer.encoder_output(latent).unwrap();
        on.assert_close(&found, outputs, &format!("{name} encodes {key}"));
        let tokens = tokenizer.encode(latent).unwrap();
        assert_eq!((tokens.bits, tokens.grid), (full, tokenizer.grid_for(size)));
        tokens.validate().unwrap();
        bits_match(&tokens.values, outputs, bits, on.tolerance);
        let exact: Vec<u64> = rows(bits).map(token).collect();
        for kept in [full, full / 2, 0] {
            let kept_tokens = Tokens::new(tokens.grid, full, exact.clone()).with_depths(DepthMap {
                step: 1,
                values: vec![kept; exact.len()],
            });
            let found = tokenizer.decode(&kept_tokens, size).unwrap();
            if kept > 0 {
                let mut truncated = Tokens::new(tokens.grid, full, exact.clone());
                truncated.truncate_bits(kept);
                assert_eq!(tokenizer.decode(&truncated, size).unwrap(), found);
            }
            let expected = &golden.volume(&format!("decoded.{key}.{kept}"));
            on.assert_close(
                &found,
                expected,
                &format!("{name} decodes {key} from {kept} bits"),
            );
        }
        let bad = tokenizer.decode(&Tokens::new(tokens.grid, full + 1, exact.clone()), size);
        assert!(matches!(bad, Err(Error::Parameter { name: "tokens", .. })));
        let bad = tokenizer.decode(&Tokens::new(tokens.grid, full, exact[1..].to_vec()), size);
        assert!(bad.is_err());
        let exact = Tokens::new(tokens.grid, full, exact);
        let bad = tokenizer.decode(&exact, [size[0] + 7, size[1], size[2]]);
        assert!(matches!(bad, Err(Error::Parameter { name: "grid", .. })));
    }
}

/// Tokens of many depths decode, and the depth head estimates, as in PyTorch.
pub fn depths_match(on: &On) {
    let name = "tokenizer-depths";
    let bundle = on.bundle(name);
    let tokenizer = bundle.tokenizer().unwrap();
    let golden = tensors(name);
    for size in [[1, 5, 7], [4, 9, 6]] {
        let key = size.map(|side: usize| side.to_string()).join("x");
        let [outputs, estimates] =
            ["outputs", "estimates"].map(|kind| golden.volume(&format!("{kind}.{key}")));
        let [bits, depths] = ["bits", "depths"].map(|kind| &golden[format!("{kind}.{key}").as_str()]);
        let (tokens, found) = tokenizer
            .analyse(&golden.volume(&format!("latent.{key}")))
            .unwrap();
        bits_match(&tokens.values, &outputs, bits, on.tolerance);
        on.assert_close(&found.unwrap(), &estimates, &format!("estimates for {key}"));
        let exact = Tokens::new(tokens.grid, tokens.bits, rows(bits).map(token).collect());
        let exact = exact.with_depths(DepthMap {
            step: 1,
            values: depths.bytes().to_vec(),
        });
        let found = tokenizer.decode(&exact, size).unwrap();
        on.assert_close(
            &found,
            &golden.volume(&format!("decoded.{key}")),
            &format!("depths for {key}"),
        );
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
        let latent = encode(&bundle.vae, &golden.volume("frames"), &[1]);
        on.assert_close(&latent, &golden.volume("latent"), name);
        let outputs = bundle
            .tokenizer()
            .unwrap()
            .encoder_output(&golden.volume("latent"))
            .unwrap();
        on.assert_close(&outputs, &golden.volume("outputs"), name);
    }
}

/// The photo and what PyTorch made of it with the shipped bundle, and the bundle.
fn shipped(on: &On) -> (Bundle, Golden, Volume) {
    let models = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../models/default.safetensors");
    let bundle = on.open(models);
    let golden = Golden::load(path("photo"));
    let pixels = &golden["pixels"];
    let shape = [&[1], &pixels.shape[..]].concat();
    let values = pixels.bytes().iter().map(|&v| f32::from(v) / 127.5 - 1.0);
    let frames = Volume::new(&shape, values.collect()).unwrap();
    (bundle, golden, frames)
}

/// The share of bits that tokens have in common with those of PyTorch.
fn equal_bits(tokens: &[u64], bits: &Tensor) -> f64 {
    let equal: usize = tokens
        .iter()
        .zip(rows(bits))
        .map(|(t, bits)| {
            bits.iter()
                .enumerate()
                .filter(|&(j, &b)| (t >> j & 1) as u8 == b)
                .count()
        })
        .sum();
    let share = equal as f64 / bits.bytes().len() as f64;
    println!("{:.3} % of the bits are equal", share * 100.0);
    share
}

/// The shipped bundle on a photo, in 16 bits: as many equal bits as are asked for, and nearly the same picture.
pub fn shipped_bundle_is_close(on: &On) {
    let (bundle, golden, frames) = shipped(on);
    let latent = encode(&bundle.vae, &frames, &[1]);
    let latent_difference = difference(&latent, &golden.volume("latent"));
    println!("latent of the photo in {}: {latent_difference:.1e}", on.dtype);
    assert!(latent_difference <= 2e-2);
    let tokenizer = bundle.tokenizer().unwrap();
    let tokens = tokenizer.encode(&latent).unwrap();
    let bits = &golden["bits"];
    assert!(equal_bits(&tokens.values, bits) >= 0.99);
    let exact: Vec<u64> = rows(bits).map(token).collect();
    let size = [0, 1, 2].map(|side| latent.shape()[side]);
    let exact = Tokens::new(tokens.grid, tokens.bits, exact);
    let latent = tokenizer.decode(&exact, size).unwrap();
    let decoded = golden.volume("decoded");
    let found = decode(&bundle.vae, &latent, &[1]);
    assert_eq!(found.shape(), decoded.shape());
    let pairs = found.data().iter().zip(decoded.data());
    let error = pairs.map(|(a, b)| f64::from(a - b).powi(2)).sum::<f64>() / found.data().len() as f64;
    let psnr = 10.0 * (4.0 / error).log10();
    println!("the photo in {} beside that in f32: {psnr:.1} dB", on.dtype);
    assert!(psnr >= 45.0);
}

/// The shipped bundle on a photo.
pub fn shipped_bundle_matches(on: &On) {
    let (bundle, golden, frames) = shipped(on);
    let latent = encode(&bundle.vae, &frames, &[1]);
    on.assert_close(&latent, &golden.volume("latent"), "latent of the photo");
    let tokenizer = bundle.tokenizer().unwrap();
    let tokens = tokenizer.encode(&latent).unwrap();
    let bits = &golden["bits"];
    assert!(equal_bits(&tokens.values, bits) >= 0.999);

    let exact: Vec<u64> = rows(bits).map(token).collect();
    let size = [0, 1, 2].map(|side| latent.shape()[side]);
    let exact = Tokens::new(tokens.grid, tokens.bits, exact);
    let latent = tokenizer.decode(&exact, size).unwrap();
    let decoded = golden.volume("decoded");
    // The file keeps the frame in f16, which has 11 bits.
    assert!(difference(&decode(&bundle.vae, &latent, &[1]), &decoded) <= 1e-3);
}

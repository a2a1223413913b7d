//! Official weights: both layouts, against what diffusers computes (`testdata/wan`), and files that are broken.

// Helpers of tests fail by panicking, as tests do.
#![allow(clippy::unwrap_used, clippy::panic)]

mod shared;

use std::path::{Path, PathBuf};

use latentbit_codec::vae::{DecoderState, EncoderState};
use latentbit_codec::{Bundle, Dtype, Error, Volume};
use shared::tensors::Golden;

const MODELS: [(&str, &str); 2] = [("wan21", "Wan2.1_VAE.pth"), ("wan22", "Wan2.2_VAE.pth")];

fn folder(model: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("../testdata/wan/{model}"))
}

fn open(path: impl AsRef<Path>) -> Result<Bundle, Error> {
    Bundle::open(path, &latentbit_codec::Device::Cpu, Dtype::F32)
}

fn refusal(path: &Path) -> String {
    match open(path) {
        Err(Error::Bundle { reason }) => reason,
        Err(other) => panic!("refused with another error: {other}"),
        Ok(_) => panic!("{} is not refused", path.display()),
    }
}

/// (T, H, W, C) of a tensor [1, C, T, H, W].
fn expected(model: &str, name: &str) -> Volume {
    let path = folder(model).join(format!("{name}.safetensors"));
    let tensor = &Golden::load(path)[name];
    let [1, channels, t, h, w] = tensor.shape[..] else {
        panic!("{:?}", tensor.shape)
    };
    let (values, positions) = (tensor.floats(), t * h * w);
    let turned = (0..values.len()).map(|at| values[at % channels * positions + at / channels]);
    Volume::new(&[t, h, w, channels], turned.collect()).unwrap()
}

/// The largest difference over the largest value.
fn relative_error(found: &[f32], expected: &[f32]) -> f32 {
    assert_eq!(found.len(), expected.len());
    let most = |values: &mut dyn Iterator<Item = f32>| values.fold(0.0f32, |m, v| m.max(v.abs()));
    let difference = most(&mut found.iter().zip(expected).map(|(a, b)| a - b));
    difference / most(&mut expected.iter().copied())
}

fn encode(bundle: &Bundle, frames: &Volume, plan: &[usize]) -> Vec<f32> {
    let mut state = EncoderState::default();
    let config = bundle.vae.config();
    let mut start = 0;
    let mut all = Vec::new();
    for &count in plan {
        let part = frames.part(start..start + count).unwrap();
        all.extend(bundle.vae.encode(&part, &mut state).unwrap().into_data());
        start += count;
    }
    // Back to the VAE's own scale.
    for position in all.chunks_exact_mut(config.latent_channels) {
        for ((value, mean), std) in position
            .iter_mut()
            .zip(&config.latent_mean)
            .zip(&config.latent_std)
        {
            *value = *value * std + mean;
        }
    }
    all
}

#[test]
fn both_layouts_give_what_diffusers_gives() {
    for (model, checkpoint) in MODELS {
        let from_checkpoint = open(folder(model).join(checkpoint)).unwrap();
        let from_folder = open(folder(model).join("diffusers")).unwrap();
        assert_eq!(from_checkpoint.config.vae, from_folder.config.vae);
        assert!(from_checkpoint.tokenizer.is_none());
        let bytes = std::fs::read(folder(model).join("clip.rgb")).unwrap();
        let pixels: Vec<f32> = bytes.iter().map(|&v| f32::from(v) / 127.5 - 1.0).collect();
        let frames = Volume::new(&[9, 32, 48, 3], pixels).unwrap();
        let latents = expected(model, "latents");
        let latent = latents.data();
        // The whole clip, the first frame alone, and every step by itself.
        for plan in [&[9][..], &[1, 8], &[1, 4, 4], &[5, 4]] {
            let found = encode(&from_checkpoint, &frames, plan);
            let error = relative_error(&found, latent);
            println!("{model} encoder {plan:?}: {error:.1e}");
            assert!(error < 1e-4, "{model} {plan:?}: {error}");
        }
        assert_eq!(
            encode(&from_checkpoint, &frames, &[9]),
            encode(&from_folder, &frames, &[9])
        );

        let config = from_folder.vae.config();
        let mut normalised = latent.to_vec();
        for position in normalised.chunks_exact_mut(config.latent_channels) {
            for ((value, mean), std) in position
                .iter_mut()
                .zip(&config.latent_mean)
                .zip(&config.latent_std)
            {
                *value = (*value - mean) / std;
            }
        }
        let normalised = Volume::new(latents.shape(), normalised).unwrap();
        let target = expected(model, "frames").into_data();
        for plan in [&[3][..], &[1, 2], &[2, 1]] {
            let mut state = DecoderState::default();
            let mut found = Vec::new();
            let mut start = 0;
            for &count in plan {
                let part = normalised.part(start..start + count).unwrap();
                let frames = from_folder.vae.decode(&part, &mut state).unwrap();
                found.extend(frames.into_data().into_iter().map(|v| v.clamp(-1.0, 1.0)));
                start += count;
            }
            let error = relative_error(&found, &target);
            println!("{model} decoder {plan:?}: {error:.1e}");
            assert!(error < 1e-4, "{model} {plan:?}: {error}");
        }
    }
}

#[test]
fn a_state_can_be_kept_and_continued() {
    let bundle = open(folder("wan21").join("diffusers")).unwrap();
    let pixels = (0..9 * 32 * 48 * 3)
        .map(|i| (i as f32 * 0.01).sin())
        .collect::<Vec<f32>>();
    let frames = Volume::new(&[9, 32, 48, 3], pixels).unwrap();
    let mut state = EncoderState::default();
    let part = |start, count| frames.part(start..start + count).unwrap();
    bundle.vae.encode(&part(0, 5), &mut state).unwrap();
    let kept = state.try_clone().unwrap();
    let first = bundle.vae.encode(&part(5, 4), &mut state).unwrap();
    let mut again = kept;
    let second = bundle.vae.encode(&part(5, 4), &mut again).unwrap();
    assert_eq!(first, second);
}

#[test]
fn what_is_broken_is_named() {
    let scratch = tempfile::tempdir().unwrap();
    let place = |name: &str| scratch.path().join(name);
    let checkpoint = std::fs::read(folder("wan21").join("Wan2.1_VAE.pth")).unwrap();
    // Cut off anywhere: an error, whatever it is, and no panic.
    for part in 1..40 {
        let path = place("cut.pth");
        std::fs::write(&path, &checkpoint[..checkpoint.len() * part / 40]).unwrap();
        assert!(open(&path).is_err(), "{part}");
    }
    // Damaged in the list of tensors.
    let list = checkpoint
        .windows(b"encoder.conv1.weight".len())
        .position(|window| window == b"encoder.conv1.weight")
        .unwrap();
    for at in (list..list + 2000).step_by(7) {
        let mut bytes = checkpoint.clone();
        bytes[at] ^= 0x55;
        let path = place("damaged.pth");
        std::fs::write(&path, &bytes).unwrap();
        assert!(open(&path).is_err(), "{at}");
    }
    assert!(open(place("missing.pth")).is_err());

    // A folder without its weights, of another class, and with tensors of another shape.
    let source = folder("wan21").join("diffusers");
    let config = std::fs::read_to_string(source.join("config.json")).unwrap();
    let weights = source.join("diffusion_pytorch_model.safetensors");
    assert!(refusal(scratch.path()).contains("config.json"));
    std::fs::write(place("config.json"), &config).unwrap();
    assert!(open(scratch.path()).is_err());
    std::fs::copy(&weights, place("diffusion_pytorch_model.safetensors")).unwrap();
    open(scratch.path()).unwrap();
    std::fs::write(
        place("config.json"),
        config.replace("AutoencoderKLWan", "AutoencoderKL"),
    )
    .unwrap();
    assert!(refusal(scratch.path()).contains("AutoencoderKLWan"));
    std::fs::write(
        place("config.json"),
        config.replace("\"base_dim\": 4", "\"base_dim\": 6"),
    )
    .unwrap();
    let reason = refusal(scratch.path());
    for part in ["decoder.conv_in.weight", "must be [24, 16, 3, 3, 3]", "more"] {
        assert!(reason.contains(part), "{part:?} is not in: {reason}");
    }
    std::fs::write(
        place("config.json"),
        config.replace("\"num_res_blocks\": 2", "\"num_res_blocks\": 1"),
    )
    .unwrap();
    assert!(refusal(scratch.path()).contains("is not known"));
}

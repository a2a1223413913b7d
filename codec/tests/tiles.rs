//! Frames in tiles against whole frames.

// Helpers of tests fail by panicking, as tests do.
#![allow(clippy::unwrap_used)]

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use latentbit_codec::pipeline::{self, Geometry, MemoryPlan, Options, TileStates, Work};
use latentbit_codec::vae::{DecoderState, EncoderState, Group, TiledState, Tiling};
use latentbit_codec::{Bundle, Dtype, Frame, Volume};
use safetensors::SafeTensors;
use serde_json::{Value, json};

fn path() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../testdata/golden/vae-tiny.safetensors")
}

/// A VAE of every mechanism.
fn with_attention() -> Bundle {
    Bundle::open(path(), &latentbit_codec::Device::Cpu, Dtype::F32).unwrap()
}

/// The same without attention.
fn without_attention() -> Bundle {
    let bytes = std::fs::read(path()).unwrap();
    let (_, metadata) = SafeTensors::read_metadata(&bytes).unwrap();
    let mut config: Value = serde_json::from_str(&metadata.metadata().as_ref().unwrap()["config"]).unwrap();
    config["vae"]["mid_blocks"] = json!(1);
    config["vae"]["mid_attention"] = json!(false);
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let kept = tensors.tensors().into_iter();
    let kept = kept.filter(|(name, _)| !name.contains(".middle.1.") && !name.contains(".middle.2."));
    let metadata = HashMap::from([("config".to_owned(), config.to_string())]);
    let bytes = safetensors::serialize(kept, Some(metadata)).unwrap();
    Bundle::from_bytes(&bytes, &latentbit_codec::Device::Cpu, Dtype::F32).unwrap()
}

fn difference(found: &Volume, expected: &Volume) -> f32 {
    assert_eq!(found.shape(), expected.shape());
    let (found, expected) = (found.data(), expected.data());
    found
        .iter()
        .zip(expected)
        .fold(0.0f32, |most, (a, b)| most.max((a - b).abs()))
}

/// Frames (t, h, w, 3) without any two places alike.
fn frames(t: usize, h: usize, w: usize) -> Volume {
    let value = |i: usize| ((i as f32 * 0.37).sin() + (i as f32 * 0.011).cos()) * 0.5;
    let all = (0..t * h * w * 3).map(value).collect();
    Volume::new(&[t, h, w, 3], all).unwrap()
}

fn in_chunks(x: &Volume, plan: &[usize], mut run: impl FnMut(&Volume) -> Volume) -> Volume {
    let mut start = 0;
    let mut parts = Vec::new();
    for &count in plan {
        parts.push(run(&x.part(start..start + count).unwrap()));
        start += count;
    }
    Volume::concat(parts).unwrap()
}

#[test]
fn tiles_with_wide_margins_are_exact() {
    let bundle = without_attention();
    let vae = &bundle.vae;
    let [time, stride, _] = vae.strides();
    let (rows, columns) = (40, 36);
    let video = frames(1 + 3 * time, rows * stride, columns * stride);
    let plan = [1 + time, 2 * time];
    let mut state = EncoderState::default();
    let whole = in_chunks(&video, &plan, |part| vae.encode(part, &mut state).unwrap());
    let mut state = DecoderState::default();
    let back = in_chunks(&whole, &[2, 2], |part| vae.decode(part, &mut state).unwrap());
    let reach = [vae.encoder_reach().unwrap(), vae.decoder_reach().unwrap()];
    for (tiles, on_disk) in [([2, 1], false), ([2, 2], true), ([3, 2], false)] {
        let tiling = |margin| Tiling::new([rows, columns], tiles, margin, false);
        assert!(
            tiling(reach[0]).largest()[0] < rows,
            "tiles of whole frames prove nothing"
        );
        let mut state = TiledState::new(tiling(reach[0]), on_disk);
        for _ in 0..2 {
            state.reset();
            let latent = in_chunks(&video, &plan, |part| {
                vae.encode_tiled(part, &mut state, Group::GoesOn).unwrap()
            });
            assert!(difference(&latent, &whole) < 1e-5, "encoder, {tiles:?}");
        }
        let mut state = TiledState::new(tiling(reach[1]), on_disk);
        let found = in_chunks(&whole, &[2, 2], |part| {
            vae.decode_tiled(part, &mut state, Group::GoesOn).unwrap()
        });
        assert!(difference(&found, &back) < 1e-5, "decoder, {tiles:?}");
    }
    // A margin that is too narrow shows.
    let mut state = TiledState::new(Tiling::new([rows, columns], [2, 2], 0, false), false);
    let latent = in_chunks(&video, &plan, |part| {
        vae.encode_tiled(part, &mut state, Group::GoesOn).unwrap()
    });
    assert!(difference(&latent, &whole) > 1e-4);
}

/// What was looked at ahead is what comes then, and changes nothing of it.
#[test]
fn looking_ahead_leaves_no_trace() {
    let bundle = without_attention();
    let vae = &bundle.vae;
    let size = [24, 20];
    let len = 3 * size[0] * size[1] * vae.latent_channels();
    let values: Vec<f32> = (0..len).map(|i| (i as f32 * 0.37).sin()).collect();
    let shape = [3, size[0], size[1], vae.latent_channels()];
    let latent = Volume::new(&shape, values).unwrap();
    let part = |start| latent.part(start..start + 1).unwrap();

    let mut plain = DecoderState::default();
    let group = vae.decode(&part(2), &mut plain).unwrap();
    plain.reset();
    let expected = [0, 1, 2].map(|start| vae.decode(&part(start), &mut plain).unwrap());

    let mut state = DecoderState::default();
    let tiling = Tiling::new(size, [2, 2], vae.decoder_reach().unwrap(), false);
    let mut stores = [false, true].map(|on_disk| TiledState::new(tiling.clone(), on_disk));
    for (index, expected) in expected.iter().enumerate() {
        let now = part(index);
        let ahead = vae.decode_ahead(&now, false, &mut state).unwrap();
        assert_eq!(difference(&ahead, expected), 0.0, "step {index}");
        let ahead = vae.decode_ahead(&part(2), true, &mut state).unwrap();
        assert_eq!(difference(&ahead, &group), 0.0, "step {index}");
        let found = vae.decode(&now, &mut state).unwrap();
        assert_eq!(difference(&found, expected), 0.0, "step {index}");
        for tiles in &mut stores {
            let ahead = vae.decode_tiled_ahead(&now, false, tiles).unwrap();
            assert!(difference(&ahead, expected) < 1e-5, "step {index}, tiles");
            let ahead = vae.decode_tiled_ahead(&part(2), true, tiles).unwrap();
            assert!(difference(&ahead, &group) < 1e-5, "step {index}, tiles");
            let found = vae.decode_tiled(&now, tiles, Group::GoesOn).unwrap();
            assert!(difference(&found, expected) < 1e-5, "step {index}, tiles");
        }
    }
}

#[test]
fn attention_makes_tiles_blend() {
    let bundle = with_attention();
    assert_eq!(bundle.vae.encoder_reach(), None);
    let geometry = Geometry::new(&bundle, 512, 384);
    let whole = MemoryPlan::new(&bundle, &geometry, Work::Decode, None, None).unwrap();
    assert_eq!(whole.tiling, None);
    let limit = Some(whole.estimate * 3 / 4);
    let tight = MemoryPlan::new(&bundle, &geometry, Work::Decode, None, limit).unwrap();
    assert!(tight.tiling.unwrap().blends() && tight.estimate <= whole.estimate * 3 / 4);
    let none = MemoryPlan::new(&bundle, &geometry, Work::Decode, None, Some(1000)).unwrap_err();
    assert!(none.to_string().contains("smallest tiles"), "{none}");
}

#[test]
fn pipelines_give_the_same_frames_in_tiles() {
    let bundle = Arc::new(without_attention());
    let [_, stride, _] = bundle.vae.strides();
    // Neither side is a multiple of the stride.
    let geometry = Geometry::new(&bundle, (20 * stride - 3) as u32, (24 * stride - 1) as u32);
    let tiled = |reach: Option<usize>| {
        let tiling = Tiling::new(geometry.latent_size(), [2, 2], reach.unwrap(), false);
        Some(MemoryPlan::in_tiles(tiling, TileStates::InMemory, 1))
    };
    let tiles = Options::default()
        .encoder_plan(tiled(bundle.vae.encoder_reach()))
        .decoder_plan(tiled(bundle.vae.decoder_reach()))
        .chunks_per_group(2);
    let whole = Options::default().chunks_per_group(2);
    let run = |options: &Options| -> Vec<Frame> {
        let (mut input, output) = pipeline::vae_only(&bundle, &geometry, options).unwrap();
        let pushing = std::thread::spawn(move || {
            for index in 0..75 {
                let value = |i: usize| ((i + index * 17) as f32 * 0.1).sin() * 0.5 + 0.5;
                let (width, height) = (geometry.width as usize, geometry.height as usize);
                let data = (0..width * height * 3).map(value).collect();
                input.push(&Frame { width, height, data }).unwrap();
            }
            input.flush().unwrap();
        });
        let frames = output.collect::<Result<_, _>>().unwrap();
        pushing.join().unwrap();
        frames
    };
    let (found, expected) = (run(&tiles), run(&whole));
    assert_eq!((found.len(), expected.len()), (75, 75));
    for (index, (found, expected)) in found.iter().zip(&expected).enumerate() {
        let most = found
            .data
            .iter()
            .zip(&expected.data)
            .fold(0.0f32, |most, (a, b)| most.max((a - b).abs()));
        assert!(most < 1e-5, "frame {index}: {most}");
    }
}

//! What a pipeline, tiles and the predictor make of an emulated GPU, against the CPU.

use std::sync::Arc;

use crate::kernels::cpu::tests::Random;
use crate::maskgit::{Predictor, Start, TokenWindow};
use crate::pipeline::{self, Coded, Options};
use crate::vae::{DecoderState, Group, TiledState, Tiling};
use crate::{Bundle, Device, Dtype, Error, Frame, Volume};

fn bundle(name: &str, device: &Device) -> Bundle {
    let path = format!(
        "{}/../testdata/golden/{name}.safetensors",
        env!("CARGO_MANIFEST_DIR")
    );
    Bundle::open(path, device, Dtype::F32).unwrap()
}

fn assert_close(found: &[f32], expected: &[f32]) {
    assert_eq!(found.len(), expected.len());
    let largest = expected.iter().fold(0.0f32, |m, v| m.max(v.abs()));
    let difference = found
        .iter()
        .zip(expected)
        .fold(0.0f32, |m, (a, b)| m.max((a - b).abs()));
    assert!(difference <= 1e-4 * largest, "{difference} of {largest}");
}

#[test]
fn tiles_wait_for_their_turn() {
    let [cpu, gpu] = [Device::Cpu, Device::emulated()].map(|device| bundle("vae-tiny", &device).vae);
    let latent = Random::new(3).values_f32(2 * 2 * 14 * 18 * 4);
    let parts = latent
        .chunks_exact(latent.len() / 2)
        .map(|part| Volume::new(&[2, 14, 18, 4], part.to_vec()).unwrap());
    for on_disk in [false, true] {
        let tiling = Tiling::new([14, 18], [1, 2], 2, true);
        let [mut on_cpu, mut on_gpu] = [0, 1].map(|_| TiledState::new(tiling.clone(), on_disk));
        for part in parts.clone() {
            let expected = cpu.decode_tiled(&part, &mut on_cpu, Group::GoesOn).unwrap();
            let found = gpu.decode_tiled(&part, &mut on_gpu, Group::GoesOn).unwrap();
            assert_close(found.data(), expected.data());
        }
    }
}

#[test]
fn states_have_copies_and_one_device() {
    let [cpu, gpu] = [Device::Cpu, Device::emulated()].map(|device| bundle("vae-tiny", &device).vae);
    let latent = Random::new(4).values_f32(3 * 4 * 4 * 4);
    let latent = Volume::new(&[3, 4, 4, 4], latent).unwrap();
    let part = |at: usize| latent.part(at..at + 1).unwrap();
    let mut state = DecoderState::default();
    gpu.decode(&part(0), &mut state).unwrap();
    let mut copy = state.try_clone().unwrap();
    let later = gpu.decode(&part(1), &mut state).unwrap();
    let third = gpu.decode(&part(2), &mut state).unwrap();
    // What comes later can be looked at without a trace, more than once.
    for key in [true, false] {
        let ahead = gpu.decode_ahead(&part(2), key, &mut copy).unwrap();
        assert_eq!(ahead.count(), if key { 1 } else { 4 });
    }
    assert_eq!(gpu.decode(&part(1), &mut copy).unwrap(), later);
    assert_eq!(gpu.decode(&part(2), &mut copy).unwrap(), third);
    let error = cpu.decode(&part(2), &mut state).unwrap_err();
    assert!(matches!(error, Error::Device { .. }), "{error}");
}

#[test]
fn f16_is_for_gpus() {
    let path = format!(
        "{}/../testdata/golden/vae-tiny.safetensors",
        env!("CARGO_MANIFEST_DIR")
    );
    let error = Bundle::open(&path, &Device::Cpu, Dtype::F16).unwrap_err();
    assert!(error.to_string().contains("GPUs only"), "{error}");
    Bundle::open(&path, &Device::emulated(), Dtype::F16).unwrap();
}

const WIDTH: usize = 40;
const HEIGHT: usize = 24;

/// Through a pipeline and back: tokens, and pixels.
fn there_and_back(
    bundle: &Arc<Bundle>,
    options: &Options,
    seeds: impl Iterator<Item = u64> + Send + 'static,
) -> (Vec<u64>, Vec<f32>) {
    let stream = pipeline::video_stream_for(bundle, WIDTH as u32, HEIGHT as u32).unwrap();
    let (mut input, output) = pipeline::encoder(bundle, &stream, options).unwrap();
    let pushing = std::thread::spawn(move || {
        for seed in seeds {
            let data = Random::new(seed).values_f32(WIDTH * HEIGHT * 3);
            let frame = Frame {
                width: WIDTH,
                height: HEIGHT,
                data: data.iter().map(|v| v.abs()).collect(),
            };
            input.push(&frame).unwrap();
        }
        input.flush().unwrap();
    });
    let chunks: Vec<_> = output.map(Result::unwrap).collect();
    pushing.join().unwrap();
    let (mut input, output) = pipeline::decoder(bundle, &stream, options).unwrap();
    let tokens: Vec<u64> = chunks
        .iter()
        .flat_map(|chunk| chunk.tokens.values.clone())
        .collect();
    let pushing = std::thread::spawn(move || {
        chunks
            .into_iter()
            .for_each(|chunk| input.push(Coded::Chunk(chunk)).unwrap());
        input.flush().unwrap();
    });
    let pixels: Vec<f32> = output.flat_map(|frame| frame.unwrap().frame.data).collect();
    pushing.join().unwrap();
    (tokens, pixels)
}

#[test]
fn a_pipeline_gives_what_the_cpu_gives() {
    let run = |device: Device| {
        let bundle = Arc::new(bundle("storage-int8", &device));
        there_and_back(&bundle, &Options::default(), 0..21)
    };
    let (expected, found) = (run(Device::Cpu), run(Device::emulated()));
    assert_eq!(found.1.len(), 21 * WIDTH * HEIGHT * 3);
    assert_eq!(found.0, expected.0);
    assert_close(&found.1, &expected.1);
}

#[test]
fn clips_at_once_are_what_they_are_alone() {
    let bundle = Arc::new(bundle("storage-int8", &Device::emulated()));
    let options = Options {
        threads: 1,
        chunks_per_group: 1,
        ..Options::default()
    };
    // Of different lengths, so that they do not stay in step.
    let run = |clip: u64| there_and_back(&bundle, &options, 100 * clip..100 * clip + 9 + 4 * clip);
    let alone: Vec<_> = (0..4).map(run).collect();
    let at_once: Vec<_> = std::thread::scope(|scope| {
        let run = &run;
        let clips: Vec<_> = (0..4).map(|clip| scope.spawn(move || run(clip))).collect();
        clips.into_iter().map(|clip| clip.join().unwrap()).collect()
    });
    assert!(alone == at_once);
}

#[test]
fn operators_are_timed_when_asked_to() {
    let device = Device::emulated();
    let vae = bundle("vae-tiny", &device).vae;
    let latent = Volume::new(&[1, 4, 4, 4], Random::new(8).values_f32(64)).unwrap();
    let decode = || vae.decode(&latent, &mut DecoderState::default()).unwrap();
    decode();
    let (frames, times) = device.profile(decode).unwrap();
    assert_eq!(frames, decode());
    for name in ["conv ", "finish", "fill", "unpatchify"] {
        let time = times.iter().find(|time| time.name.starts_with(name));
        assert!(
            time.is_some_and(|time| time.calls > 0 && time.seconds > 0.0),
            "{name}"
        );
    }
    let descending = times.windows(2).all(|pair| pair[0].seconds >= pair[1].seconds);
    assert!(descending);
    // Nobody looks at the clock otherwise.
    let (_, none) = device.profile(|| ()).unwrap();
    assert_eq!(none, []);
    let (_, none) = Device::Cpu.profile(|| ()).unwrap();
    assert_eq!(none, []);
}

#[test]
fn a_predictor_says_what_it_says_on_the_cpu() {
    let (h, w, steps) = (9, 7, 3);
    let path = format!(
        "{}/../testdata/golden/predictor-tiny.safetensors",
        env!("CARGO_MANIFEST_DIR")
    );
    let tokens: Vec<u64> = (0..h * w * steps)
        .map(|at| (at as u64 * 0x9e37_79b9) & 0x3ff)
        .collect();
    let known = tokens.iter().map(|token| token & 0x1f).collect();
    let starts = vec![Start::Group, Start::Inner, Start::Chunk];
    let window = TokenWindow::from_parts(h as u32, w as u32, tokens, known, starts).unwrap();
    let [expected, found] = [Device::Cpu, Device::emulated()].map(|device| {
        let predictor = Predictor::open(&path, &bundle("storage-int8", &device), Dtype::F32).unwrap();
        predictor.logits(&window).unwrap()
    });
    assert_close(&found, &expected);
}

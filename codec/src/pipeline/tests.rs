use std::path::PathBuf;

use latentbit_container::{ChunkPlan, LatentFrames, PixelFrames};

use super::*;
use crate::Dtype;
use crate::vae::{DecoderState, EncoderState, Tiling};
use crate::volume::Volume;

mod conceal;

fn bundle() -> Arc<Bundle> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../testdata/golden/storage-int8.safetensors");
    Arc::new(Bundle::open(path, &crate::Device::Cpu, Dtype::F32).unwrap())
}

const WIDTH: usize = 21;
const HEIGHT: usize = 18;

fn video(frames: usize) -> Vec<Frame> {
    let value = |t: usize, i: usize| ((i as f32 * 0.37 + t as f32 * 0.9).sin() + 1.0) / 2.0;
    let frame = |t| Frame {
        width: WIDTH,
        height: HEIGHT,
        data: (0..WIDTH * HEIGHT * 3).map(|i| value(t, i)).collect(),
    };
    (0..frames).map(frame).collect()
}

fn options(chunks_per_group: u32) -> Options {
    Options {
        threads: 2,
        chunks_per_group,
        ..Options::default()
    }
}

fn stream(bundle: &Bundle) -> VideoStream {
    video_stream_for(bundle, WIDTH as u32, HEIGHT as u32).unwrap()
}

/// Pushes from a thread of its own, pulls here.
fn run<T>(mut input: FrameInput, output: Output<T>, frames: &[Frame]) -> Vec<T> {
    std::thread::scope(|scope| {
        scope.spawn(move || {
            for frame in frames {
                input.push(frame).unwrap();
            }
            input.flush().unwrap();
        });
        output.map(Result::unwrap).collect()
    })
}

fn encode(bundle: &Arc<Bundle>, stream: &VideoStream, frames: &[Frame], group: u32) -> Vec<Chunk> {
    let (input, output) = encoder(bundle, stream, &options(group)).unwrap();
    run(input, output, frames)
}

fn decode(
    bundle: &Arc<Bundle>,
    stream: &VideoStream,
    parts: Vec<Coded>,
    kept_bits: Option<u8>,
) -> Result<Vec<Frame>> {
    let options = Options {
        kept_bits,
        ..options(0)
    };
    let decoded = decode_with(bundle, stream, parts, &options)?;
    Ok(decoded.into_iter().map(Frame::from).collect())
}

fn decode_with(
    bundle: &Arc<Bundle>,
    stream: &VideoStream,
    parts: Vec<Coded>,
    options: &Options,
) -> Result<Vec<DecodedFrame>> {
    let (mut input, output) = decoder(bundle, stream, options).unwrap();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            for part in parts {
                if input.push(part).is_err() {
                    return;
                }
            }
            let _ = input.flush();
        });
        output.collect()
    })
}

/// Where states of tiles wait, and the latent frames of a turn.
const WAYS: [(TileStates, usize); 4] = [
    (TileStates::InMemory, 1),
    (TileStates::OnDisk, 4),
    (TileStates::OnDisk, 3),
    // Nobody promises that there is one turn only.
    (TileStates::Nowhere, 4),
];

/// One tile for the whole frame.
fn one_tile(bundle: &Bundle, (states, steps): (TileStates, usize)) -> Option<MemoryPlan> {
    let latent = Geometry::new(bundle, WIDTH as u32, HEIGHT as u32).latent_size();
    Some(MemoryPlan {
        tiling: Some(Tiling::new(latent, [1, 1], 0, true)),
        states,
        steps,
        estimate: 0,
    })
}

/// In tiles, what a chunk is followed by decides what is kept of it.
#[test]
fn groups_of_any_length_give_the_same_chunks_in_a_tile() {
    let bundle = bundle();
    let stream = stream(&bundle);
    let frames = video(61);
    for group in [0, 1, 2, 3] {
        for keys in [vec![], vec![13], vec![5, 29, 30]] {
            let whole = Options {
                key_frames: KeyFrames::At(keys.iter().copied().map(PixelFrames).collect()),
                ..options(group)
            };
            let encode = |options: &Options| {
                let (input, output) = encoder(&bundle, &stream, options).unwrap();
                run(input, output, &frames)
            };
            let expected = encode(&whole);
            for way in WAYS {
                let tile = Options {
                    encoder_plan: one_tile(&bundle, way),
                    ..whole.clone()
                };
                assert_eq!(encode(&tile), expected, "{group} {keys:?} {way:?}");
            }
        }
    }
}

#[test]
fn chunks_are_those_of_the_plan() {
    let bundle = bundle();
    let stream = stream(&bundle);
    for (count, group) in [
        (1, 8),
        (2, 8),
        (5, 8),
        (13, 8),
        (14, 8),
        (33, 1),
        (33, 0),
        (46, 2),
    ] {
        let chunks = encode(&bundle, &stream, &video(count), group);
        let time = stream.strides[0];
        let plan = ChunkPlan::new(PixelFrames(count as u64), stream.chunk_latent_frames, group, time);
        let plan: Vec<_> = plan.collect();
        assert_eq!(chunks.len(), plan.len(), "{count} {group}");
        for (chunk, planned) in chunks.iter().zip(plan) {
            assert_eq!(
                (
                    chunk.sequence,
                    chunk.first_frame,
                    chunk.frame_count,
                    chunk.latent_frames,
                    chunk.key
                ),
                (
                    planned.sequence,
                    planned.first_frame,
                    planned.frames,
                    planned.latent_frames,
                    planned.key
                )
            );
            assert_eq!(chunk.tokens.grid, stream.grid(chunk.latent_frames));
            chunk.tokens.validate().unwrap();
        }
        let parts = chunks.into_iter().map(Coded::Chunk).collect();
        assert_eq!(decode(&bundle, &stream, parts, None).unwrap().len(), count);
    }
}

/// The pipeline against the networks called by hand.
#[test]
fn tokens_and_frames_are_those_of_the_networks() {
    let bundle = bundle();
    let stream = stream(&bundle);
    let frames = video(13);
    let [_, rows, columns] = bundle.vae.strides();
    let (height, width) = (HEIGHT.next_multiple_of(rows), WIDTH.next_multiple_of(columns));
    let mut pixels = Vec::new();
    for frame in &frames {
        for y in 0..height {
            for x in 0..width {
                let at = (y.min(HEIGHT - 1) * WIDTH + x.min(WIDTH - 1)) * 3;
                pixels.extend(frame.data[at..at + 3].iter().map(|v| v * 2.0 - 1.0));
            }
        }
    }
    let pixels = Volume::new(&[13, height, width, 3], pixels).unwrap();
    let latent = bundle.vae.encode(&pixels, &mut EncoderState::default()).unwrap();
    let tokenizer = bundle.tokenizer().unwrap();
    let tokens = tokenizer.encode(&latent).unwrap();

    let chunks = encode(&bundle, &stream, &frames, 8);
    assert_eq!(chunks.len(), 1);
    let same = chunks[0]
        .tokens
        .values
        .iter()
        .zip(&tokens.values)
        .filter(|(a, b)| a == b);
    // Sums in another order may turn the sign of an output near zero.
    assert!(same.count() * 100 >= tokens.values.len() * 99);

    let size = [4, height / rows, width / columns];
    let mut kept = chunks[0].tokens.clone();
    kept.truncate_bits(3);
    let latent = tokenizer.decode(&kept, size).unwrap();
    let expected = bundle.vae.decode(&latent, &mut DecoderState::default()).unwrap();
    let parts = chunks.into_iter().map(Coded::Chunk).collect();
    let found = decode(&bundle, &stream, parts, Some(3)).unwrap();
    for (t, frame) in found.iter().enumerate() {
        frame.check_size(WIDTH, HEIGHT).unwrap();
        for (i, v) in frame.data.iter().enumerate() {
            let (y, x) = (i / (WIDTH * 3), i % (WIDTH * 3));
            let wanted = expected.data()[((t * height + y) * width) * 3 + x];
            assert!((v - (wanted * 0.5 + 0.5).clamp(0.0, 1.0)).abs() < 1e-4);
        }
    }
}

#[test]
fn fewer_bits_are_the_leading_planes() {
    let bundle = bundle();
    let full = stream(&bundle);
    let mut few = full.clone();
    few.bits = 3;
    let frames = video(5);
    let all = encode(&bundle, &full, &frames, 8);
    let some = encode(&bundle, &few, &frames, 8);
    assert_eq!(some[0].tokens.bits, 3);
    for (a, b) in all[0].tokens.values.iter().zip(&some[0].tokens.values) {
        assert_eq!(a & 7, *b);
    }
    let parts = |chunks: Vec<Chunk>| chunks.into_iter().map(Coded::Chunk).collect();
    let trimmed = decode(&bundle, &full, parts(all), Some(3)).unwrap();
    assert_eq!(trimmed, decode(&bundle, &few, parts(some), None).unwrap());
}

#[test]
fn vae_alone_gives_every_frame() {
    let bundle = bundle();
    let stream = stream(&bundle);
    let (input, output) = vae_only(&bundle, &Geometry::from(&stream), &options(1)).unwrap();
    let frames = run(input, output, &video(30));
    assert_eq!(frames.len(), 30);
    frames.iter().for_each(|f| f.check_size(WIDTH, HEIGHT).unwrap());
}

#[test]
fn bad_chunks_are_named() {
    let bundle = bundle();
    let stream = stream(&bundle);
    let good = encode(&bundle, &stream, &video(5), 8);
    let mut chunk = good[0].clone();
    chunk.tokens.grid.w += 1;
    let error = decode(&bundle, &stream, vec![Coded::Chunk(chunk)], None).unwrap_err();
    assert!(matches!(error, Error::Chunk { sequence: 0, .. }), "{error}");
    let mut chunk = good[0].clone();
    chunk.latent_frames = LatentFrames(3);
    assert!(matches!(
        decode(&bundle, &stream, vec![Coded::Chunk(chunk)], None),
        Err(Error::Chunk { .. })
    ));
    let mut chunk = good[0].clone();
    chunk.frame_count = PixelFrames(6);
    let error = decode(&bundle, &stream, vec![Coded::Chunk(chunk)], None).unwrap_err();
    assert!(matches!(error, Error::Chunk { .. }), "{error}");
}

#[test]
fn other_bundles_are_refused() {
    let bundle = bundle();
    let mut other = stream(&bundle);
    other.bundle.sha256[0] ^= 1;
    let error = decoder(&bundle, &other, &options(0)).err().unwrap();
    assert!(matches!(error, Error::WrongBundle { .. }), "{error}");
    let mut other = stream(&bundle);
    other.strides[1] *= 2;
    let error = encoder(&bundle, &other, &options(0)).err().unwrap();
    assert!(matches!(error, Error::Parameter { .. }), "{error}");
}

#[test]
fn halves_may_be_dropped() {
    let bundle = bundle();
    let stream = stream(&bundle);
    let frames = video(60);
    // Nobody pulls: pushing ends with an error instead of waiting for ever.
    let (mut input, output) = encoder(&bundle, &stream, &options(1)).unwrap();
    drop(output);
    let result: Result<()> = frames
        .iter()
        .cycle()
        .take(500)
        .try_for_each(|frame| input.push(frame));
    assert!(matches!(result, Err(Error::Closed)));
    // Nobody flushes: the output does not look complete.
    let (mut input, mut output) = encoder(&bundle, &stream, &options(1)).unwrap();
    input.push(&frames[0]).unwrap();
    drop(input);
    assert!(matches!(output.pull(), Err(Error::Stopped)));
    assert!(matches!(output.pull(), Ok(None)));
    // Nothing was pushed.
    let (input, mut output) = encoder(&bundle, &stream, &options(1)).unwrap();
    input.flush().unwrap();
    assert!(matches!(output.pull(), Ok(None)));
    let (mut input, _output) = encoder(&bundle, &stream, &options(1)).unwrap();
    let small = Frame {
        width: WIDTH - 1,
        ..frames[0].clone()
    };
    assert!(matches!(input.push(&small), Err(Error::Shape { .. })));
}

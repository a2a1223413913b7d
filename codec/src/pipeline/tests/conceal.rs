//! What comes out of a decoder where chunks are lost.

use std::time::Duration;

use super::*;
use crate::maskgit::{FillOptions, Predictor};

/// 61 frames in groups of two chunks: 13, 16, 13, 16 and 3 frames.
struct Clip {
    bundle: Arc<Bundle>,
    stream: VideoStream,
    chunks: Vec<Chunk>,
    whole: Vec<Frame>,
}

impl Clip {
    fn new() -> Self {
        let bundle = bundle();
        let stream = stream(&bundle);
        let chunks = encode(&bundle, &stream, &video(61), 2);
        let parts = chunks.iter().cloned().map(Coded::Chunk).collect();
        let whole = decode(&bundle, &stream, parts, None).unwrap();
        Self {
            bundle,
            stream,
            chunks,
            whole,
        }
    }

    /// The chunks without those that are lost.
    fn parts(&self, lost: &[usize]) -> Vec<Coded> {
        let part = |(number, chunk): (usize, &Chunk)| match lost.contains(&number) {
            false => Coded::Chunk(chunk.clone()),
            true => Coded::Lost {
                chunks: chunk.sequence..chunk.sequence + 1,
                frames: chunk.first_frame.0..chunk.first_frame.0 + chunk.frame_count.0,
            },
        };
        self.chunks.iter().enumerate().map(part).collect()
    }

    fn decoded(&self, lost: &[usize], conceal: Conceal, low_delay: bool) -> Vec<DecodedFrame> {
        let options = Options {
            conceal,
            low_delay,
            ..options(0)
        };
        decode_with(&self.bundle, &self.stream, self.parts(lost), &options).unwrap()
    }

    /// Frames of a chunk.
    fn frames(&self, chunk: usize) -> Range<usize> {
        let first = self.chunks[chunk].first_frame.0 as usize;
        first..first + self.chunks[chunk].frame_count.0 as usize
    }
}

/// With a predictor of random weights.
fn maskgit() -> Conceal {
    let path =
        PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../testdata/golden/predictor-tiny.safetensors");
    Conceal::MaskGit {
        predictor: Arc::new(Predictor::open(path, &bundle(), Dtype::F32).unwrap()),
        fill: FillOptions::default(),
    }
}

fn methods() -> [Conceal; 4] {
    [Conceal::Freeze, Conceal::Blend, Conceal::Latent, maskgit()]
}

/// Whatever is lost, all frames come out in order, the intact ones are the same as without loss, and each says what it is.
#[test]
fn every_frame_comes_and_says_what_it_is() {
    let clip = Clip::new();
    assert_eq!(clip.chunks.len(), 5);
    for lost in [
        &[1][..],
        &[0],
        &[2],
        &[4],
        &[0, 1],
        &[1, 2],
        &[2, 3],
        &[3, 4],
        &[0, 2, 4],
        &[1, 2, 3, 4],
        &[0, 1, 2, 3, 4],
    ] {
        for conceal in methods() {
            for low_delay in [false, true] {
                let found = clip.decoded(lost, conceal.clone(), low_delay);
                assert_eq!(found.len(), 61, "{lost:?} {conceal:?}");
                for (index, frame) in found.iter().enumerate() {
                    assert_eq!(frame.index.0, index as u64);
                    frame.frame.check_size(WIDTH, HEIGHT).unwrap();
                }
                let mut affected = false;
                for chunk in 0..5 {
                    let is_lost = lost.contains(&chunk);
                    affected = is_lost || (affected && !clip.chunks[chunk].key);
                    for index in clip.frames(chunk) {
                        let fidelity = found[index].fidelity;
                        let fits = match (is_lost, affected) {
                            (true, _) => matches!(fidelity, Fidelity::Concealed(_)),
                            (false, true) => fidelity == Fidelity::Affected,
                            (false, false) => fidelity == Fidelity::Exact,
                        };
                        assert!(fits, "{lost:?} {conceal:?}, frame {index}: {fidelity:?}");
                        if fidelity == Fidelity::Exact {
                            assert_eq!(found[index].frame, clip.whole[index]);
                        }
                    }
                }
            }
        }
    }
}

/// With tiles the decoder looks an item ahead.
#[test]
fn a_tile_conceals_as_whole_frames_do() {
    let clip = Clip::new();
    for lost in [
        &[][..],
        &[1],
        &[0],
        &[2],
        &[4],
        &[0, 1],
        &[2, 3],
        &[0, 2, 4],
        &[0, 1, 2, 3, 4],
    ] {
        for conceal in methods() {
            let whole = Options {
                conceal,
                ..options(0)
            };
            let decoded = |options: &Options| {
                let parts = clip.parts(lost);
                decode_with(&clip.bundle, &clip.stream, parts, options).unwrap()
            };
            let expected = decoded(&whole);
            for way in WAYS {
                let tile = Options {
                    decoder_plan: one_tile(&clip.bundle, way),
                    ..whole.clone()
                };
                let found = decoded(&tile);
                assert_eq!(found.len(), expected.len());
                for (found, expected) in found.iter().zip(&expected) {
                    assert_eq!(found.fidelity, expected.fidelity, "{lost:?} {whole:?}");
                    assert_eq!(found.frame, expected.frame, "{lost:?} {whole:?}");
                }
            }
        }
    }
}

#[test]
fn off_leaves_lost_frames_out() {
    let clip = Clip::new();
    let found = clip.decoded(&[1, 4], Conceal::Off, false);
    let indices: Vec<u64> = found.iter().map(|frame| frame.index.0).collect();
    assert_eq!(indices, (0..13).chain(29..58).collect::<Vec<_>>());
    for frame in found {
        assert_eq!(frame.fidelity, Fidelity::Exact);
        assert_eq!(frame.frame, clip.whole[frame.index.0 as usize]);
    }
}

#[test]
fn freeze_holds_the_last_frame() {
    let clip = Clip::new();
    let found = clip.decoded(&[1, 2], Conceal::Freeze, false);
    for frame in &found[13..42] {
        assert_eq!(frame.frame, clip.whole[12]);
        assert_eq!(frame.fidelity, Fidelity::Concealed(Method::Freeze));
    }
    // Before the first frame there is nothing to hold.
    let found = clip.decoded(&[0], Conceal::Freeze, false);
    assert!(
        found[..13]
            .iter()
            .all(|frame| frame.frame.data.iter().all(|&v| v == 0.0))
    );
}

#[test]
fn blend_goes_from_one_frame_to_the_other() {
    let clip = Clip::new();
    let found = clip.decoded(&[1], Conceal::Blend, false);
    let (before, after) = (&clip.whole[12].data, &clip.whole[29].data);
    for (step, frame) in (1..).zip(&found[13..29]) {
        assert_eq!(frame.fidelity, Fidelity::Concealed(Method::Blend));
        for ((a, b), v) in before.iter().zip(after).zip(&frame.frame.data) {
            let expected = a + (b - a) * step as f32 / 17.0;
            assert!((v - expected).abs() < 1e-5);
        }
    }
    // With one side only it freezes.
    let end = clip.decoded(&[4], Conceal::Blend, false);
    assert!(end[58..].iter().all(|frame| frame.frame == clip.whole[57]));
    assert_eq!(
        clip.decoded(&[1], Conceal::Blend, true),
        clip.decoded(&[1], Conceal::Freeze, true)
    );
}

/// Latents that are blended pass the VAE, so what it makes of them depends on both sides.
#[test]
fn latents_come_from_both_sides() {
    let clip = Clip::new();
    let both = clip.decoded(&[1], Conceal::Latent, false);
    let past = clip.decoded(&[1], Conceal::Latent, true);
    assert_eq!(both[13].fidelity, Fidelity::Concealed(Method::Latent));
    assert_ne!(both[13..29], past[13..29]);
    // Nothing before: what comes after is all there is.
    let start = clip.decoded(&[0], Conceal::Latent, false);
    assert_eq!(start[0].fidelity, Fidelity::Concealed(Method::Latent));
    assert!(start[0].frame.data.iter().any(|&v| v > 0.0));
    // Nothing at all: black.
    let none = clip.decoded(&[0, 1, 2, 3], Conceal::Latent, true);
    assert_eq!(none[0].fidelity, Fidelity::Concealed(Method::Freeze));
}

/// Tokens that are found pass the networks as others do.
#[test]
fn tokens_are_predicted_where_there_is_something_to_go_on() {
    let clip = Clip::new();
    let both = clip.decoded(&[1], maskgit(), false);
    assert_eq!(both[13].fidelity, Fidelity::Concealed(Method::MaskGit));
    let other = clip.decoded(&[1], Conceal::Latent, false);
    assert_ne!(both[13].frame, other[13].frame);
    // A lost start is found from what comes after it; from nothing, nothing is made up.
    let start = clip.decoded(&[0], maskgit(), false);
    assert_eq!(start[0].fidelity, Fidelity::Concealed(Method::MaskGit));
    let none = clip.decoded(&[0], maskgit(), true);
    assert_eq!(none[0].fidelity, Fidelity::Concealed(Method::Freeze));
}

/// Of a chunk that lacks planes the ones that are there are kept, and the frames say that the others are made up.
#[test]
fn missing_planes_are_predicted() {
    let clip = Clip::new();
    let parts = || {
        let mut chunks = clip.chunks.clone();
        chunks[1].tokens.truncate_bits(3);
        chunks[4].tokens.truncate_bits(7);
        chunks.into_iter().map(Coded::Chunk).collect::<Vec<_>>()
    };
    let decode = |parts: Vec<Coded>, conceal: Conceal, kept_bits: Option<u8>| {
        let options = Options {
            conceal,
            kept_bits,
            ..options(0)
        };
        decode_with(&clip.bundle, &clip.stream, parts, &options).unwrap()
    };
    let made_up = Fidelity::Concealed(Method::MaskGit);
    let states = |found: &[DecodedFrame]| [0, 13, 29, 58].map(|index| found[index].fidelity);
    let coarse = decode(parts(), Conceal::Freeze, None);
    assert_eq!(states(&coarse), [Fidelity::Exact; 4]);
    let filled = decode(parts(), maskgit(), None);
    assert_eq!(
        states(&filled),
        [Fidelity::Exact, made_up, Fidelity::Exact, made_up]
    );
    assert_ne!(filled[13].frame, coarse[13].frame);
    // With the planes that are there alone, nothing was changed.
    let kept = decode(parts(), maskgit(), Some(3));
    assert_eq!(states(&kept), [Fidelity::Exact; 4]);
    assert_eq!(kept, decode(parts(), Conceal::Freeze, Some(3)));
    // A video of fewer planes that was joined to another is whole.
    let mut joined = parts();
    for part in &mut joined[2..] {
        if let Coded::Chunk(chunk) = part {
            chunk.segment = 1;
            chunk.tokens.truncate_bits(5);
        }
    }
    let found = decode(joined, maskgit(), None);
    assert_eq!(
        states(&found),
        [Fidelity::Exact, made_up, Fidelity::Exact, Fidelity::Exact]
    );
}

/// A run that is too long is frozen over, however the chunks come.
#[test]
fn long_runs_freeze() {
    let bundle = bundle();
    let stream = stream(&bundle);
    let frames = 13 + 6 * 16;
    let chunks = encode(&bundle, &stream, &video(frames), 0);
    let run = |count: u64, one_by_one: bool| {
        let mut parts: Vec<Coded> = chunks.iter().cloned().map(Coded::Chunk).collect();
        let end = 1 + count as usize;
        let lost = |chunk: &Chunk, count: u64| Coded::Lost {
            chunks: chunk.sequence..chunk.sequence + count,
            frames: chunk.first_frame.0..chunk.first_frame.0 + 16 * count,
        };
        let gap: Vec<Coded> = match one_by_one {
            true => chunks[1..end].iter().map(|chunk| lost(chunk, 1)).collect(),
            false => vec![lost(&chunks[1], count)],
        };
        parts.splice(1..end, gap);
        let options = Options {
            conceal: Conceal::Blend,
            ..options(0)
        };
        let found = decode_with(&bundle, &stream, parts, &options).unwrap();
        assert_eq!(found.len(), frames);
        found[13..13 + 16 * count as usize]
            .iter()
            .map(|frame| frame.fidelity)
            .collect::<Vec<_>>()
    };
    for one_by_one in [false, true] {
        let just = run(MAX_CONCEALED_CHUNKS, one_by_one);
        assert!(just.iter().all(|f| *f == Fidelity::Concealed(Method::Blend)));
        let over = run(MAX_CONCEALED_CHUNKS + 1, one_by_one);
        assert!(over.iter().all(|f| *f == Fidelity::Concealed(Method::Freeze)));
    }
}

/// With low delay nothing waits: frames of a lost chunk come before the chunk after it was pushed.
#[test]
fn low_delay_does_not_wait() {
    let clip = Clip::new();
    for conceal in methods() {
        let options = Options {
            conceal,
            low_delay: true,
            ..options(0)
        };
        let (mut input, mut output) = decoder(&clip.bundle, &clip.stream, &options).unwrap();
        let parts = clip.parts(&[1]);
        let (done, wait) = std::sync::mpsc::channel::<()>();
        std::thread::scope(|scope| {
            scope.spawn(move || {
                for part in parts.into_iter().take(2) {
                    input.push(part).unwrap();
                }
                // The input stays open until all frames of the lost chunk were seen.
                let _ = wait.recv_timeout(Duration::from_secs(60));
            });
            for index in 0..29 {
                assert_eq!(output.pull().unwrap().unwrap().index.0, index);
            }
            done.send(()).unwrap();
        });
    }
}

#[test]
fn two_runs_are_equal() {
    let clip = Clip::new();
    for conceal in methods() {
        let once = clip.decoded(&[1, 3], conceal.clone(), false);
        assert_eq!(once, clip.decoded(&[1, 3], conceal, false));
    }
}

use super::*;
use crate::vae::state::State;
use crate::vae::{DecoderState, EncoderState};
use crate::{Bundle, Device, Dtype, Volume};

const LATENT: [usize; 2] = [3, 4];

fn clip(shape: [usize; 4]) -> Volume {
    let values = (0..shape.iter().product::<usize>()).map(|i| (i as f32 * 0.37).sin());
    Volume::new(&shape, values.collect()).unwrap()
}

/// Bytes of a state, and of what it remembers.
fn found(mut state: State) -> (u64, u64) {
    let bytes = state.bytes() as u64;
    let saved = state.save().unwrap();
    let words = saved.kept.iter().flat_map(|(frames, _)| frames).map(Vec::len);
    (bytes, 4 * words.sum::<usize>() as u64)
}

#[test]
fn what_is_told_is_what_is_remembered() {
    for name in ["vae-tiny", "vae-tiny22", "vae-small-wan", "storage-int8"] {
        let path = format!(
            "{}/../testdata/golden/{name}.safetensors",
            env!("CARGO_MANIFEST_DIR")
        );
        let vae = Bundle::open(path, &Device::Cpu, Dtype::F32).unwrap().vae;
        let [time, rows, columns] = vae.strides();
        let [height, width] = LATENT;
        for steps in 1..=5 {
            let (mut encoder, mut decoder) = (EncoderState::default(), DecoderState::default());
            let frames = clip([1 + (steps - 1) * time, height * rows, width * columns, 3]);
            vae.encode(&frames, &mut encoder).unwrap();
            vae.decode(&clip([steps, height, width, vae.latent_channels()]), &mut decoder)
                .unwrap();
            let known = Some(LatentFrames(steps as u64));
            let sides = [
                (vae.encoder_size(LATENT, known), vae.encoder_size(LATENT, None)),
                (vae.decoder_size(LATENT, known), vae.decoder_size(LATENT, None)),
            ];
            for ((told, any), state) in sides.into_iter().zip([encoder.0, decoder.0]) {
                let (bytes, remembered) = found(state);
                assert_eq!(told.remembered, remembered, "{name}, {steps} steps");
                // What operators worked in is given back by now.
                let most = told.largest();
                assert!(
                    bytes <= most && most <= 2 * bytes,
                    "{name}, {steps} steps: {bytes} {most}"
                );
                let known = told.states.len();
                assert_eq!(
                    (known, &told.states[..]),
                    (steps.min(3), &any.states[..known]),
                    "{name}"
                );
                assert!(told.states.is_sorted(), "{name}");
                assert!(steps > 1 || told.remembered < any.remembered, "{name}");
                assert!(steps < 3 || told == any, "{name}, {steps} steps");
            }
        }
    }
}

use super::super::WanVae;
use super::super::network::Network;
use super::super::program::Values;
use super::*;
use crate::kernels::cpu::tests::Random;
use crate::kernels::{Backend, fill_patches};
use crate::{Bundle, Device, Dtype};

fn vae(name: &str) -> WanVae {
    let path = format!(
        "{}/../testdata/golden/{name}.safetensors",
        env!("CARGO_MANIFEST_DIR")
    );
    Bundle::open(path, &Device::Cpu, Dtype::F32).unwrap().vae
}

/// Three steps, the first of one frame, in turns of at most `most` frames; how many turns the last pass took besides.
fn steps(network: &Network, size: [usize; 3], inputs: &[Vec<f32>], most: usize) -> (Vec<f32>, usize) {
    let mut state = State::default();
    let (mut out, mut turns) = (Vec::new(), 0);
    for (index, values) in inputs.iter().enumerate() {
        let passes = if index == 0 {
            &network.first
        } else {
            &network.later
        };
        let input = [if index == 0 { 1 } else { size[0] }, size[1], size[2]];
        let frame = values.len() / input[0];
        let [_, height, width] = passes.output(&network.parts, input);
        let fill = |state: &mut State, frames: Range<usize>| {
            let mut operand = state.take(network.entry.slot);
            let size = [frames.len(), input[1], input[2]];
            network
                .parts
                .shape(state, network.entry.reader, &mut operand, size.into())?;
            let values = &values[frames.start * frame..frames.end * frame];
            fill_patches(network.parts.backend(), values, network.patches[0], &mut operand)?;
            state.put(network.entry.slot, operand);
            Ok(())
        };
        let emit = |state: &State, frames: Range<usize>| {
            turns += 1;
            let len = frames.len() * height * width * network.outputs;
            out.extend_from_slice(&state.streams[Values::Output as usize].first(len)?);
            Ok(())
        };
        passes
            .run(&network.parts, &mut state, input.into(), most, fill, emit)
            .unwrap();
        state.started = true;
    }
    (out, turns)
}

#[test]
fn turns_of_any_length_give_the_same_bits() {
    for name in ["vae-tiny", "vae-tiny22", "vae-small-wan", "storage-int8"] {
        let vae = vae(name);
        let ([time, rows, columns], patch) = (vae.strides(), vae.config().patch);
        let encoder = (
            &vae.encoder,
            [time, 2 * rows / patch, 3 * columns / patch],
            3 * patch * patch,
        );
        let decoder = (&vae.decoder, [1, 2, 3], vae.latent_channels());
        for (network, size, channels) in [encoder, decoder] {
            assert!(matches!(network.parts.backend(), Backend::Cpu(_)));
            let [doubles, halves] = [network.later.0.last(), network.later.0.first()]
                .map(|pass| pass.is_some_and(|pass| pass.in_turns));
            assert!(doubles != halves, "{name}");
            let doublings = if doubles { time.ilog2() as usize } else { 1 };
            assert_eq!(network.later.0.len(), 1 + doublings, "{name}");
            let mut random = Random::new(29);
            let mut input = |frames: usize| random.values_f32(frames * size[1] * size[2] * channels);
            let inputs = [input(1), input(size[0]), input(size[0])];
            let (expected, turns) = steps(network, size, &inputs, usize::MAX);
            assert_eq!(turns, 3, "{name}");
            for most in [1, 2, 3] {
                let (found, turns) = steps(network, size, &inputs, most);
                assert!(found == expected, "{name}, turns of {most}");
                if most == 1 && doubles {
                    assert_eq!(turns, 1 + 2 * time, "{name}");
                }
            }
        }
    }
}

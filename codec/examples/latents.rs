//! The networks one by one, without a pipeline: frames to latent to tokens and back. `cargo run --example latents`

use latentbit_codec::vae::{DecoderState, EncoderState};
use latentbit_codec::{Bundle, Device, Dtype, Error, Volume};

/// Frames (T, H, W, 3) in -1…1: a slow gradient.
fn frames(count: usize, height: usize, width: usize) -> Result<Volume, Error> {
    let value = |at: usize| {
        let (row, column) = (at / (width * 3) % height, at / 3 % width);
        (row + column) as f32 / (height + width) as f32 - 0.5
    };
    let data = (0..count * height * width * 3).map(value).collect();
    Volume::new(&[count, height, width, 3], data)
}

/// The shapes of frames, latent and decoded frames, the number of tokens, and how far decoded values are off on average.
fn there_and_back() -> Result<([Vec<usize>; 3], usize, f32), Error> {
    let bundle = Bundle::embedded(&Device::Cpu, Dtype::auto()?)?;
    let [time, rows, columns] = bundle.vae.strides();
    // The first latent frame of a group stands for one frame, each later one for as many as the stride.
    let frames = frames(1 + time, 4 * rows, 6 * columns)?;
    let latent = bundle.vae.encode(&frames, &mut EncoderState::default())?;

    let tokenizer = bundle.tokenizer()?;
    let tokens = tokenizer.encode(&latent)?;
    let size = [latent.shape()[0], latent.shape()[1], latent.shape()[2]];
    let again = tokenizer.decode(&tokens, size)?;

    let decoded = bundle.vae.decode(&again, &mut DecoderState::default())?;
    let pairs = frames.data().iter().zip(decoded.data());
    let error = pairs.map(|(a, b)| (a - b).abs()).sum::<f32>() / frames.data().len() as f32;
    let shapes = [&frames, &latent, &decoded].map(|volume| volume.shape().to_vec());
    Ok((shapes, tokens.values.len(), error))
}

fn main() -> Result<(), Error> {
    let ([frames, latent, decoded], tokens, error) = there_and_back()?;
    println!("frames {frames:?} are a latent {latent:?} are {tokens} tokens are frames {decoded:?}");
    println!("values are off by {error:.3} on average, of a range of 2");
    Ok(())
}

#[test]
fn frames_survive() {
    let ([frames, latent, decoded], tokens, error) = there_and_back().expect("it works");
    assert_eq!(frames, decoded);
    assert_eq!(latent[0], 2);
    assert!(tokens > 0 && error < 0.1, "{tokens} tokens, {error}");
}

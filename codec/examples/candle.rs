//! Tokens and latents as tensors of candle: `cargo run --features candle --example candle`

use std::error::Error;

use candle_core::{DType, Device as CandleDevice, Tensor};
use latentbit_codec::vae::EncoderState;
use latentbit_codec::{Bundle, Device, Dtype, Volume};

/// The latent (T', h, w, C), the tokens' bits (T, rows, columns, D) of 0 and 1, and the latent that the bits stand for.
fn tensors() -> Result<[Tensor; 3], Box<dyn Error>> {
    let bundle = Bundle::embedded(&Device::Cpu, Dtype::auto()?)?;
    let [_, rows, columns] = bundle.vae.strides();

    // From candle: frames in -1…1 of whichever type, on whichever device.
    let frames = Tensor::zeros((1, 4 * rows, 4 * columns, 3), DType::BF16, &CandleDevice::Cpu)?;
    let latent = bundle
        .vae
        .encode(&Volume::try_from(&frames)?, &mut EncoderState::default())?;

    // To candle: latents as they are, tokens bit by bit, as a model takes them that predicts bits.
    let tokenizer = bundle.tokenizer()?;
    let tokens = tokenizer.encode(&latent)?;
    let bits: Vec<u8> = tokens
        .values
        .iter()
        .flat_map(|token| (0..tokens.bits).map(move |bit| (token >> bit & 1) as u8))
        .collect();
    let grid = tokens.grid;
    let shape = (
        grid.t as usize,
        grid.h as usize,
        grid.w as usize,
        usize::from(tokens.bits),
    );
    let bits = Tensor::from_vec(bits, shape, &CandleDevice::Cpu)?;

    let size = [latent.shape()[0], latent.shape()[1], latent.shape()[2]];
    let quantized = tokenizer.decode(&tokens, size)?;
    Ok([Tensor::try_from(latent)?, bits, Tensor::try_from(quantized)?])
}

fn main() -> Result<(), Box<dyn Error>> {
    let [latent, bits, quantized] = tensors()?;
    let cost = (&latent - &quantized)?.sqr()?.mean_all()?.to_scalar::<f32>()?;
    println!("latent {:?}, bits {:?}", latent.dims(), bits.dims());
    println!("tokens cost a mean square of {cost:.3} of the latent, whose variance is about 1");
    Ok(())
}

#[test]
fn tensors_are_those_of_the_codec() {
    let [latent, bits, quantized] = tensors().expect("it works");
    assert_eq!(latent.dims(), quantized.dims());
    assert_eq!(bits.dtype(), DType::U8);
    let most = bits.max_all().and_then(|most| most.to_scalar::<u8>());
    assert_eq!(most.expect("there are bits"), 1);
}

//! The model that LatentBit ships, as the bytes of its files.
//!
//! It is a crate of its own so that the weights reach a published `latentbit-codec`, and are compiled once.
//! `latentbit_codec::Bundle::embedded` and `latentbit_codec::Predictor::embedded` read it.

/// `default.safetensors`: the bundle, a VAE and a tokenizer with a depth head.
pub static BUNDLE: &[u8] = include_bytes!("../default.safetensors");

/// `default-predictor.safetensors`: a MaskGIT predictor of the bundle's tokens.
pub static PREDICTOR: &[u8] = include_bytes!("../default-predictor.safetensors");

//! The model that LatentBit ships, as the bytes of its files.
//!
//! It is a crate of its own so that the weights reach a published `latentbit-codec`, and are compiled once.
//! `latentbit_codec::Bundle::embedded` and `latentbit_codec::Predictor::embedded` read it.

use latentbit_model_tail::TAIL;

/// The first half of `default.safetensors`.
const HEAD: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/default.part"));

/// Both halves, joined by the compiler: a program holds them once.
static JOINED: [u8; HEAD.len() + TAIL.len()] = joined();

/// `default.safetensors`: the bundle, a VAE and a tokenizer.
pub static BUNDLE: &[u8] = &JOINED;

/// `default-predictor.safetensors`: a MaskGIT predictor of the bundle's tokens.
pub static PREDICTOR: &[u8] = include_bytes!("../default-predictor.safetensors");

const fn joined<const LEN: usize>() -> [u8; LEN] {
    let mut bytes = [0; LEN];
    let (head, tail) = bytes.split_at_mut(HEAD.len());
    head.copy_from_slice(HEAD);
    tail.copy_from_slice(TAIL);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_make_the_file() {
        let file = std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/default.safetensors")).unwrap();
        assert!(BUNDLE == file, "the halves differ from default.safetensors");
        assert_eq!(HEAD.len(), file.len() / 2);
    }
}

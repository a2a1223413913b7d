//! Networks against the tensors that the training recipe's PyTorch modules gave, on a GPU. Without one these tests say so
//! and do nothing.

#![cfg(feature = "cuda")]

mod shared;

use latentbit_codec::{Device, Dtype};
use shared::networks::{self, On};

/// The first GPU, in each of these number types.
fn on(dtypes: &[Dtype]) -> Vec<On> {
    match Device::cuda(0) {
        Ok(device) => dtypes
            .iter()
            .map(|&dtype| On {
                device: device.clone(),
                ..On::of(dtype)
            })
            .collect(),
        Err(error) => {
            eprintln!("skipped, since there is no GPU to test: {error}");
            Vec::new()
        }
    }
}

const ALL: [Dtype; 3] = [Dtype::F32, Dtype::Bf16, Dtype::F16];

#[test]
fn vaes_match() {
    on(&ALL).iter().for_each(networks::vaes_match);
}

#[test]
fn vae_in_chunks_is_the_vae_in_one_piece() {
    on(&[Dtype::F32])
        .iter()
        .for_each(networks::vae_in_chunks_is_the_vae_in_one_piece);
}

#[test]
fn vae_keeps_no_more_than_its_cache() {
    on(&ALL)
        .iter()
        .for_each(networks::vae_keeps_no_more_than_its_cache);
}

#[test]
fn tokenizers_match() {
    on(&ALL).iter().for_each(networks::tokenizers_match);
}

#[test]
fn depths_match() {
    on(&ALL).iter().for_each(networks::depths_match);
}

#[test]
fn every_storage_loads() {
    on(&[Dtype::F32]).iter().for_each(networks::every_storage_loads);
}

#[test]
fn shipped_bundle_matches() {
    on(&[Dtype::F32])
        .iter()
        .for_each(networks::shipped_bundle_matches);
}

#[test]
fn shipped_bundle_in_16_bits_is_close() {
    on(&[Dtype::Bf16, Dtype::F16])
        .iter()
        .for_each(networks::shipped_bundle_is_close);
}

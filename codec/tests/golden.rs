//! Networks against the tensors that the training recipe's PyTorch modules gave, on the CPU.

mod shared;

use latentbit_codec::Dtype;
use shared::networks::{self, On};

#[test]
fn vaes_match() {
    for dtype in [Dtype::F32, Dtype::Bf16] {
        networks::vaes_match(&On::of(dtype));
    }
}

#[test]
fn vae_in_chunks_is_the_vae_in_one_piece() {
    networks::vae_in_chunks_is_the_vae_in_one_piece(&On::of(Dtype::F32));
}

#[test]
fn vae_keeps_no_more_than_its_cache() {
    networks::vae_keeps_no_more_than_its_cache(&On::of(Dtype::F32));
}

#[test]
fn vae_refuses_other_shapes() {
    networks::vae_refuses_other_shapes(&On::of(Dtype::F32));
}

#[test]
fn tokenizers_match() {
    for dtype in [Dtype::F32, Dtype::Bf16] {
        networks::tokenizers_match(&On::of(dtype));
    }
}

#[test]
fn depths_match() {
    for dtype in [Dtype::F32, Dtype::Bf16] {
        networks::depths_match(&On::of(dtype));
    }
}

#[test]
fn every_storage_loads() {
    networks::every_storage_loads(&On::of(Dtype::F32));
}

#[test]
fn shipped_bundle_matches() {
    networks::shipped_bundle_matches(&On::of(Dtype::F32));
}

#[test]
fn shipped_bundle_in_bf16_is_close() {
    networks::shipped_bundle_is_close(&On::of(Dtype::Bf16));
}

//! Whole networks against the tensors that PyTorch gave.

use crate::shared::networks::{self, On};
use crate::{Device, Dtype};

fn emulated(dtype: Dtype) -> On {
    On {
        device: Device::emulated(),
        ..On::of(dtype)
    }
}

#[test]
fn vaes_match() {
    for dtype in [Dtype::F32, Dtype::Bf16, Dtype::F16] {
        networks::vaes_match(&emulated(dtype));
    }
}

#[test]
fn vae_in_chunks_is_the_vae_in_one_piece() {
    networks::vae_in_chunks_is_the_vae_in_one_piece(&emulated(Dtype::F32));
}

#[test]
fn vae_keeps_no_more_than_its_cache() {
    networks::vae_keeps_no_more_than_its_cache(&emulated(Dtype::F32));
}

#[test]
fn vae_refuses_other_shapes() {
    networks::vae_refuses_other_shapes(&emulated(Dtype::F32));
}

#[test]
fn tokenizers_match() {
    for dtype in [Dtype::F32, Dtype::Bf16, Dtype::F16] {
        networks::tokenizers_match(&emulated(dtype));
    }
}

#[test]
fn every_storage_loads() {
    networks::every_storage_loads(&emulated(Dtype::F32));
}

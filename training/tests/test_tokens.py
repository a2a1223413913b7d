"""The cache of tokens."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import make_vae

from latentbit_training import bundle, tokens
from latentbit_training.config import BundleConfig
from latentbit_training.data import to_unit


@pytest.fixture
def model(tmp_path: Path, make_tokenizer: object) -> Path:
    """A bundle of random weights: 4 frames to a latent frame, two latent frames to a token, chunks of four."""
    assert callable(make_tokenizer)
    vae, tokenizer = make_vae("tiny"), make_tokenizer()
    path = tmp_path / "bundle.safetensors"
    bundle.save(path, BundleConfig("tiny", vae.config, tokenizer.config), vae, tokenizer, "f32")
    return path


def test_packing_is_reversible() -> None:
    bits = torch.rand(3, 5, 37) < 0.5
    packed = tokens.pack(bits)
    assert packed.dtype == np.uint64
    assert packed.shape == (3, 5)
    assert int(packed[0, 0]) == sum(1 << j for j in range(37) if bits[0, 0, j])
    assert torch.equal(tokens.unpack(packed, 37), bits.float() * 2 - 1)


def test_groups_are_whole_steps() -> None:
    # Chunks of 4 latent frames, 2 of them in a group: 29 frames.
    assert [list(g)[:1] + list(g)[-1:] for g in tokens.groups(60, 4, 4, 2)] == [[0, 28], [29, 57], [58, 58]]
    assert [len(g) for g in tokens.groups(48, 4, 4, 8)] == [45]


def test_tokens_are_those_of_the_tokenizer(cached: Path, model: Path, tmp_path: Path) -> None:
    out = tmp_path / "tokens"
    tokens.build(cached, model, out, size=32, crops=2, every=1)
    clips = tokens.load_tokens(out)
    assert len(clips) == 2
    config, vae, tokenizer = bundle.load(model)
    assert tokenizer is not None
    assert config.tokenizer is not None
    for clip in clips:
        assert clip.tokens.shape[1:] == (4, 4)
        assert len(clip.starts) == len(clip.tokens)
        assert clip.starts[0] == tokens.GROUP
        assert int(clip.tokens.max()) < 1 << config.tokenizer.bits
        assert [step for chunk in clip.chunks for step in chunk] == list(range(len(clip.starts)))
    frames = to_unit(np.random.default_rng(3).integers(0, 256, (20, 32, 32, 3), np.uint8))
    found, starts = tokens.encode(vae, tokenizer, frames, 2)
    # 17 of 20 frames are whole steps: 5 latent frames, chunks of 4 and 1, that is 2 tokens and 1 in time.
    assert starts == [tokens.GROUP, tokens.INNER, tokens.CHUNK]
    latent = vae.normalize(vae.encode(frames[None, :, :17]))
    bits, grid = tokenizer.bits(latent[:, :, :4])
    # In steps and all at once, sums are added in another order: a bit whose value is next to zero may turn.
    apart = found[:2] ^ tokens.pack(bits[0]).reshape(grid)
    turned = sum(int(token).bit_count() for token in apart.flat)
    assert turned <= 0.01 * apart.size * config.tokenizer.bits


def test_a_bundle_without_a_tokenizer_is_refused(cached: Path, tmp_path: Path) -> None:
    vae = make_vae("tiny")
    bundle.save(tmp_path / "vae.safetensors", BundleConfig("vae", vae.config), vae, None, "f32")
    with pytest.raises(ValueError, match="no tokenizer"):
        tokens.build(cached, tmp_path / "vae.safetensors", tmp_path / "out")

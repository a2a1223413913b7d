from __future__ import annotations

import pytest
import torch
from conftest import make_vae

from latentbit_training import cost
from latentbit_training.config import TOKENIZER_PRESETS, TokenizerConfig
from latentbit_training.tokenizer import Tokenizer


def test_parts_add_up() -> None:
    vae, tokenizer = make_vae("tiny"), Tokenizer(TOKENIZER_PRESETS["tiny"]())
    parts = cost.costs(vae, tokenizer, size=16, frames=13)
    assert [p.name for p in parts] == ["VAE encoder", "VAE decoder", "ViT encoder", "ViT decoder", "all"]
    assert parts[-1].weights == sum(p.numel() for m in (vae, tokenizer) for p in m.parameters())
    assert parts[-1].gflop_per_frame == pytest.approx(sum(p.gflop_per_frame for p in parts[:-1]))
    assert len(cost.costs(vae, None, size=16, frames=5)) == 3


def test_a_vit_is_counted_by_hand() -> None:
    config = TokenizerConfig(bits=8, latent_channels=4, width=32, heads=2, encoder_layers=1, decoder_layers=0,
                             mlp_ratio=2, window=None, chunk_latent_frames=1)
    vae = make_vae("tiny")
    parts = {p.name: p for p in cost.costs(vae, Tokenizer(config), size=16, frames=1)}
    tokens, width = 16, 32
    products = 4 * width + 4 * width * width + 2 * 2 * width * width + 8 * width + 2 * tokens * width
    assert parts["ViT encoder"].gflop_per_frame == pytest.approx(2 * tokens * products / 1e9)
    assert parts["ViT decoder"].gflop_per_frame == pytest.approx(2 * tokens * (8 * width + 4 * width) / 1e9)


def test_command(capsys: pytest.CaptureFixture[str]) -> None:
    torch.manual_seed(1)
    cost.main(["--vae", "tiny", "--tokenizer", "tiny", "--size", "16", "--frames", "13"])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "| part | weights | GFLOP per 16x16 frame |"
    assert len(lines) == 7

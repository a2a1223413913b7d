"""The VAE in steps is the VAE, and its work is that of the whole."""

from __future__ import annotations

import pytest
import torch
from latentbit_gpu import count
from latentbit_gpu.count import Operator, Work
from latentbit_gpu.paths import TINY
from latentbit_gpu.streaming import StreamingVae
from latentbit_training import bundle
from latentbit_training.config import VAE_PRESETS, VaeConfig, wan
from latentbit_training.cost import costs
from latentbit_training.init import init_near_linear
from latentbit_training.vae import WanVae


@pytest.mark.parametrize("config", [VAE_PRESETS["tiny"](), wan(4)], ids=["tiny", "wan"])
@pytest.mark.parametrize("pace", [1, 3])
def test_steps_are_the_whole(config: VaeConfig, pace: int) -> None:
    torch.manual_seed(1)
    vae = WanVae(config).eval().requires_grad_(False)
    init_near_linear(vae)
    video = torch.randn(1, 3, 13, 16, 24)
    latent = vae.encode(video)
    stream = StreamingVae(vae, pace)
    torch.testing.assert_close(stream.encode(video), latent, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(stream.decode(latent), vae.decode(latent), rtol=1e-4, atol=1e-5)


def test_shortcuts_are_refused() -> None:
    with pytest.raises(ValueError, match="shortcuts"):
        StreamingVae(WanVae(VAE_PRESETS["tiny22"]()))


def test_operations_are_those_of_the_training_recipes_cost() -> None:
    _, vae, tokenizer = bundle.load(TINY)
    frames = 29
    parts = {part.name: part.gflop_per_frame * 1e9 * frames for part in costs(vae, tokenizer, 32, frames)}
    found = {task: count.of_bundle(TINY, task, (32, 32), frames, torch.float32)
             for task in ("encode", "decode", "vae-encode", "vae-decode")}
    for task, name in (("vae-encode", "VAE encoder"), ("vae-decode", "VAE decoder")):
        # The recipe multiplies the zeros before the first frame too.
        assert 0.95 * parts[name] < found[task].flops <= parts[name]
    for task, name in (("encode", "ViT encoder"), ("decode", "ViT decoder")):
        tokens = found[task].flops - found[f"vae-{task}"].flops
        assert tokens == pytest.approx(parts[name], rel=0.05)
    assert sum(found["encode"].by_kind().values()) == pytest.approx(found["encode"].flops)
    half = count.of_bundle(TINY, "encode", (32, 32), frames, torch.bfloat16)
    assert half.bytes == pytest.approx(found["encode"].bytes / 2)


def test_the_floor_takes_for_each_operator_what_is_slower() -> None:
    work = Work([Operator("convolution", 100.0, 10.0), Operator("product", 10.0, 30.0)])
    assert work.floor(rate=10.0, bandwidth=2.0) == 10 + 15
    assert (work.flops, work.bytes) == (110, 40)

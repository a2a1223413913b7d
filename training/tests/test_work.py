"""What steps cost, counted on shapes: against real steps on the CPU, and by hand."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from conftest import Trained, make_vae
from torch import Tensor
from torch.profiler import ProfilerActivity, profile
from torch.utils.flop_counter import FlopCounterMode

from latentbit_training import estimate, train_tokenizer
from latentbit_training.config import TOKENIZER_PRESETS, compact, tiny
from latentbit_training.estimate import kept, state_bytes, tokenizer_memory
from latentbit_training.tokenizer import Tokenizer
from latentbit_training.vae import ResidualBlock, WanVae
from latentbit_training.work import Counted, Pace, Shape, decoder_step, peak_of, tokenizer_step

TINY = replace(TOKENIZER_PRESETS["tiny"](), latent_channels=compact().latent_channels)
SHAPES = [Shape(1, 13, 16), Shape(4, 1, 16, False, False)]


@pytest.mark.parametrize("shape", SHAPES)
def test_operations_are_those_of_a_real_step(shape: Shape) -> None:
    vae, tokenizer = make_vae("tiny"), Tokenizer(TOKENIZER_PRESETS["tiny"]())
    counter = FlopCounterMode(display=False)
    with counter:
        tokenizer_step(vae, tokenizer, shape, "cpu").backward()
    # A CPU's attention computes its scores again in the backward pass.
    found = Counted(tokenizer_step, vae.config, tokenizer.config).flops(shape)
    assert found == pytest.approx(counter.get_total_flops(), rel=0.02)


def test_what_learns_is_counted() -> None:
    """A frozen weight has no gradient of its own, and gradients that only pass cost less."""
    shape, token = Shape(1, 1, 16, False, True), TOKENIZER_PRESETS["tiny"]()
    through = Counted(tokenizer_step, tiny(), token).flops(shape)
    latents = Counted(tokenizer_step, tiny(), token).flops(shape._replace(pixels=False))
    tuned = Counted(decoder_step, tiny(), token, learns="decoder").flops(shape)
    assert through - latents < tuned


def measured(step: Callable[[], Tensor]) -> int:
    """The most bytes that a step's tensors took at once, as the allocator was asked for them."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as prof:
        step().backward()
    events = [e for e in prof.profiler.kineto_results.events() if e.name() == "[memory]"]
    now = peak = 0
    for event in sorted(events, key=lambda e: e.start_ns()):
        now += event.nbytes()
        peak = max(peak, now)
    return peak


@pytest.mark.parametrize("shape", [Shape(2, 1, 64), Shape(4, 1, 64, False, False)])
def test_memory_is_that_of_a_real_step(shape: Shape) -> None:
    vae = WanVae(compact()).requires_grad_(False)
    tokenizer = Tokenizer(TINY)
    blocks = [module for module in vae.decoder.modules() if isinstance(module, ResidualBlock)]

    def step() -> Tensor:
        return tokenizer_step(vae, tokenizer, shape, "cpu")

    found = kept(step, blocks)
    assert 0.9 < found.step(False) / measured(step) < 1.4
    vae.decoder.recompute(True)
    again = kept(step, blocks)._replace(block=found.block)
    if shape.pixels:
        assert again.saved < 0.7 * found.saved
    tokenizer.zero_grad()
    assert 0.9 < again.step(True) / measured(step) < 2


def test_memory_of_a_gpu_that_is_not_there() -> None:
    one, two = (tokenizer_memory(compact(), TINY, Shape(n, 1, 64), False) for n in (1, 2))
    assert one < two < 2 * one
    # Nothing pretended is left in the tables of positions, nor in the state of autocast.
    assert not torch.is_autocast_enabled("cuda")
    assert Tokenizer(TINY).encode(torch.zeros(1, TINY.latent_channels, 1, 8, 8))[0].isfinite().all()


def test_state_of_a_run() -> None:
    token = TOKENIZER_PRESETS["small"]()
    weights = sum(p.numel() for p in Tokenizer(token).parameters())
    vae = sum(p.numel() for p in WanVae(tiny()).parameters())
    # Weights, gradients, average, and two moments.
    assert state_bytes(tiny(), token, "adamw", 1) == 4 * (5 * weights + vae)
    assert state_bytes(tiny(), token, "muon", 1) < state_bytes(tiny(), token, "adamw", 1)
    assert state_bytes(tiny(), token, "adamw", 8) == state_bytes(tiny(), token, "adamw", 1)
    large = TOKENIZER_PRESETS["large"]()
    assert state_bytes(tiny(), large, "adamw", 8) < state_bytes(tiny(), large, "adamw", 1) / 7


def test_command(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """With figures that are easy to reckon with: 1 GB and 1 TFLOP for an image, a tenth for its latent alone; 13 frames
    take 13 times as much."""
    monkeypatch.setattr(estimate, "tokenizer_memory",
                        lambda _vae, _token, shape, _again: (2 + shape.samples * shape.frames) * 10**9)
    monkeypatch.setattr(Counted, "flops", lambda _, shape: shape.frames * 1e12 * (1 if shape.pixels else 0.1))
    monkeypatch.setattr(estimate, "state_bytes", lambda *_: 3 * 10**9)
    estimate.main(["--vae", "tiny", "--tokenizer", "tiny", "--machines", "1x20@100", "2x80@100", "1x8@100", "--fill",
                   "1", "--most", "8", "3", "--clip-share", "0.5", "--steps", "36000", "--mfu", "0.5"])
    head, _, *rows = capsys.readouterr().out.splitlines()
    assert head.endswith("| hours for 36,000 steps |")
    # 15 GB for activations: 2, and 13 for a clip; 8 images take 10. A step: (8 + 13) / 2 TFLOP; 1/5 of the steps.
    assert rows[0] == "| tiny | tiny | 1 x 20 GB | 8, 1 | 18 | 1.1, 10 | 0.59 |"
    # Of two GPUs each takes a half of the step.
    assert rows[1] == "| tiny | tiny | 2 x 80 GB | 8, 2 | 18 | 1.7, 17 | 0.48 |"
    assert rows[2] == "| tiny | tiny | 1 x 8 GB | do not fit | - | - | - |"


def test_pace(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    pace = Pace(peak=1e12)
    assert pace.told() == {}
    for _ in range(4):
        pace.begin()
        now[0] += 0.5
        pace.end(6, lambda: 1e11)
        # Nothing is trained while a checkpoint is written.
        now[0] += 10
    assert pace.told() == {"steps_per_second": 2, "samples_per_second": 12, "tflops": 0.2, "mfu": 0.2}
    assert pace.told() == {}
    pace.begin()
    now[0] += 1
    pace.end(1, None)
    assert pace.told() == {"steps_per_second": 1, "samples_per_second": 1}
    unknown = Pace(peak=None)
    unknown.begin()
    now[0] += 1
    unknown.end(1, lambda: 1e12)
    assert unknown.told() == {"steps_per_second": 1, "samples_per_second": 1}


def test_peaks_of_gpus() -> None:
    assert peak_of("NVIDIA H100 80GB HBM3") == 989e12
    assert peak_of("NVIDIA H100 PCIe") == 756e12
    assert peak_of("NVIDIA A100-SXM4-80GB") == 312e12
    assert peak_of("NVIDIA L40S") == 362e12
    # Others whose names only begin alike.
    for other in ("NVIDIA RTX A1000", "NVIDIA L40", "NVIDIA GH200 480GB"):
        assert peak_of(other) is None


def test_the_log_of_a_training(trained: Trained, tmp_path: Path) -> None:
    train_tokenizer.main([*trained.tokenizer_command, "--out", str(tmp_path), "--steps", "2", "--log-every", "2",
                          "--clip-share", "0", "--pixel-start", "1", "--peak-tflops", "0.001"])
    line = json.loads((tmp_path / "log.jsonl").read_text().splitlines()[1])
    work = Counted(tokenizer_step, tiny(), TOKENIZER_PRESETS["tiny"]()).flops(Shape(4, 1, 16, True, False))
    assert line["samples_per_second"] == pytest.approx(4 * line["steps_per_second"], rel=0.02)
    assert line["tflops"] == pytest.approx(line["steps_per_second"] * work / 1e12, rel=0.02)
    assert line["mfu"] == pytest.approx(line["tflops"] / 0.001, rel=0.02)

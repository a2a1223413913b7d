from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from latentbit_training import golden
from latentbit_training.perceptual import perceptual_loss

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Random weights in the shapes of SqueezeNet 1.1, its classifier included."""
    rng = np.random.default_rng(4)
    arrays: dict[str, np.ndarray] = {}

    def conv(name: str, cout: int, cin: int, side: int) -> None:
        std = (2 / (cin * side * side)) ** 0.5
        arrays[f"{name}.weight"] = rng.normal(0, std, (cout, cin, side, side)).astype(np.float16)
        arrays[f"{name}.bias"] = rng.normal(0, 0.1, cout).astype(np.float32)

    conv("conv1", 64, 3, 3)
    cin = 64
    for index, squeeze in enumerate((16, 16, 32, 32, 48, 48, 64, 64)):
        conv(f"fire{index + 2}.squeeze", squeeze, cin, 1)
        conv(f"fire{index + 2}.expand1", squeeze * 4, squeeze, 1)
        conv(f"fire{index + 2}.expand3", squeeze * 4, squeeze, 3)
        cin = squeeze * 8
    conv("conv10", 1000, cin, 1)
    path = tmp_path_factory.mktemp("weights") / "squeezenet.npz"
    np.savez(path, **arrays)  # type: ignore[arg-type]
    return path


@pytest.fixture(scope="module")
def distance(weights: Path) -> Callable[[Tensor, Tensor], Tensor]:
    return perceptual_loss(weights, CPU)


def test_distance(distance: Callable[[Tensor, Tensor], Tensor]) -> None:
    video = golden.frames(2, 48, 48)
    assert float(distance(video, video)) == 0.0
    slight = float(distance((video + 0.02 * torch.randn_like(video)), video))
    strong = float(distance((video + 0.3 * torch.randn_like(video)), video))
    assert 0 < slight < strong
    # Five taps, each at most 4 (unit vectors).
    assert strong < 20


def test_every_frame_counts(distance: Callable[[Tensor, Tensor], Tensor]) -> None:
    video = golden.frames(3, 48, 48)
    other = video.clone()
    other[:, :, 2] = other[:, :, 2].flip(-1)
    alone = distance(other[:, :, 2:], video[:, :, 2:])
    torch.testing.assert_close(distance(other, video), alone / 3, atol=1e-5, rtol=1e-4)


def test_gradient_flows_to_the_first_alone(distance: Callable[[Tensor, Tensor], Tensor]) -> None:
    target = golden.frames(1, 48, 48).requires_grad_()
    guess = F.avg_pool3d(target.detach(), (1, 3, 3), 1, (0, 1, 1)).requires_grad_()
    before = distance(guess, target)
    before.backward()
    assert target.grad is None
    assert guess.grad is not None
    assert guess.grad.isfinite().all()
    step = guess.detach() - 0.01 * guess.grad / guess.grad.abs().max()
    assert distance(step, target) < before


def test_weights_are_asked_for() -> None:
    with pytest.raises(SystemExit, match="--perceptual-weights"):
        perceptual_loss(None, CPU)

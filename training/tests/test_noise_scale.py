from __future__ import annotations

import pytest
import torch
from torch import nn

from latentbit_training.noise_scale import NoiseScale, square_of


def test_noise_of_known_gradients() -> None:
    """Single samples have the gradient G plus noise whose variances sum up to S; any two batch sizes find S / |G|²."""
    generator = torch.Generator().manual_seed(5)
    true = torch.randn(50, generator=generator)
    deviation = 3 * torch.rand(50, generator=generator)
    wanted = float(deviation.square().sum() / true.square().sum())
    for part, whole in ((4, 8), (1, 16)):
        scale = NoiseScale()
        for _ in range(2000):
            samples = true + deviation * torch.randn(whole, 50, generator=generator)
            few, all_ = (float(square_of([samples[:count].mean(0)])) for count in (part, whole))
            scale.take("image", part, few, whole, all_)
        assert scale.told()["image_noise_scale"] == pytest.approx(wanted, rel=0.35)


def test_kinds_are_apart_and_go_on() -> None:
    scale = NoiseScale()
    scale.take("image", 2, 3.0, 4, 2.0)
    scale.take("clip", 2, 10.0, 4, 2.0)
    # |G|² = (4·2 - 2·3) / 2 = 1, S = (3 - 2) / (1/2 - 1/4) = 4. Of clips |G|² is below zero: nothing is told.
    assert scale.told() == {"image_noise_scale": pytest.approx(4.0)}
    other = NoiseScale()
    other.state = scale.state
    for each in (scale, other):
        each.take("image", 2, 1.0, 4, 0.9)
    assert scale.told() == other.told()


def test_square_of_several_tensors() -> None:
    model = nn.Linear(3, 2)
    model(torch.ones(1, 3)).sum().backward()
    assert float(square_of([p.grad for p in model.parameters() if p.grad is not None])) == pytest.approx(8)

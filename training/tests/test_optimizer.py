from __future__ import annotations

import math
from copy import deepcopy

import pytest
import torch
from torch import nn

from latentbit_training.loop import optimizer_for
from latentbit_training.optimizer import Muon, orthogonalize


@pytest.mark.parametrize("shape", [(8, 40), (40, 8), (16, 16), (1, 5)])
def test_orthogonalize_keeps_directions_and_evens_lengths(shape: tuple[int, int]) -> None:
    matrix = torch.randn(shape)
    u, s, v = torch.linalg.svd(matrix, full_matrices=False)
    found = orthogonalize(matrix * 1e-3)
    values = torch.linalg.svdvals(found)
    assert values.min() > 0.6
    assert values.max() < 1.3
    # The same singular vectors: in their basis it is diagonal.
    inner = u.T @ found @ v.T
    assert torch.allclose(inner, torch.diag(inner.diagonal()), atol=1e-3)
    assert s.max() / s.min() >= 1


def test_the_iteration_is_that_of_the_whole_matrix() -> None:
    matrix = torch.randn(12, 70, dtype=torch.float64)
    x = matrix / matrix.norm()
    for _ in range(5):
        gram = x @ x.T
        x = 3.4445 * x + (-4.7750 * gram + 2.0315 * gram @ gram) @ x
    assert torch.allclose(orthogonalize(matrix), x, rtol=1e-6, atol=1e-9)


def test_nothing_comes_of_no_gradient() -> None:
    assert torch.equal(orthogonalize(torch.zeros(4, 6)), torch.zeros(4, 6))


def test_updates_have_the_size_of_adam() -> None:
    kernel, other, vector = (nn.Parameter(torch.zeros(*shape)) for shape in ((32, 16, 1, 3, 3), (6, 5), (9,)))
    optimizer = Muon([kernel], [other], [vector], rate=0.5, decay=0.0)
    for parameter in (kernel, other, vector):
        parameter.grad = torch.randn_like(parameter)
    optimizer.step()
    # Orthogonal rows of a 32x144 matrix: 0.2 root mean square, times the rate.
    assert kernel.detach().square().mean().sqrt() == pytest.approx(0.5 * 0.2, rel=0.2)
    # The first step of Adam is the rate, whatever the gradient.
    for parameter in (other, vector):
        assert parameter.grad is not None
        assert torch.allclose(parameter, -0.5 * parameter.grad.sign(), atol=1e-4)


def test_adam_is_that_of_torch() -> None:
    ours, theirs = nn.Parameter(torch.ones(7)), nn.Parameter(torch.ones(7))
    optimizers = (Muon([], [], [ours], rate=0.1), torch.optim.AdamW([theirs], 0.1, (0.9, 0.95), weight_decay=0.0))
    for _ in range(5):
        gradient = torch.randn(7)
        ours.grad, theirs.grad = gradient.clone(), gradient.clone()
        for optimizer in optimizers:
            optimizer.step()
    assert torch.allclose(ours, theirs, atol=1e-6)


def test_decay_and_state() -> None:
    weight = nn.Parameter(torch.ones(4, 4))
    optimizer = Muon([weight], [], [], rate=0.1, decay=0.5)
    weight.grad = torch.zeros(4, 4)
    optimizer.step()
    assert torch.allclose(weight, torch.full((4, 4), 1 - 0.05))
    weight.grad = torch.randn(4, 4)
    optimizer.step()
    copy = nn.Parameter(weight.detach().clone())
    again = Muon([copy], [], [], rate=0.1, decay=0.5)
    again.load_state_dict(deepcopy(optimizer.state_dict()))
    weight.grad = torch.randn(4, 4)
    copy.grad = weight.grad.clone()
    optimizer.step()
    again.step()
    assert torch.equal(weight, copy)


def test_a_closure_is_refused() -> None:
    with pytest.raises(ValueError, match="closure"):
        Muon([nn.Parameter(torch.ones(2, 2))], [], [], 0.1).step(lambda: 0.0)


def test_every_parameter_is_trained_once() -> None:
    model = nn.ModuleDict({"embed": nn.Linear(3, 4), "inner": nn.Linear(4, 4), "head": nn.Linear(4, 2)})
    optimizer = optimizer_for(model, 0.1)
    muon, others, vectors = optimizer.param_groups
    inner = model["inner"]
    assert isinstance(inner, nn.Linear)
    assert [p is inner.weight for p in muon["params"]] == [True]
    assert (len(others["params"]), len(vectors["params"])) == (2, 3)
    assert vectors["weight_decay"] == 0
    assert math.isclose(muon["weight_decay"], 0.01)

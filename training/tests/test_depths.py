from __future__ import annotations

import math

import pytest
import torch

from latentbit_training.depths import (
    FLOOR,
    choose,
    choose_means,
    depth_loss,
    draw_maps,
    mean_depths,
    pixel_errors,
    sample_depths,
    snapped,
    token_means,
)

CPU = torch.device("cpu")
LADDER = (0, 3, 6, 9, 12, 14)


def test_depths_of_samples() -> None:
    kept = sample_depths(4000, 10, 6, 0.5, CPU)
    share = [float((kept == k).float().mean()) for k in range(11)]
    assert share[:6] == [0.0] * 6
    # Half of the samples are whole; the others are spread evenly over 6 to 10.
    assert share[6:] == pytest.approx([0.1, 0.1, 0.1, 0.1, 0.6], abs=0.03)
    assert bool((sample_depths(50, 10, 6, 1.0, CPU) == 10).all())
    assert bool((sample_depths(50, 10, 10, 0.0, CPU) == 10).all())


def test_mean_depths_are_uniform() -> None:
    means = mean_depths(4000, 36, 2, 0.1, CPU)
    assert float((means == 36).float().mean()) == pytest.approx(0.1, abs=0.02)
    rest = means[means < 36]
    quarters = torch.histc(rest, 4, 2, 36) / len(rest)
    assert quarters.tolist() == pytest.approx([0.25] * 4, abs=0.03)


@pytest.mark.parametrize("grid", [(1, 16, 16), (4, 8, 12), (1, 1, 1)])
def test_drawn_maps_have_the_depths_of_the_ladder_and_the_mean_asked_for(grid: tuple[int, int, int]) -> None:
    means = mean_depths(300, 14, 2, 0.1, CPU)
    maps = draw_maps(means, grid, LADDER)
    assert maps.shape == (300, math.prod(grid))
    assert set(maps.flatten().tolist()) <= set(LADDER)
    # A sample of one depth alone is off by half a step at most.
    assert float((maps.float().mean(1) - means).abs().max()) <= 1.5 + 1e-3
    assert float((maps.float().mean(1) - means).mean()) == pytest.approx(0, abs=0.15)
    assert bool((maps[means == 14] == 14).all())


def test_drawn_maps_differ_within_a_sample_but_little_between_neighbours() -> None:
    maps = draw_maps(torch.full((400,), 18.0), (4, 16, 16), tuple(range(0, 37, 3))).float().view(400, 4, 16, 16)
    spread = maps.flatten(1).std(1)
    # A fifth of the samples has the same depth everywhere.
    assert float((spread == 0).float().mean()) == pytest.approx(0.2, abs=0.06)
    varied = maps[spread > 0]
    assert float(varied.flatten(1).std(1).mean()) > 5
    for axis in (1, 2, 3):
        step = varied.diff(dim=axis).square().mean().sqrt()
        # Twice the variance would be that of tokens that know nothing of each other.
        assert step < 0.8 * varied.flatten(1).var(1).mean().mul(2).sqrt(), axis
    assert not torch.equal(draw_maps(torch.full((400,), 18.0), (4, 16, 16), LADDER), maps.flatten(1))


def test_snapping() -> None:
    assert snapped(torch.tensor([0.0, 1.4, 1.6, 7.4, 13.1, 14.0]), LADDER).tolist() == [0, 0, 3, 6, 14, 14]
    whole = torch.arange(15)
    assert torch.equal(snapped(whole, tuple(range(15))), whole)


def test_choosing_is_the_lagrangian() -> None:
    errors = torch.tensor([[[8.0, 4.0, 3.5, 3.4], [1.0, 0.9, 0.8, 0.7]]])
    depths = (0, 2, 4, 6)
    for price, expected in ((0.01, [6, 6]), (0.06, [4, 0]), (0.3, [2, 0]), (3.0, [0, 0])):
        assert choose(errors, depths, torch.tensor([price])).tolist() == [expected], price


def test_choosing_for_a_mean_depth() -> None:
    torch.manual_seed(3)
    # Errors that fall geometrically, each token's from its own height.
    heights = torch.randn(5, 400, 1).exp()
    errors = heights * 0.8 ** torch.tensor(LADDER)
    means = torch.tensor([2.0, 5.0, 8.0, 11.0, 14.0])
    maps = choose_means(errors, LADDER, means)
    found = maps.float().mean(1)
    assert bool((found <= means + 1e-6).all())
    torch.testing.assert_close(found, means, atol=0.1, rtol=0)
    for row in range(4):
        spent = torch.stack([errors[row, :, k].mean() for k in range(len(LADDER))])
        mine = errors[row].gather(1, torch.searchsorted(torch.tensor(LADDER), maps[row])[:, None]).mean()
        # Never worse than the mixture of two uniform depths that costs as much.
        place = int(torch.searchsorted(torch.tensor(LADDER, dtype=torch.float), found[row]))
        low, high = LADDER[max(place - 1, 0)], LADDER[place]
        part = (found[row] - low) / max(high - low, 1)
        assert mine < spent[max(place - 1, 0)] * (1 - part) + spent[place] * part
        # Where there is more to lose there are more planes.
        order = heights[row, :, 0].argsort()
        assert maps[row][order[-100:]].float().mean() > maps[row][order[:100]].float().mean()


def test_pixel_errors_are_those_of_a_latent_position() -> None:
    video = torch.zeros(2, 3, 9, 16, 24)
    output = video.clone()
    output[1, :, 5:9, 8:16, 0:8] = 2.0  # the third latent frame, row 1, column 0
    output[0, :, 0, 0:8, 16:24] = 1.0
    found = pixel_errors(output, video, (4, 8, 8))
    assert found.shape == (2, 1, 3, 2, 3)
    assert found[1, 0, 2, 1, 0] == 4
    assert found[0, 0, 0, 0, 2] == 1
    assert found.sum() == 5
    assert torch.equal(pixel_errors(output[:, :, :1], video[:, :, :1], (4, 8, 8)), found[:, :, :1])


def test_token_means_leave_padding_out() -> None:
    values = torch.ones(1, 2, 3, 5, 4)
    values[0, :, 2] = 3
    means = token_means(values, (2, 2, 3))
    assert means.shape == (1, 2 * 3 * 2)
    assert means.view(2, 3, 2).unique(dim=1).tolist() == [[[1.0, 1.0]], [[3.0, 3.0]]]
    assert torch.equal(token_means(values, (1, 1, 1)), values[:, 0].flatten(1))


@pytest.mark.parametrize("whole", [False, True])
def test_the_drawn_depth_alone_is_learned(whole: bool) -> None:
    estimates = torch.randn(2, 3, 6, requires_grad=True)
    maps = torch.tensor([9, 14]) if whole else torch.tensor([[0, 3, 14], [6, 6, 12]])
    errors = torch.rand(2, 3)
    loss = depth_loss(estimates, maps, errors, LADDER)
    loss.backward()
    assert estimates.grad is not None
    index = torch.searchsorted(torch.tensor(LADDER), maps).view(2, -1).expand(2, 3)
    touched = estimates.grad != 0
    assert torch.equal(touched, torch.nn.functional.one_hot(index, 6).bool())
    exact = estimates.detach().clone()
    exact.scatter_(-1, index[..., None], (errors + FLOOR).log()[..., None])
    assert float(depth_loss(exact, maps, errors, LADDER)) == pytest.approx(0, abs=1e-6)

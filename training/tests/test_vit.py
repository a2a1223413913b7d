from __future__ import annotations

import itertools

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from latentbit_training.config import Kernel
from latentbit_training.vit import (
    Attention,
    Grid,
    RmsNorm,
    Vit,
    attention,
    axis_pairs,
    from_windows,
    rotary_tables,
    rotate,
    to_windows,
    window_mask,
)

CASES: list[tuple[Grid, Kernel, Kernel]] = [
    ((4, 6, 6), (2, 3, 3), (0, 0, 0)),
    ((4, 6, 6), (2, 3, 3), (1, 1, 1)),
    ((3, 5, 7), (2, 3, 3), (0, 0, 0)),
    ((3, 5, 7), (2, 3, 4), (1, 2, 3)),
    ((1, 5, 2), (1, 2, 2), (0, 1, 0)),
]


def windows_of(grid: Grid, window: Kernel, shift: Kernel) -> list[tuple[int, ...]]:
    """The window of each token, from the definition."""
    positions = itertools.product(*map(range, grid))
    return [tuple((p + w - s) // w for p, w, s in zip(at, window, shift, strict=True)) for at in positions]


def tokens(grid: Grid) -> int:
    return grid[0] * grid[1] * grid[2]


@pytest.mark.parametrize(("grid", "window", "shift"), CASES)
def test_windows_round_trip(grid: Grid, window: Kernel, shift: Kernel) -> None:
    x = torch.randn(2, tokens(grid), 3, 4)
    parts = to_windows(x, grid, window, shift)
    counts = [-(-n // w) for n, w in zip(grid, window, strict=True)]
    assert parts.shape == (2, counts[0] * counts[1] * counts[2], tokens(window), 3, 4)
    assert torch.equal(from_windows(parts, grid, window, shift), x)


def test_a_window_is_a_box() -> None:
    index = torch.arange(4 * 6 * 6)[None, :, None]
    second = to_windows(index, (4, 6, 6), (2, 3, 3), (0, 0, 0))[0, 1, :, 0]
    expected = [t * 36 + y * 6 + x for t in range(2) for y in range(3) for x in range(3, 6)]
    assert second.tolist() == expected


@pytest.mark.parametrize(("grid", "window", "shift"), CASES)
def test_window_mask_allows_exactly_the_tokens_of_a_window(grid: Grid, window: Kernel, shift: Kernel) -> None:
    region = windows_of(grid, window, shift)
    # One more than its index for a token, zero for padding.
    names = to_windows(torch.arange(tokens(grid))[None] + 1, grid, window, shift)[0]
    mask = window_mask(grid, window, shift)
    if mask is None:
        mask = torch.ones(*names.shape, names.shape[1], dtype=torch.bool)
    for slots, allowed in zip(names.tolist(), mask.tolist(), strict=True):
        for a, row in zip(slots, allowed, strict=True):
            for b, seen in zip(slots, row, strict=True):
                same = (a == 0) == (b == 0) and (a == 0 or region[a - 1] == region[b - 1])
                assert seen == same
    pairs = sum(region[a] == region[b] for a in range(tokens(grid)) for b in range(tokens(grid)))
    real = (names[:, :, None] > 0) & (names[:, None, :] > 0)
    assert int((mask & real).sum()) == pairs


def test_no_mask_where_all_windows_are_whole() -> None:
    assert window_mask((4, 6, 6), (2, 3, 3), (0, 0, 0)) is None
    assert window_mask((4, 6, 6), (2, 3, 3), (0, 1, 0)) is not None


def dense(module: Attention, x: Tensor, grid: Grid, region: list[tuple[int, ...]]) -> Tensor:
    """Attention over all tokens with a mask, head by head."""
    heads, width = module.heads, x.shape[-1]
    q, k, v = module.qkv(x).view(*x.shape[:2], 3, heads, width // heads).unbind(2)
    cos, sin = rotary_tables(grid, width // heads, module.theta)
    q, k = rotate(q, cos, sin), rotate(k, cos, sin)
    mask = torch.tensor([[a == b for b in region] for a in region])
    outputs = []
    for head in range(heads):
        scores = q[:, :, head] @ k[:, :, head].mT / (width // heads) ** 0.5
        outputs.append(scores.masked_fill(~mask, -torch.inf).softmax(-1) @ v[:, :, head])
    return module.proj(torch.cat(outputs, dim=-1))


@pytest.mark.parametrize(("grid", "window", "shift"), CASES)
@torch.no_grad()
def test_windowed_attention_is_masked_attention(grid: Grid, window: Kernel, shift: Kernel) -> None:
    module = Attention(24, 2, window, shift, 100.0)
    x = torch.randn(2, tokens(grid), 24)
    torch.testing.assert_close(
        module(x, grid), dense(module, x, grid, windows_of(grid, window, shift)), atol=1e-5, rtol=1e-5
    )


@torch.no_grad()
def test_one_window_over_all_is_full_attention() -> None:
    grid = (2, 3, 4)
    x = torch.randn(1, tokens(grid), 24)
    windowed, full = Attention(24, 2, (4, 8, 8), (2, 4, 4), 100.0), Attention(24, 2, None, (0, 0, 0), 100.0)
    full.load_state_dict(windowed.state_dict())
    torch.testing.assert_close(windowed(x, grid), full(x, grid))
    everything: list[tuple[int, ...]] = [(0, 0, 0)] * tokens(grid)
    torch.testing.assert_close(full(x, grid), dense(full, x, grid, everything), atol=1e-5, rtol=1e-5)


def test_windows_are_a_batch() -> None:
    q, k, v = torch.randn(3, 2, 5, 4, 6, 8)
    mask = torch.rand(1, 5, 1, 6, 6) < 0.8
    mask |= torch.eye(6, dtype=torch.bool)
    for given in (None, mask):
        plain = F.scaled_dot_product_attention(q, k, v, attn_mask=given)
        torch.testing.assert_close(attention(q, k, v, given), plain)


def test_axis_pairs() -> None:
    assert axis_pairs(64) == (8, 12, 12)
    assert all(sum(axis_pairs(d)) == d // 2 for d in range(2, 130, 2))


def test_rotation_keeps_lengths_and_depends_on_offsets_alone() -> None:
    grid, width = (4, 5, 6), 16
    cos, sin = rotary_tables(grid, width, 100.0)
    q = torch.randn(width).expand(1, tokens(grid), 1, width)
    k = torch.randn(width).expand(1, tokens(grid), 1, width)
    rq, rk = (rotate(v, cos, sin)[0, :, 0].view(*grid, width) for v in (q, k))
    torch.testing.assert_close(rq.norm(dim=-1), q[0, :, 0].norm(dim=-1).view(grid))
    torch.testing.assert_close(rq[0, 0, 0], q[0, 0, 0])
    near, far = rq[0, 0, 0] @ rk[1, 2, 3], rq[2, 1, 2] @ rk[3, 3, 5]
    torch.testing.assert_close(near, far, atol=1e-4, rtol=1e-4)
    for axis in range(3):
        step = [int(a == axis) for a in range(3)]
        assert (rq[0, 0, 0] - rq[step[0], step[1], step[2]]).abs().max() > 1e-2


def test_both_ways_to_rotate_agree() -> None:
    class OnGpu(torch.Tensor):
        is_cuda = True

    x, (cos, sin) = torch.randn(2, 120, 3, 16), rotary_tables((4, 5, 6), 16, 100.0)
    elsewhere = rotate(x.as_subclass(OnGpu), cos, sin).as_subclass(torch.Tensor)
    torch.testing.assert_close(rotate(x, cos, sin), elsewhere)


def test_norm() -> None:
    x = 5 * torch.randn(3, 4, 32)
    norm = RmsNorm(32)
    torch.testing.assert_close(norm(x), F.rms_norm(x, (32,), eps=1e-6))
    assert norm(torch.zeros(1, 32)).isfinite().all()


def test_every_other_layer_is_shifted() -> None:
    vit = Vit(3, 5, 24, 2, 4, 2, (2, 3, 3), (1, 1, 1), 100.0)
    shifts = [module.shift for module in vit.modules() if isinstance(module, Attention)]
    assert shifts == [(0, 0, 0), (1, 1, 1), (0, 0, 0), (1, 1, 1)]
    assert vit(torch.randn(2, 24, 3), (2, 3, 4)).shape == (2, 24, 5)

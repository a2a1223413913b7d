from __future__ import annotations

import numpy as np
import pytest

from latentbit_training.rate import AFTER, _start, depth_costs, plane_costs

# The test vector of section 6.2 of spec/lbit-1.md: 2x6x11 tokens of 3 bits.
PACKED = (
    "000f008041f8b087f87ffeffe0ff174e0e",
    "e0830700fcf90701fe00806f60e37f0000",
    "e0ff0f9e7f1f031ffc7f001cffffef0100",
)
CODED = (15, 16, 16)


def vector() -> np.ndarray:
    planes = [np.unpackbits(np.frombuffer(bytes.fromhex(p), np.uint8), bitorder="little")[:132] for p in PACKED]
    return np.stack(planes, -1).reshape(1, 2, 6, 11, 3).astype(bool)


def test_the_model_is_that_of_the_specification() -> None:
    levels = [
        *(236, 342, 497, 720, 1042, 1506, 2168, 3108, 4427, 6249, 8714, 11955, 16062, 21025, 26695, 32768),
        *(38841, 44511, 49474, 53581, 56822, 59287, 61109, 62428, 63368, 64030, 64494, 64816, 65039, 65194, 65300),
    ]
    assert [*_start()[0], *_start()[15, 1:]] == levels
    # A state that is sure of itself goes back by some steps, one that is not changes sides.
    assert AFTER[1, 127] == 127
    assert 64 <= AFTER[0, 127] < 127
    assert AFTER[0, 64] == 63 - (AFTER[1, 63] - 64) < 64
    assert np.array_equal(AFTER[0][::-1], 127 - AFTER[1])


def test_costs_are_those_of_the_coder() -> None:
    found = plane_costs(vector())[0]
    for bits, size in zip(found, CODED, strict=True):
        # The order of tokens is another one, and a code ends with a whole byte.
        assert 0.85 * 8 * size < bits < 8 * size + 4


def test_chunks_know_nothing_of_each_other() -> None:
    rng = np.random.default_rng(1)
    bits = rng.random((3, 1, 5, 6, 4)) < 0.3
    together = plane_costs(bits)
    for n in range(3):
        assert plane_costs(bits[n : n + 1])[0] == pytest.approx(together[n])


def test_noise_costs_a_bit_and_structure_less() -> None:
    rng = np.random.default_rng(1)
    noise = plane_costs(rng.random((4, 1, 24, 24, 3)) < 0.5) / 576
    assert noise == pytest.approx(np.ones((4, 3)), abs=0.06)
    flat = plane_costs(np.zeros((1, 1, 24, 24, 3), bool)) / 576
    assert flat.max() < 0.1
    # A second step in time that repeats the first is nearly free.
    first = rng.random((1, 1, 24, 24, 12)) < 0.5
    twice = plane_costs(np.concatenate([first, first], 1)).sum() / plane_costs(first).sum()
    assert twice < 1.35


def test_absent_planes_cost_nothing() -> None:
    rng = np.random.default_rng(2)
    bits = rng.random((2, 2, 8, 8, 6)) < 0.5
    depths = rng.integers(0, 7, (2, 2, 8, 8))
    costs = plane_costs(bits, depths)
    hidden = bits.copy()
    hidden[np.arange(6) >= depths[..., None]] ^= True
    assert np.array_equal(plane_costs(hidden, depths), costs)
    present = (np.arange(6) < depths[..., None]).sum((1, 2, 3))
    assert costs == pytest.approx(present, rel=0.25)
    assert not plane_costs(bits, np.zeros_like(depths)).any()
    assert np.array_equal(plane_costs(bits, np.full_like(depths, 6)), plane_costs(bits))
    # A plane's cost is that of all planes before it together with it: later ones change nothing.
    assert plane_costs(bits[..., :4]) == pytest.approx(plane_costs(bits)[:, :4])


def test_depth_maps() -> None:
    rng = np.random.default_rng(3)
    even = np.full((1, 4, 16, 16), 7)
    assert depth_costs(even)[0] < 40
    smooth = np.broadcast_to(np.arange(16) // 3, (1, 4, 16, 16))
    noise = rng.integers(0, 13, (1, 4, 16, 16))
    tokens = noise.size
    assert depth_costs(smooth)[0] / tokens < 0.8
    # Not much more than what the symbols themselves hold.
    assert np.log2(13) * 0.95 < depth_costs(noise)[0] / tokens < np.log2(13) * 1.25
    both = depth_costs(np.concatenate([smooth, noise]))
    assert both == pytest.approx([depth_costs(smooth)[0], depth_costs(noise)[0]])

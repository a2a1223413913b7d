"""What tokens cost in a file: the adaptive model of the coder `cm`, counted in bits instead of coded.

Contexts, states, mixtures and learning are those of section 6.2 of spec/lbit-1.md, with two differences: tokens come
row by row (there a few rows are coded side by side), and the rounding of the arithmetic coder is left out. Planes that
a token does not keep cost nothing and teach nothing; as a neighbour they count as missing. Depths have an adaptive
model of their own.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import torch

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

NONE = 2
"""The bit of a neighbour that there is not."""
LIMITS = {"left": (62, 80), "above": (62, 80), "before": (60, 75, 90)}
NEAR, PAST = 972, 2048
HISTORY = 5


def _states() -> tuple[Ints, Ints]:
    """The next state (2, 128) after a 0 and after a 1."""
    q = [32768]
    while len(q) < 64:
        q.append(q[-1] - q[-1] // 16)

    def nearest(u: int) -> int:
        return min(range(64), key=lambda k: (abs(q[k] - u), k))

    after = np.zeros((2, 128), np.int64)
    for k in range(64):
        u = q[k] + (65536 - q[k]) // 16
        expected, other = min(k + 1, 63), nearest(u if u <= 32768 else 65536 - u)
        crossed = u > 32768
        # State 64 + k expects a 1, state 63 - k a 0.
        after[1, 64 + k], after[0, 63 - k] = 64 + expected, 63 - expected
        after[0, 64 + k] = 63 - other if crossed else 64 + other
        after[1, 63 - k] = 64 + other if crossed else 63 - other
    return after[0], after[1]


def _start() -> Ints:
    """(16, 16) mixtures at first."""
    levels = np.add.outer(np.arange(16), np.arange(16))
    return np.round(65536 / (1 + np.exp(-0.375 * (levels - 15)))).astype(np.int64)


AFTER = np.stack(_states())


def _moved(values: Ints, axis: int, empty: int) -> Ints:
    """Each token's neighbour, one step back along an axis of (N, T, h, w), or `empty`."""
    out = np.full_like(values, empty)
    source, target = [slice(None)] * 4, [slice(None)] * 4
    source[axis], target[axis] = slice(None, -1), slice(1, None)
    out[tuple(target)] = values[tuple(source)]
    return out


AXES = {"left": 3, "above": 2, "before": 1}


def plane_costs(bits: npt.NDArray[np.bool_], depths: Ints | None = None) -> Floats:
    """Bits that each plane costs in each of N chunks: (N, T, h, w, D) and (N, T, h, w) to (N, D).

    Chunks know nothing of each other; that they are of one shape is for the speed of it alone.
    """
    count, planes = bits.shape[0], bits.shape[-1]
    kept = np.full(bits.shape[:4], planes, np.int64) if depths is None else depths
    agree = {name: np.zeros(bits.shape[:4], np.int64) for name in AXES}
    reach = {name: _moved(kept, axis, 0) for name, axis in AXES.items()}
    near, past = np.full((count, NEAR), 64), np.full((count, PAST), 64)
    mixture = np.repeat(_start()[None], count, 0)
    history = np.zeros(bits.shape[:4], np.int64)
    costs = np.zeros((count, planes))
    for j in range(planes):
        bit = bits[..., j].astype(np.int64)
        there = kept > j
        neighbours = {name: _moved(np.where(there, bit, NONE), axis, NONE) for name, axis in AXES.items()}
        levels = {}
        for name, limits in LIMITS.items():
            # Of a shallow neighbour only the planes that it has can agree.
            seen = np.minimum(j, reach[name])
            levels[name] = sum(((seen > 0) & (agree[name] * 100 >= limit * seen)).astype(np.int64) for limit in limits)
        first = (levels["before"] * 3 + levels["left"]) * 3 + levels["above"]
        first = ((first * 3 + neighbours["before"]) * 3 + neighbours["above"]) * 3 + neighbours["left"]
        second = min(j, 63) * 32 + history
        costs[:, j] = _learn(bit, there, first, second, near, past, mixture)
        for name, value in neighbours.items():
            agree[name] += there & (value == bit)
        history = (history * 2 + bit) % 2**HISTORY
    return costs


def _learn(bit: Ints, there: npt.NDArray[np.bool_], first: Ints, second: Ints, near: Ints, past: Ints,
           mixture: Ints) -> Floats:
    """Goes through the tokens of one plane of all chunks; changes the states and returns the cost in each chunk."""
    count = len(bit)
    # One row for each token, so that a step reads what lies together.
    rows = [np.ascontiguousarray(x.reshape(count, -1).T) for x in (bit, there, first, second)]
    every, whole = np.arange(count), bool(there.all())
    chance = np.full((rows[0].shape[0], count), 65536, np.int64)
    for place, (b, t, f, s) in enumerate(zip(*rows, strict=True)):
        who = every if whole else np.flatnonzero(t)
        if not whole:
            b, f, s = b[who], f[who], s[who]
        x, y = near[who, f], past[who, s]
        i, k = x >> 3, y >> 3
        m = mixture[who, i, k]
        chance[place, who] = np.where(b, m, 65536 - m)
        mixture[who, i, k] = m - (m >> 6) + 1023 * b
        near[who, f], past[who, s] = AFTER[b, x], AFTER[b, y]
    costs: Floats = -np.log2(chance / 65536).sum(0)
    return costs


def _adaptive(zeros: Floats, ones: Floats) -> Floats:
    """Bits of an adaptive code (Krichevsky-Trofimov) for so many zeros and ones of one context, in any order."""
    n0, n1 = torch.from_numpy(zeros), torch.from_numpy(ones)
    inside = torch.lgamma(n0 + 0.5) + torch.lgamma(n1 + 0.5) - torch.lgamma(n0 + n1 + 1) - math.log(math.pi)
    costs: Floats = (-inside / math.log(2)).numpy()
    return costs


def depth_costs(index: Ints, most: int = 6) -> Floats:
    """Bits that the depth maps of N chunks cost: (N, T, h, w) places on the ladder of depths to (N,).

    The mean of the neighbours is the guess; whether it holds, on which side the truth lies and how far (in unary) are
    binary choices, whose contexts are how far the neighbours are from each other and how far one has counted.
    """
    count = len(index)
    near = [_moved(index, axis, -1) for axis in AXES.values()]
    known = sum((x >= 0).astype(np.int64) for x in near)
    total = sum(np.maximum(x, 0) for x in near)
    guess = np.where(known > 0, (2 * total + known) // np.maximum(2 * known, 1), 0)
    spread = np.maximum.reduce(near) - np.minimum.reduce([np.where(x < 0, index.max() + 1, x) for x in near])
    context = np.where(known > 0, np.clip(spread, 0, 3), 4)
    rest = index - guess
    zeros, ones = np.zeros((count, 5, most + 2)), np.zeros((count, 5, most + 2))
    for c in range(5):
        here = context == c
        for place in range(most + 1):
            # Place 0: is there a difference? Place p: is it larger than p?
            asked = here & (np.abs(rest) >= place)
            yes = np.abs(rest) > place
            if place == most:
                # Beyond the last place each step asks the same again.
                zeros[:, c, place] = (asked & (np.abs(rest) >= most)).sum((1, 2, 3))
                ones[:, c, place] = (np.maximum(np.abs(rest) - most, 0) * asked).sum((1, 2, 3))
            else:
                zeros[:, c, place] = (asked & ~yes).sum((1, 2, 3))
                ones[:, c, place] = (asked & yes).sum((1, 2, 3))
        zeros[:, c, most + 1] = (here & (rest < 0)).sum((1, 2, 3))
        ones[:, c, most + 1] = (here & (rest > 0)).sum((1, 2, 3))
    return _adaptive(zeros, ones).sum((1, 2))

"""The parameter-free shortcuts of Wan 2.2 around each stage: averages on the way down, repeats on the way up.

Both treat the positions that become one (or that one becomes) as channels, ordered by (channel, time, row, column):
groups of neighbouring ones are averaged on the way down, each is repeated on the way up.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor


def averaged(x: Tensor, time: int, channels: int, space: bool, halve_time: bool) -> Tensor:
    """(B*T, C, H, W) to (B*T', channels, H', W').

    Where time is halved the first frame stays alone: a frame of zeros in front of it completes its pair.
    """
    s, step = 2 if space else 1, 2 if halve_time else 1
    x = x.unflatten(0, (-1, time))
    if time % step:
        x = F.pad(x, (0, 0, 0, 0, 0, 0, step - time % step, 0))
    b, t, c, h, w = x.shape
    x = x.reshape(b, t // step, step, c, h // s, s, w // s, s).permute(0, 1, 3, 2, 5, 7, 4, 6)
    return x.reshape(b * (t // step), channels, -1, h // s, w // s).mean(2)


def repeated(x: Tensor, time: int, channels: int, space: bool, double_time: bool) -> Tensor:
    """(B*T, C, H, W) to (B*T', channels, H', W'); where time is doubled the first frame stays one, its second half."""
    s, step = 2 if space else 1, 2 if double_time else 1
    n, c, h, w = x.shape
    x = x.repeat_interleave(channels * step * s * s // c, dim=1)
    x = x.reshape(n // time, time, channels, step, s, s, h, w).permute(0, 1, 3, 2, 6, 4, 7, 5)
    return x.reshape(n // time, time * step, channels, h * s, w * s)[:, step - 1 :].flatten(0, 1)

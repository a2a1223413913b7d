"""A seeded synthetic clip: smooth moving colours, as 8-bit RGB."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Frames = npt.NDArray[np.uint8]
WAVES = 5


def smooth_clip(frames: int, height: int, width: int, seed: int = 1) -> Frames:
    """(T, H, W, 3) bytes. A longer clip of the same size and seed starts with the shorter one."""
    rng = np.random.default_rng(seed)
    t, y, x = np.meshgrid(np.arange(frames), np.arange(height), np.arange(width), indexing="ij")
    picture = np.zeros((frames, height, width, 3))
    for channel in range(3):
        for _ in range(WAVES):
            turn_y, turn_x = rng.uniform(-0.3, 0.3, 2)
            turn_t, phase = rng.uniform(-0.6, 0.6), rng.uniform(0, 2 * np.pi)
            picture[..., channel] += np.sin(turn_y * y + turn_x * x + turn_t * t + phase)
    # The sum of five waves rarely exceeds 3; the few pixels beyond it are clamped.
    return np.clip(np.round(127.5 + 42 * picture), 0, 255).astype(np.uint8)

"""What a data set of LeRobot says of its values, for those who scale them: ``meta/stats.json``."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

QUANTILES = {"q01": 0.01, "q10": 0.1, "q50": 0.5, "q90": 0.9, "q99": 0.99}


class Stats:
    """Gathers values of features, and pictures of cameras, episode by episode."""

    def __init__(self) -> None:
        self._values: dict[str, list[npt.NDArray[np.float64]]] = {}
        # For each camera: pictures, and how often each value from 0 to 255 is in each channel of them.
        self._pictures: dict[str, tuple[int, npt.NDArray[np.int64]]] = {}

    def add(self, name: str, values: npt.NDArray[Any]) -> None:
        """Takes values (frames, or frames and more) of an episode."""
        self._values.setdefault(name, []).append(values.reshape(len(values), -1).astype(np.float64))

    def add_pictures(self, name: str, frames: npt.NDArray[np.uint8]) -> None:
        """Takes some of these frames (frames, height, width, 3), with some of their pixels, as LeRobot does."""
        wanted = min(max(min(len(frames), 100), int(len(frames) ** 0.75)), 10_000)
        count, seen = self._pictures.get(name, (0, np.zeros((3, 256), np.int64)))
        side = max(frames.shape[1:3])
        step = 1 if side < 300 else max(1, side // 150)
        for at in np.linspace(0, len(frames) - 1, wanted).round().astype(int):
            picture = frames[at, ::step, ::step]
            seen = seen + np.stack([np.bincount(picture[..., channel].ravel(), minlength=256) for channel in range(3)])
        self._pictures[name] = (count + wanted, seen)

    def to_fields(self) -> dict[str, dict[str, Any]]:
        """For each feature its ``min``, ``max``, ``mean``, ``std``, ``count`` and quantiles; pictures are 0 to 1."""
        made: dict[str, dict[str, Any]] = {}
        for name, (count, seen) in self._pictures.items():
            channels = [_of_counts(channel) for channel in seen]
            made[name] = {key: [[[channel[key]]] for channel in channels] for key in channels[0]} | {"count": [count]}
        for name, parts in self._values.items():
            values = np.concatenate(parts)
            made[name] = {
                "min": values.min(0).tolist(),
                "max": values.max(0).tolist(),
                "mean": values.mean(0).tolist(),
                "std": values.std(0).tolist(),
                **{key: np.quantile(values, part, axis=0).tolist() for key, part in QUANTILES.items()},
                "count": [len(values)],
            }
        return made


def _of_counts(seen: npt.NDArray[np.int64]) -> dict[str, float]:
    values = np.arange(256) / 255
    there = np.flatnonzero(seen)
    total = int(seen.sum())
    mean = float((values * seen).sum() / total)
    sums = np.cumsum(seen)
    return {
        "min": float(values[there[0]]),
        "max": float(values[there[-1]]),
        "mean": mean,
        "std": float(np.sqrt(((values - mean) ** 2 * seen).sum() / total)),
        **{key: float(values[np.searchsorted(sums, part * total)]) for key, part in QUANTILES.items()},
    }

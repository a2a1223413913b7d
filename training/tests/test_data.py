from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import picture

from latentbit_training import cache
from latentbit_training.data import Clip, Sampler, crop_of, load, moving, to_unit


@pytest.fixture(scope="module")
def only(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    def build(kind: str) -> Path:
        out = tmp_path_factory.mktemp(f"only-{kind}")
        cache.build(data / kind, out)
        return out

    return build


def test_a_large_collection_is_drawn_less_per_file(cached: Path) -> None:
    assert [c.weight for c in load(cached, "images")] == pytest.approx([1.0, *[3**-0.5] * 3])


def test_to_unit() -> None:
    frames = np.zeros((2, 4, 5, 3), np.uint8)
    frames[1, 2, 3] = (0, 51, 255)
    unit = to_unit(frames)
    assert unit.shape == (3, 2, 4, 5)
    assert unit[:, 1, 2, 3].tolist() == pytest.approx([-1.0, -0.6, 1.0])
    assert to_unit(frames[None]).shape == (1, 3, 2, 4, 5)


@pytest.mark.parametrize("kind", ["both", "images", "videos"])
def test_batches(kind: str, cached: Path, only: Callable[[str], Path]) -> None:
    sampler = Sampler(cached if kind == "both" else only(kind), 3)
    # The second size is larger than any of the pictures.
    small, large, clips = sampler.image_batch(5, 24), sampler.image_batch(5, 100), sampler.clip_batch(6, 5, 24)
    assert small.shape == (5, 3, 1, 24, 24)
    assert large.shape == (5, 3, 1, 100, 100)
    assert clips.shape == (6, 3, 5, 24, 24)
    for batch in (small, large, clips):
        assert batch.dtype == torch.float32
        assert batch.abs().max() <= 1.0 + 1e-6
        assert batch.std(0).mean() > 0.05


def test_the_seed_decides(cached: Path) -> None:
    def draw(seed: int) -> list[torch.Tensor]:
        sampler = Sampler(cached, seed)
        return [sampler.image_batch(4, 24), sampler.clip_batch(4, 5, 24)]

    assert all(torch.equal(a, b) for a, b in zip(draw(1), draw(1), strict=True))
    assert not any(torch.equal(a, b) for a, b in zip(draw(1), draw(2), strict=True))


def test_clips_keep_the_order_of_their_frames(cached: Path) -> None:
    clips = Sampler(cached, 5).clip_batch(40, 5, 24, synthetic=0.0)
    assert (clips == clips[:, :1, :, :1, :1]).all()
    levels = ((clips[:, 0, :, 0, 0] + 1) * 12.75).round()
    steps = levels.diff(dim=1)
    assert (steps == steps[:, :1]).all()
    # Forward or back, at the clip's own speed or twice that.
    assert set(steps[:, 0].tolist()) == {-2.0, -1.0, 1.0, 2.0}


class Scripted:
    """A generator of chosen numbers: the camera pans one pixel a frame, without zoom or turn."""

    def choice(self, values: list[float], p: list[float]) -> float:
        return 1.0

    def normal(self, size: int | None = None) -> Any:
        return 0.0 if size is None else np.array([0.0, 1.0])

    def uniform(self, low: float, high: float) -> float:
        return 1.0 if (low, high) == (0.8, 1.6) else (low + high) / 2

    def random(self) -> float:
        return 0.0


def test_synthetic_motion_pans(cached: Path) -> None:
    still = Sampler(cached, 1).pictures[-1].frames
    clip = moving(Scripted(), 5, 24, still)()  # type: ignore[arg-type]
    assert clip.shape == (3, 5, 24, 24)
    for before, after in zip(clip.unbind(1)[:-1], clip.unbind(1)[1:], strict=True):
        torch.testing.assert_close(after[..., :-1], before[..., 1:], atol=1e-4, rtol=0)
        assert (after - before).abs().mean() > 1e-3


def test_synthetic_motion_moves(cached: Path) -> None:
    rng, still = np.random.default_rng(2), Sampler(cached, 2).pictures[-1].frames
    moved = [moving(rng, 5, 24, still)().diff(dim=1).abs().mean() for _ in range(20)]
    assert sum(float(m) > 1e-3 for m in moved) >= 14
    assert max(moved) < 0.5


def test_a_crop_of_the_picture_at_half_its_size(cached: Path) -> None:
    frames = picture(48, 48, 9)[None]
    crop = crop_of(np.random.default_rng(1), frames.shape, 24, shrink_chance=1.0)(frames)
    half = np.floor(frames.reshape(24, 2, 24, 2, 3).mean((1, 3)) + 0.5)
    assert any(torch.equal(crop, to_unit(wanted[None].astype(np.uint8))) for wanted in (half, half[:, ::-1]))


def test_a_small_picture_is_enlarged(cached: Path) -> None:
    sampler = Sampler(cached, 1)
    sampler.videos, sampler.pictures = [], [Clip(picture(10, 14, 1)[None], 1.0)]
    sampler._weights["i"] = np.array([1.0])
    assert sampler.image_batch(3, 32).shape == (3, 3, 1, 32, 32)


def test_an_empty_cache_is_refused(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    cache.build(tmp_path / "data", tmp_path / "cache")
    with pytest.raises(ValueError, match="neither images nor videos"):
        Sampler(tmp_path / "cache", 1)

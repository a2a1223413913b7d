from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from borders import at_borders, mosaic, psnr, time_rows, to_and_fro
from PIL import Image


def test_pixels_at_borders() -> None:
    found = at_borders(48, 200, 0)
    # Windows of 64 pixels: borders at columns 64, 128 and 192, none across rows.
    assert found[0].nonzero()[0].tolist() == [*range(60, 68), *range(124, 132), *range(188, 196)]
    assert (found == found[0]).all()
    between = at_borders(8, 130, 16)
    assert between[0].nonzero()[0].tolist() == [*range(12, 20), *range(76, 84)]
    shifted = at_borders(40, 40, 32)
    assert shifted[:, 0].nonzero()[0].tolist() == list(range(28, 36))
    assert shifted[30].all()


def test_a_mosaic_is_full_and_repeats_for_a_seed(tmp_path: Path) -> None:
    files = []
    for index, size in enumerate([(300, 200), (60, 50)]):
        path = tmp_path / f"{index}.png"
        Image.new("RGB", size, (40 + index, 9, 9)).save(path)
        files.append(path)
    frame = mosaic(files, 333, 222, 5)
    assert frame.shape == (222, 333, 3)
    assert set(np.unique(frame[..., 0])) <= {40, 41}
    assert (frame == mosaic(files, 333, 222, 5)).all()


def test_to_and_fro() -> None:
    frames = np.arange(4)
    assert to_and_fro(frames, 9).tolist() == [0, 1, 2, 3, 2, 1, 0, 1, 2]


def test_psnr() -> None:
    assert psnr(np.full((3, 3), 255.0**2)) == pytest.approx(0)
    assert psnr(np.full((3, 3), 25.5**2)) == pytest.approx(20)


def test_rows_over_time() -> None:
    # The quality falls within each chunk and jumps back at its start.
    places = [*range(13), *list(range(16)) * 7]
    rows = time_rows([np.array([30.0 - place for place in places])])
    assert rows[0].startswith("| key chunk | 30.00 | 29.00 | 26.00 | 22.00 | 18.00 | 24.00 |")
    assert rows[7].startswith("| chunk 8 | 30.00 | 29.00 | 25.00 | 20.00 | 15.00 | 22.50 |")
    assert "1.00 dB within chunks" in rows[-1]

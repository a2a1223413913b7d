from __future__ import annotations

import math

import pytest
from curves import Point, at_rate, average, comparison, from_json, table, to_json


def point(codec: str, setting: str, bpp: float, psnr: float, ms_ssim: float | None = None) -> Point:
    return Point(codec, setting, 2, bpp, psnr, psnr / 50, ms_ssim)


POINTS = [
    point("VAE", "not quantized", 0.0, 29.0),
    point("latentbit", "24 bits", 0.2, 25.0), point("latentbit", "48 bits", 0.4, 27.0),
    point("JPEG", "quality 5", 0.1, 20.0), point("JPEG", "quality 50", 0.4, 28.0),
    point("JPEG", "quality 90", 1.6, 34.0),
]


def test_average() -> None:
    found = average("x264", "CRF 30", [0.1, 0.3], [
        {"psnr": 30.0, "ssim": 0.9, "ms_ssim": None}, {"psnr": 32.0, "ssim": 0.8, "ms_ssim": 0.9},
    ])
    assert (found.files, found.psnr, found.ms_ssim) == (2, 31.0, None)
    assert found.bpp == pytest.approx(0.2)
    assert found.ssim == pytest.approx(0.85)


def test_between_points_on_the_logarithm_of_the_rate() -> None:
    jpeg = POINTS[3:]
    assert at_rate(jpeg, 0.2) == pytest.approx(24.0)
    assert at_rate(jpeg, 0.4) == pytest.approx(28.0)
    assert at_rate(jpeg, 0.4 * math.sqrt(4)) == pytest.approx(31.0)
    assert at_rate(jpeg, 0.05) is None
    assert at_rate(jpeg, 2.0) is None
    assert at_rate(jpeg, 0.2, "ms_ssim") is None


def test_tables() -> None:
    lines = table(POINTS).splitlines()
    assert len(lines) == 2 + len(POINTS)
    assert lines[2].startswith("| VAE | not quantized | – | 29.00 |")
    assert lines[3] == "| latentbit | 24 bits | 0.2000 | 25.00 | 0.5000 | – |"
    assert comparison(POINTS).splitlines() == [
        "| at the rate of | bits per pixel | latentbit | JPEG |",
        "|---|---|---|---|",
        "| 24 bits | 0.2000 | 25.00 | 24.00 |",
        "| 48 bits | 0.4000 | 27.00 | 28.00 |",
    ]


def test_round_trip() -> None:
    assert from_json(to_json({"photos": POINTS})) == {"photos": POINTS}

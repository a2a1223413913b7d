import math

from pool import Pool


def test_psnr_adds_up_by_squared_errors() -> None:
    pool = Pool()
    pool.add(10, {"psnr": 20.0, "ssim": 0.5, "ms_ssim": 0.25})
    pool.add(30, {"psnr": 40.0, "ssim": 0.9, "ms_ssim": 0.75})
    pool.add(0, None)
    expected = -10 * math.log10((10 * 1e-2 + 30 * 1e-4) / 40)
    assert pool.frames == 40
    assert pool.columns() == [f"{expected:.2f}", "0.8000", "0.6250"]


def test_what_was_not_measured_is_a_dash() -> None:
    pool = Pool()
    assert pool.columns() == ["–", "–", "–"]
    pool.add(4, {"psnr": 30.0, "ssim": 0.5, "ms_ssim": None})
    assert pool.columns() == ["30.00", "0.5000", "–"]

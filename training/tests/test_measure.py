"""The figures of `evaluate`, and those of the command on the same files."""

from __future__ import annotations

import json
import math
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import COMMAND, Trained, picture, write_clip
from PIL import Image
from torch import Tensor

from latentbit_training import export, measure
from latentbit_training.metrics import Meter, rounded, ssim


def plain_ssim(a: np.ndarray, b: np.ndarray) -> float:
    """By its definition, window by window."""
    taps = np.exp(-(((np.arange(11) - 5) / 1.5) ** 2) / 2)
    window = np.outer(taps, taps) / taps.sum() ** 2
    values = []
    for y in range(a.shape[0] - 10):
        for x in range(a.shape[1] - 10):
            p, q = a[y : y + 11, x : x + 11], b[y : y + 11, x : x + 11]
            mp, mq = (window * p).sum(), (window * q).sum()
            vp, vq = (window * (p - mp) ** 2).sum(), (window * (q - mq) ** 2).sum()
            cov = (window * (p - mp) * (q - mq)).sum()
            values.append((2 * mp * mq + 1e-4) * (2 * cov + 9e-4) / ((mp**2 + mq**2 + 1e-4) * (vp + vq + 9e-4)))
    return float(np.mean(values))


def noise(*shape: int, seed: int = 1) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def test_ssim() -> None:
    a = noise(3, 20, 17)
    b = (a + 0.2 * noise(3, 20, 17, seed=2)).clamp(0, 1)
    wanted = np.mean([plain_ssim(x.double().numpy(), y.double().numpy()) for x, y in zip(a, b, strict=True)])
    assert ssim(a, b)[0] == pytest.approx(wanted, abs=1e-6)
    assert ssim(a, b)[1] is None
    assert ssim(a[:, :10], b[:, :10]) == (None, None)
    large = noise(3, 176, 180)
    assert list(ssim(large, large)) == pytest.approx([1, 1])
    one, several = ssim(large, (large + 0.3 * noise(3, 176, 180, seed=3)).clamp(0, 1))
    assert one is not None
    assert several is not None
    # What is fine is disturbed most.
    assert 0 < one < several < 1


def test_psnr_is_that_of_the_mean_error() -> None:
    meter = Meter()
    level = torch.zeros(3, 1, 4, 4)
    meter.add(level, level + 2 * 10 / 255)
    meter.add(level, level)
    assert meter.report == {"psnr": pytest.approx(-10 * math.log10((10 / 255) ** 2 / 2), abs=1e-6)}
    equal = Meter()
    equal.add(level, level)
    assert equal.report == {"psnr": 100.0}
    assert rounded(torch.tensor([-3.0, -1.0, 3.0])).tolist() == [0, 0, 1]


@pytest.fixture(scope="module")
def bundle(trained: Trained, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("bundle") / "tiny.safetensors"
    export.main(["--name", "tiny", "--vae", str(trained.vae / "vae.pt"), "--tokenizer",
                 str(trained.tokenizer / "tokenizer.pt"), "--storage", "f32", "--out", str(out)])
    return out


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A picture and a clip of more than a group, whose sizes fill neither latent positions nor steps."""
    folder = tmp_path_factory.mktemp("files")
    Image.fromarray(picture(45, 61, 3)).save(folder / "a.png")
    still = picture(80, 160, 2)
    write_clip(folder / "b.mkv", np.stack([still[:37, t : t + 50] for t in range(72)]))
    return folder


def test_a_folder(bundle: Path, files: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    means = measure.main([str(files), "--bundle", str(bundle), "--bits", "3", "10", "--json", str(tmp_path / "a.json")])
    assert list(means) == ["vae", "3", "10"]
    told = json.loads((tmp_path / "a.json").read_text())
    assert [Path(name).name for name in told["files"]] == ["a.png", "b.mkv"]
    psnr = [values["10"]["psnr"] for values in told["files"].values()]
    assert means["10"]["psnr"] == pytest.approx(np.mean(psnr))
    assert "| 10 bits |" in capsys.readouterr().out
    with pytest.raises(ValueError, match="neither images nor videos"):
        measure.main([str(tmp_path), "--bundle", str(bundle)])


@pytest.mark.skipif(COMMAND is None, reason="the command is not built")
@pytest.mark.parametrize("name", ["a.png", "b.mkv"])
def test_the_figures_of_the_command(bundle: Path, files: Path, tmp_path: Path, name: str) -> None:
    reference, coded = str(files / name), str(tmp_path / "a.lbit")
    options = ["--model", str(bundle), "--device", "cpu", "--dtype", "f32"]
    subprocess.run([str(COMMAND), "encode", reference, "-o", coded, "--bits", "10", "--no-scene-cuts",
                    *options], check=True)
    for bits in (4, 10):
        found = subprocess.run([str(COMMAND), "eval", reference, coded, "--bits", str(bits), "--json", *options],
                               check=True, stdout=subprocess.PIPE)
        theirs = json.loads(found.stdout)
        ours = measure.main([reference, "--bundle", str(bundle), "--bits", str(bits)])
        for kind, part in (("tokens", str(bits)), ("vae", "vae")):
            assert ours[part]["psnr"] == pytest.approx(theirs[kind]["psnr"], abs=0.01)
            assert ours[part]["ssim"] == pytest.approx(theirs[kind]["ssim"], abs=1e-3)

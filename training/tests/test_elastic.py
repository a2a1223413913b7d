from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import counting_clip, make_vae, picture, write_clip
from PIL import Image

from latentbit_training import bundle, elastic
from latentbit_training.config import BundleConfig, TokenizerConfig
from latentbit_training.evaluate import through_tokens, val_images
from latentbit_training.loop import psnr
from latentbit_training.rate import plane_costs
from latentbit_training.tokenizer import Tokenizer

Make = Callable[..., Tokenizer]


@pytest.fixture
def val(tmp_path: Path) -> Path:
    """Two pictures and a clip of two chunks."""
    folder = tmp_path / "val"
    folder.mkdir()
    for seed in (1, 2):
        Image.fromarray(picture(64, 72, seed)).save(folder / f"{seed}.png")
    write_clip(folder / "b.mkv", np.repeat(np.repeat(counting_clip(), 3, 1), 3, 2))
    return folder


def test_mean_depths_to_report_on() -> None:
    assert elastic.targets(TokenizerConfig()) == [9, 12, 18, 24, 36]
    assert elastic.targets(TokenizerConfig(bits=10, depth_step=4)) == [4, 8, 10]


def test_the_report(make_tokenizer: Make, val: Path) -> None:
    vae, tokenizer = make_vae("tiny"), make_tokenizer(depth_step=2)
    report = elastic.evaluate_elastic(vae, tokenizer, val)
    assert report["val_clips_left_out"] == 0
    means = [depth for depth in elastic.targets(tokenizer.config) if depth < 10]
    wanted = {f"val_{kind}_{name}_{mean}_{what}" for kind in ("images", "clips") for what in ("psnr", "bits")
              for name, depths in (("uniform", [*means, 10]), ("oracle", means), ("head", means)) for mean in depths}
    assert report.keys() == wanted | {"val_clips_left_out"}
    images = val_images(val, 10)
    mean = means[-1]
    latents = [vae.normalize(vae.encode(x)) for x in images]
    values = [psnr(vae.decode(vae.denormalize(through_tokens(tokenizer, z, mean))), x)
              for z, x in zip(latents, images, strict=True)]
    assert report[f"val_images_uniform_{mean}_psnr"] == pytest.approx(np.mean(values), abs=1e-3)
    bits, grid = tokenizer.bits(torch.cat(latents))
    costs = plane_costs(bits.unflatten(1, grid).numpy())[:, :mean]
    assert report[f"val_images_uniform_{mean}_bits"] == pytest.approx(costs.sum() / bits[..., 0].numel(), abs=0.01)
    printed = elastic.table(report)
    assert printed.count("\n| images |") == len(means) + 1
    assert f"| {report[f'val_clips_head_{mean}_psnr']:.2f} dB, " in printed


def test_the_oracle_gains(make_tokenizer: Make, val: Path) -> None:
    vae, tokenizer = make_vae("tiny"), make_tokenizer()
    # Half of the tokens do not change what the decoder makes, however many planes they keep: the oracle sees it.
    with torch.no_grad():
        tokenizer.decoder.embed.weight.mul_(3)
    report = elastic.evaluate_elastic(vae, tokenizer, val)
    assert "val_images_head_3_psnr" not in report
    gains = [report[f"val_images_oracle_{mean}_psnr"] - report[f"val_images_uniform_{mean}_psnr"]
             for mean in elastic.targets(tokenizer.config) if mean < 10]
    assert max(gains) > 0


def test_the_command_reads_a_bundle(
    make_tokenizer: Make, val: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    vae, tokenizer = make_vae("tiny"), make_tokenizer(depth_step=5)
    whole = tmp_path / "b.safetensors"
    bundle.save(whole, BundleConfig("b", vae.config, tokenizer.config), vae, tokenizer, "f32")
    report = elastic.main(["--bundle", str(whole), "--val", str(val), "--limit", "1"])
    assert capsys.readouterr().out.strip() == elastic.table(report)
    assert elastic.main(["--vae", str(whole), "--tokenizer", str(whole), "--val", str(val), "--limit", "1"]) == report
    with pytest.raises(SystemExit):
        elastic.main(["--val", str(val)])

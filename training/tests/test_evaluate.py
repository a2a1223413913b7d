from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import counting_clip, make_vae, picture, write_clip
from PIL import Image

from latentbit_training.data import Sampler, to_unit
from latentbit_training.evaluate import (
    evaluate_tokenizer,
    evaluate_vae,
    latent_statistics,
    through_tokens,
    val_clips,
    val_images,
)
from latentbit_training.loop import psnr
from latentbit_training.tokenizer import Tokenizer


def test_images_are_cropped_at_the_center(tmp_path: Path) -> None:
    pixels = picture(32, 50, 1)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    Image.fromarray(pixels.swapaxes(0, 1)).save(tmp_path / "b.png")
    Image.fromarray(picture(16, 20, 2)).save(tmp_path / "c.png")
    wide, tall, small = val_images(tmp_path, 10, size=32)
    assert torch.equal(wide[0], to_unit(pixels[None, :, 9:41]))
    assert torch.equal(tall, wide.mT)
    assert small.shape == (1, 3, 1, 32, 32)
    assert len(val_images(tmp_path, 1, size=32)) == 1


def test_clips_are_cropped_at_the_center_and_short_ones_left_out(tmp_path: Path) -> None:
    clip = counting_clip()
    clip[:, :, :8] = 255
    clip[:, :, -8:] = 255
    write_clip(tmp_path / "a.mkv", clip)
    write_clip(tmp_path / "short.mkv", clip[:4])
    write_clip(tmp_path / "small.mkv", clip[:, :40])
    (only,), left_out = val_clips(tmp_path, 10, size=48, frames=5)
    assert left_out == 2
    assert torch.equal(only, to_unit(counting_clip()[:5, :, :48])[None])


def test_the_report_says_how_many_clips_it_lacks(tmp_path: Path) -> None:
    vae = make_vae("tiny")
    write_clip(tmp_path / "short.mkv", counting_clip())
    assert evaluate_vae(vae, tmp_path) == {"val_clips_left_out": 1}
    write_clip(tmp_path / "whole.mkv", np.repeat(np.repeat(counting_clip(), 3, 1), 3, 2))
    report = evaluate_vae(vae, tmp_path)
    assert report.keys() == {"val_clips_left_out", "val_clips_psnr"}
    assert report["val_clips_left_out"] == 1


@pytest.mark.parametrize(("bits", "half"), [(10, 5), (7, 3), (1, 1)])
def test_the_report_has_half_of_the_bits_and_all(
    make_tokenizer: Callable[..., Tokenizer], tmp_path: Path, bits: int, half: int
) -> None:
    Image.fromarray(picture(32, 32, 1)).save(tmp_path / "a.png")
    vae, tokenizer = make_vae("tiny"), make_tokenizer(bits=bits)
    report = evaluate_tokenizer(vae, tokenizer, tmp_path)
    labels = ("vae", half, bits)
    assert report.keys() == {"val_clips_left_out"} | {f"val_images_psnr_{label}" for label in labels}
    (image,) = val_images(tmp_path, 1)
    latent = vae.normalize(vae.encode(image))
    output = vae.decode(vae.denormalize(through_tokens(tokenizer, latent, half)))
    assert report[f"val_images_psnr_{half}"] == pytest.approx(psnr(output, image), abs=1e-3)


def test_latent_statistics(cached: Path) -> None:
    vae = make_vae("tiny")
    mean, std = latent_statistics(vae, Sampler(cached, 1), batches=8)
    sampler = Sampler(cached, 1)
    batches = [sampler.clip_batch(4, 9, 64) if i % 2 else sampler.image_batch(12, 64) for i in range(8)]
    rows = np.concatenate([vae.encode(b).movedim(1, -1).flatten(0, -2).numpy() for b in batches])
    assert mean == pytest.approx(rows.mean(0).tolist(), abs=1e-4)
    assert std == pytest.approx(rows.std(0).tolist(), rel=1e-3)

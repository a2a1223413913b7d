from __future__ import annotations

import base64
import io
import mimetypes
import re

import numpy as np
import pytest

import latentbit
from conftest import TINY_BUNDLE, clip, damaged, file_bytes, tokens, without_index
from latentbit._seeing import png

Image = pytest.importorskip("PIL.Image", reason="Pillow is not installed")


def pictures(html: str) -> list[bytes]:
    return [base64.b64decode(data) for data in re.findall(r"data:image/png;base64,([^\"]+)", html)]


def test_pictures_are_read_by_others() -> None:
    frames = clip(5)
    for count in (1, 5):
        image = Image.open(io.BytesIO(png(frames[:count], 12.5)))
        assert getattr(image, "n_frames", 1) == count
        for number in range(count):
            image.seek(number)
            np.testing.assert_array_equal(np.asarray(image.convert("RGB")), frames[number])
        if count > 1:
            assert image.info["duration"] == pytest.approx(80)


def test_a_file_shows_itself() -> None:
    out = io.BytesIO()
    meta = {"title": "<script>alert(1)</script>"}
    latentbit.Encoder(scene_cuts=False).write(clip(20, 32, 48), out, frame_rate=25, metadata=meta)
    file = latentbit.open(out.getvalue())
    text = file._repr_html_()
    assert "48x32, 20 frames at 25 per second, 0.80 s" in text
    assert "<script>" not in text
    (film,) = pictures(text)
    image = Image.open(io.BytesIO(film))
    assert image.n_frames == 20
    np.testing.assert_array_equal(np.asarray(image.convert("RGB")), latentbit.Decoder().decode(file)[0])
    posters = pictures(latentbit.show(file, moving=False).html)
    assert [Image.open(io.BytesIO(data)).size for data in posters] == [(48, 32)]


def test_what_cannot_be_decoded_is_told() -> None:
    other = latentbit.open(file_bytes([tokens(0)]))
    assert "another model" in other._repr_html_()
    assert "no frames" in latentbit.open(file_bytes([]))._repr_html_()
    out = io.BytesIO()
    bundle = latentbit.Bundle(TINY_BUNDLE, dtype="f32")
    latentbit.Encoder(bundle, group=1, scene_cuts=False).write(clip(39), out)
    lossy = latentbit.open(without_index(damaged(out.getvalue(), 1)))
    text = latentbit.show(lossy, bundle).html
    assert "1 of them lost" in text
    assert "no pictures" in text
    assert len(pictures(latentbit.show(lossy, bundle, moving=False).html)) == 2


def test_frames_are_shown() -> None:
    (film,) = pictures(latentbit.show(clip(6))._repr_html_())
    assert Image.open(io.BytesIO(film)).n_frames == 6
    posters = pictures(latentbit.show(clip(9, 600, 900).astype(np.float32) / 255).html)
    assert len(posters) == 4
    assert Image.open(io.BytesIO(posters[0])).size == (300, 200)
    with pytest.raises(ValueError, match="none to show"):
        latentbit.show(clip(1)[:0])


def test_the_media_type_is_known() -> None:
    assert mimetypes.guess_type("a.lbit") == ("video/vnd.latentbit", None)

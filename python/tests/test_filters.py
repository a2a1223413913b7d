"""Filters of the command, on arrays."""

from __future__ import annotations

import io
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

import latentbit
from conftest import TINY_BUNDLE, clip, damaged


@pytest.fixture(scope="module")
def bundle() -> latentbit.Bundle:
    return latentbit.Bundle(TINY_BUNDLE, dtype="f32")


@pytest.fixture(scope="module")
def file(bundle: latentbit.Bundle) -> bytes:
    return encoded(bundle, clip(40), frame_rate=25)


def encoded(bundle: latentbit.Bundle, frames: Any, *, frame_rate: Any = None, **options: Any) -> bytes:
    out = io.BytesIO()
    latentbit.Encoder(bundle, **options).write(frames, out, frame_rate=frame_rate)
    return out.getvalue()


def numbers(frames: latentbit.Frames) -> list[int]:
    assert frames.index is not None
    return [int(index) for index in frames.index]


def test_a_crop_is_that_part_of_the_array(bundle: latentbit.Bundle) -> None:
    frames = clip(9, 20, 32)
    for crop, part in (
        ((16, 12), frames[:, 4:16, 8:24]),
        ("16:12:3:1", frames[:, 1:13, 3:19]),
        ((16, 12, 0, 8), frames[:, 8:, :16]),
    ):
        cropped = latentbit.Encoder(bundle, crop=crop).tokens(frames)
        np.testing.assert_array_equal(cropped, latentbit.Encoder(bundle).tokens(part))
    # A generator of frames in another layout, as well.
    planes = (frame.transpose(2, 0, 1) for frame in frames)
    given = latentbit.Encoder(bundle, crop=(16, 12), layout="TCHW").tokens(planes)
    np.testing.assert_array_equal(given, latentbit.Encoder(bundle).tokens(frames[:, 4:16, 8:24]))


def test_scaled_videos_have_the_size_and_shape_that_was_asked_for(bundle: latentbit.Bundle) -> None:
    frames = clip(5, 24, 40)
    for scale, size, aspect in (
        (12, (20, 12), (0, 1)),
        ("-1:12", (20, 12), (0, 1)),
        ((20, -1), (20, 12), (0, 1)),
        ((20, 24), (20, 24), (2, 1)),
    ):
        made = latentbit.open(encoded(bundle, frames, scale=scale))
        assert (made.video.width, made.video.height) == size
        assert made.video.pixel_aspect == aspect
    flat = np.full((5, 24, 40, 3), 0.25, np.float32)
    np.testing.assert_array_equal(
        latentbit.Encoder(bundle, scale=12).tokens(flat), latentbit.Encoder(bundle).tokens(flat[:, :12, :20])
    )


def test_a_rate_takes_and_repeats_frames(bundle: latentbit.Bundle) -> None:
    frames = clip(30)
    few = latentbit.open(encoded(bundle, frames, frame_rate=30, fps=10))
    assert (few.frame_count, few.video.frame_rate) == (10, (10, 1))
    # As ffmpeg's filter does it.
    plain = latentbit.Encoder(bundle)
    np.testing.assert_array_equal(few.read_tokens(), plain.tokens(frames[1::3]))
    many = latentbit.Encoder(bundle, fps="20").tokens(frames[:10], frame_rate=10)
    np.testing.assert_array_equal(many, plain.tokens(np.repeat(frames[:10], 2, axis=0)))
    ntsc = latentbit.open(encoded(bundle, frames, frame_rate=Fraction(60000, 1001), fps=29.97))
    assert (ntsc.frame_count, ntsc.video.frame_rate) == (15, (30000, 1001))
    batch = latentbit.Encoder(bundle, fps=10, scene_cuts=False).tokens(np.stack([frames, frames]), frame_rate=30)
    np.testing.assert_array_equal(batch[1], few.read_tokens())
    told: list[tuple[int, int | None]] = []
    latentbit.Encoder(bundle, fps=10).encode(frames, frame_rate=30, progress=lambda *seen: told.append(seen))
    assert told[-1] == (10, 10)
    with pytest.raises(ValueError, match=r"fps: .*give frame_rate="):
        latentbit.Encoder(bundle, fps=10).tokens(frames)


def test_decoded_frames_are_filtered(bundle: latentbit.Bundle, file: bytes) -> None:
    decoder = latentbit.Decoder(bundle)
    whole = decoder.decode(file)
    part = decoder.decode(file, 3, 23, crop=(8, 10))
    np.testing.assert_array_equal(part, whole[3:23, 3:13, 8:16])
    assert numbers(part) == list(range(3, 23))
    fewer = decoder.decode(file, fps=5)
    np.testing.assert_array_equal(fewer, whole[numbers(fewer)])
    assert numbers(fewer) == [2, 7, 12, 17, 22, 27, 32, 37]
    doubled = decoder.decode(file, 10, 14, fps=50)
    np.testing.assert_array_equal(doubled, np.repeat(whole[10:14], 2, axis=0))
    small = decoder.decode(file, 0, 4, scale=8, layout="TCHW", value_range="-1..1")
    assert small.shape == (4, 3, 8, 12)
    assert small.dtype == np.float32
    one = next(decoder.frames(file, 7, scale=8))
    again = decoder.decode(file, 7, 8, scale=8)
    np.testing.assert_array_equal(one, again[0])
    # Rounded once: by half a step at most.
    exact = decoder.decode(file, 7, 8, scale=8, value_range="0..1")
    assert np.abs(again / 255 - exact).max() <= 0.5 / 255 + 1e-6


def test_frames_keep_what_is_known_of_them(bundle: latentbit.Bundle, file: bytes) -> None:
    broken = damaged(file, 1)
    decoder = latentbit.Decoder(bundle)
    with pytest.warns(latentbit.LossWarning):
        whole = decoder.decode(broken, conceal="freeze")
    with pytest.warns(latentbit.LossWarning, match="1 lost chunks"):
        fewer = decoder.decode(broken, conceal="freeze", fps=5, scale=8)
    assert whole.fidelity is not None
    assert fewer.fidelity is not None
    assert list(fewer.fidelity) == [whole.fidelity[index] for index in numbers(fewer)]
    assert "concealed" in fewer.fidelity
    with pytest.raises(latentbit.FormatError):
        decoder.decode(broken, fps=5)


def test_times_decide_where_the_rate_varies(bundle: latentbit.Bundle) -> None:
    frames = clip(13)
    chunk = latentbit.Encoder(bundle).encode(frames)[0]
    video = latentbit.Video.from_fields(bundle.video(24, 16, (10, 1)))
    out = io.BytesIO()
    with latentbit.Writer(out, video) as writer:
        writer.write(chunk)
        # A pause of a second, in which the frame before it is shown.
        writer.write(chunk.tokens, key=True, frames=13, start=23)
    decoder = latentbit.Decoder(bundle)
    whole = decoder.decode(out.getvalue())
    shown = decoder.decode(out.getvalue(), fps=10)
    assert numbers(shown) == [*range(12), *[12] * 11, *range(13, 26)]
    np.testing.assert_array_equal(shown, whole[numbers(shown)])


def test_what_cannot_be_filtered_is_told(bundle: latentbit.Bundle, file: bytes) -> None:
    frames: npt.NDArray[np.uint8] = clip(3)
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"scale": "640x360"}, "scale: '640x360'"),
        ({"scale": 0}, "scale"),
        ({"crop": (0, 4)}, "crop: '0:4' is not a part"),
        ({"crop": (4, 4, 4)}, "crop"),
        ({"fps": "fast"}, "fps: 'fast' is no frame rate"),
        ({"fps": 0}, "fps"),
        ({"fps": -5}, "fps"),
        ({"vf": "hflip"}, "vf: .*latentbit encode --vf"),
    ]
    for options, message in wrong:
        with pytest.raises(ValueError, match=message):
            latentbit.Encoder(bundle, **options)
        with pytest.raises(ValueError, match=message):
            latentbit.Decoder(bundle).decode(file, **options)
    with pytest.raises(ValueError, match="24x16 do not hold a part of 25x4"):
        latentbit.Encoder(bundle, crop=(25, 4)).tokens(frames)
    with pytest.raises(ValueError, match="do not hold"):
        latentbit.Decoder(bundle).decode(file, crop=(4, 17))
    with pytest.raises(ValueError, match="16384"):
        latentbit.Encoder(bundle, scale=(16384, 99999)).tokens(frames)

    def failing() -> Any:
        yield frames[0]
        raise RuntimeError("the camera is gone")

    with pytest.raises(RuntimeError, match="the camera is gone"):
        latentbit.Encoder(bundle, scale=8).tokens(failing())


def test_concealing_is_asked_for_as_in_the_command(bundle: latentbit.Bundle, file: bytes) -> None:
    decoder = latentbit.Decoder(bundle)
    broken = damaged(file, 1)
    with pytest.warns(latentbit.LossWarning):
        late = decoder.decode(broken, conceal="blend")
    with pytest.warns(latentbit.LossWarning):
        early = decoder.decode(broken, conceal="blend", low_delay=True)
    assert not np.array_equal(late, early)
    with pytest.warns(latentbit.LossWarning):
        np.testing.assert_array_equal(early, decoder.decode(broken, conceal="freeze"))
    with pytest.raises(ValueError, match="low_delay"):
        decoder.decode(broken, low_delay=True)
    with pytest.raises(ValueError, match="conceal_steps: it is for"):
        decoder.decode(broken, conceal="freeze", conceal_steps=4)
    with pytest.raises(ValueError, match="conceal_steps: expected a number from 1 to 1000"):
        decoder.decode(broken, conceal="auto", conceal_steps=0)

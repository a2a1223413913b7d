"""Frames in every form that people have them in, and what is said of forms that mean nothing."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch

import latentbit
from conftest import TINY_BUNDLE, clip


@pytest.fixture(scope="module")
def bundle() -> latentbit.Bundle:
    return latentbit.Bundle(TINY_BUNDLE, dtype="f32")


def encoder(bundle: latentbit.Bundle, **options: Any) -> latentbit.Encoder:
    return latentbit.Encoder(bundle, **{"scene_cuts": False, **options})


def test_all_ranges_give_the_same_tokens(bundle: latentbit.Bundle) -> None:
    frames = clip(9)
    expected = encoder(bundle).tokens(frames)
    unit = frames.astype(np.float32) / np.float32(255)
    signed = unit * 2 - 1
    given: list[tuple[str, Any]] = [
        ("auto", unit),
        ("0..1", unit.astype(np.float64)),
        ("-1..1", signed),
        ("-1..1", torch.from_numpy(signed)),
        ("0..255", frames.astype(np.float32)),
        ("0..255", frames.astype(np.float16)),
        ("0..255", torch.from_numpy(frames).bfloat16().float()),
        ("0..255", frames),
        # What rounding does.
        ("auto", np.where(unit > 0.7, unit, unit) + np.float32(2e-6) * (unit == unit.max())),
    ]
    for value_range, array in given:
        found = encoder(bundle, value_range=value_range).tokens(array)
        differing = np.bitwise_count(found ^ expected).sum() / (10 * expected.size)
        assert differing < 0.01, (value_range, differing)
    rough = encoder(bundle, value_range="0..255").tokens(torch.from_numpy(frames).bfloat16())
    assert np.bitwise_count(rough ^ expected).sum() / (10 * expected.size) < 0.1


def test_values_outside_of_the_range_are_told(bundle: latentbit.Bundle) -> None:
    unit = clip(20).astype(np.float32) / np.float32(255)
    holes = unit.copy()
    holes[18, 3, 5, 1] = np.nan
    endless = unit.copy()
    endless[0, 0, 0, 0] = np.inf
    wrong: list[tuple[str, Any, str]] = [
        ("auto", unit * 2 - 1, r'give value_range="-1\.\.1"'),
        ("auto", unit * 255, r'give value_range="0\.\.255"'),
        ("auto", unit * 3000, r"scale them, or clip"),
        ("0..1", unit - 0.2, r"found -0\.05"),
        ("-1..1", unit * 4 - 2, r"from -1 to 1, found -"),
        ("auto", holes, r"found nan at frame 18, row 3, column 5, channel 1"),
        ("-1..1", holes, r"found nan"),
        ("auto", torch.from_numpy(endless), r"found inf at frame 0"),
        ("0..1", clip(2), r"uint8 frames are from 0 to 255"),
        ("0-1", unit, r"expected one of auto, 0\.\.1"),
    ]
    for value_range, array, match in wrong:
        with pytest.raises(ValueError, match=match):
            encoder(bundle, value_range=value_range).tokens(array)
        with pytest.raises(ValueError, match=match):
            latentbit.Vae(bundle, value_range=value_range).encode(array)


def test_all_layouts_give_the_same_tokens(bundle: latentbit.Bundle) -> None:
    frames = clip(9)
    expected = encoder(bundle).tokens(frames)
    first = frames.transpose(0, 3, 1, 2)
    planes = frames.transpose(3, 0, 1, 2)
    for layout, array in (("TCHW", first), ("TCHW", torch.from_numpy(first.copy())), ("CTHW", planes)):
        np.testing.assert_array_equal(encoder(bundle, layout=layout).tokens(array), expected)
    np.testing.assert_array_equal(
        encoder(bundle, layout="TCHW").tokens(frame for frame in first), expected
    )
    one = encoder(bundle).tokens(frames[0])
    np.testing.assert_array_equal(encoder(bundle, layout="TCHW").tokens(first[0]), one)
    np.testing.assert_array_equal(encoder(bundle, layout="CTHW").tokens(planes[:, 0]), one)


def test_other_shapes_and_types_are_told(bundle: latentbit.Bundle, tmp_path: Path) -> None:
    frames = clip(4)
    wrong: list[tuple[type[Exception], Any, str]] = [
        (ValueError, frames.transpose(0, 3, 1, 2), "if this is TCHW, give layout='TCHW'"),
        (ValueError, frames.transpose(3, 0, 1, 2), "if this is CTHW, give layout='CTHW'"),
        (ValueError, frames[..., :1], "repeat the gray channel"),
        (ValueError, np.concatenate([frames, frames[..., :1]], -1), "alpha"),
        (ValueError, frames[0, 0], r"one frame \(height, width, 3\), found 2 axes"),
        (ValueError, np.float32(3), "found float32"),
        (TypeError, 7, "found int 7"),
        (TypeError, None, "found NoneType None"),
        (TypeError, "clip.mp4", "found str 'clip.mp4'; a video file is encoded by the command"),
        (TypeError, tmp_path, "latentbit encode"),
        (TypeError, b"bytes", "found bytes"),
        (TypeError, {"video": frames}, "found dict"),
        (TypeError, ["a.png"], "found str 'a.png'"),
        (TypeError, frames.astype(np.int32), "found int32"),
        (TypeError, frames.astype(np.uint16), "found uint16"),
        (TypeError, frames > 100, "found .* of bool"),
        (TypeError, frames.astype(np.complex64), "complex64"),
        (TypeError, [[frames[0], frames[0, 0]]], "parts that differ"),
        (ValueError, frames[:, :0], "some pixels"),
        (ValueError, frames[:0], "no frame"),
        (ValueError, [], "no frame"),
        (ValueError, np.zeros((2, 4, 16, 24, 4), np.uint8), "expected 3 channels"),
    ]
    for kind, given, match in wrong:
        with pytest.raises(kind, match=match):
            encoder(bundle).tokens(given)
    with pytest.raises(ValueError, match="one video, found an array of 2"):
        encoder(bundle).write(np.stack([frames, frames]), tmp_path / "a.lbit")
    with pytest.raises(ValueError, match="expected one of THWC"):
        encoder(bundle, layout="HWC")
    assert not list(tmp_path.iterdir())


def test_batches_are_what_each_video_is_alone(bundle: latentbit.Bundle) -> None:
    videos = np.stack([np.roll(clip(9), shift, axis=2) for shift in range(5)])
    tokens = encoder(bundle).tokens(videos)
    assert tokens.shape[0] == 5
    for video, found in zip(videos, tokens, strict=True):
        np.testing.assert_array_equal(found, encoder(bundle).tokens(video))
    given, depths = encoder(bundle, crf=25).tokens_and_depths(torch.from_numpy(videos))
    for number, video in enumerate(videos):
        alone = encoder(bundle, crf=25).tokens_and_depths(video)
        np.testing.assert_array_equal(given[number], alone[0])
        np.testing.assert_array_equal(depths[number], alone[1])
    decoder = latentbit.Decoder(bundle)
    frames = decoder.decode_tokens(given, depths)
    # A step of two latent frames is not half full.
    assert frames.shape == (5, 13, 16, 24, 3)
    for number in range(5):
        np.testing.assert_array_equal(frames[number], decoder.decode_tokens(given[number], depths[number]))
    several = encoder(bundle).encode_batch([clip(3), clip(20, height=32), [clip(2), clip(7)]])
    assert [sum(chunk.frames for chunk in chunks) for chunks in several] == [3, 20, 9]
    with pytest.raises(ValueError, match="found nan"):
        encoder(bundle).encode_batch([clip(30), np.full((2, 16, 24, 3), np.nan, np.float32), clip(30)])
    assert encoder(bundle).encode_batch([]) == []


def test_tokens_of_a_generator(bundle: latentbit.Bundle) -> None:
    tokens, depths = encoder(bundle, group=0, crf=25).tokens_and_depths(clip(61))
    decoder = latentbit.Decoder(bundle)
    expected = decoder.decode_tokens(tokens, depths)
    assert len(expected) == 61
    for step in (1, 2, 3, 7):
        cuts = range(0, len(tokens), step)
        found = decoder.decode_tokens(
            (tokens[at : at + step] for at in cuts), (depths[at : at + step] for at in cuts)
        )
        np.testing.assert_array_equal(found, expected)
    made = 0

    def generate() -> Iterator[npt.NDArray[Any]]:
        nonlocal made
        for step in tokens:
            made += 1
            yield step[None]

    frames = decoder.token_frames(generate())
    assert next(frames).shape == (16, 24, 3)
    assert made < len(tokens)
    with pytest.raises(ValueError, match="as before"):
        decoder.decode_tokens([tokens[:1], tokens[:1, :1]])
    with pytest.raises(TypeError, match="decode\\(\\) takes files"):
        decoder.decode_tokens("a.lbit")
    with pytest.raises(ValueError, match="none to decode"):
        decoder.decode_tokens([])


def test_frames_come_in_any_form(bundle: latentbit.Bundle, tmp_path: Path) -> None:
    encoder(bundle).write(clip(17), tmp_path / "a.lbit")
    decoder = latentbit.Decoder(bundle)
    plain = decoder.decode(tmp_path / "a.lbit")
    floats = decoder.decode(tmp_path / "a.lbit", floats=True)
    assert floats.dtype == np.float32
    for layout, axes in (("TCHW", (0, 3, 1, 2)), ("CTHW", (3, 0, 1, 2))):
        found = decoder.decode(tmp_path / "a.lbit", layout=layout)
        assert found.flags.c_contiguous
        np.testing.assert_array_equal(found, plain.transpose(axes))
        np.testing.assert_array_equal(
            decoder.decode(tmp_path / "a.lbit", layout=layout, value_range="-1..1"), floats.transpose(axes) * 2 - 1
        )
    (first, *_) = decoder.frames(tmp_path / "a.lbit", layout="TCHW", value_range="-1..1")
    np.testing.assert_array_equal(first, floats[0].transpose(2, 0, 1) * 2 - 1)
    # As PyTorch takes it.
    assert torch.from_numpy(plain).shape == (17, 16, 24, 3)
    for wrong in ({"layout": "CHW"}, {"value_range": "auto"}, {"value_range": "0..255", "floats": True}):
        with pytest.raises(ValueError, match=r"layout|value_range"):
            decoder.decode(tmp_path / "a.lbit", **wrong)


def test_progress_is_told(bundle: latentbit.Bundle, tmp_path: Path) -> None:
    told: list[tuple[int, int | None]] = []

    def progress(done: int, total: int | None) -> None:
        told.append((done, total))

    encoder(bundle).write(clip(40), tmp_path / "a.lbit", progress=progress)
    assert [done for done, _ in told] == sorted(done for done, _ in told)
    assert told.pop() == (40, 40)
    encoder(bundle).encode(iter(clip(20)), progress=progress)
    assert told.pop() == (20, None)
    told.clear()
    latentbit.Decoder(bundle).decode(tmp_path / "a.lbit", 5, 15, progress=progress)
    assert told == [(done, 10) for done in range(1, 11)]
    told.clear()
    encoder(bundle).encode_batch([clip(20), clip(30)], progress=progress)
    assert told.pop()[0] == 50
    tokens = encoder(bundle).tokens(clip(21))
    for given, videos in [(tokens, 1), (np.stack([tokens, tokens]), 2)]:
        told.clear()
        frames = latentbit.Decoder(bundle).decode_tokens(given, progress=progress)
        assert told == [(done, 21 * videos) for done in range(1, 21 * videos + 1)]
        assert frames.shape[-4] == 21

    def stop(done: int, _: int | None) -> None:
        raise RuntimeError("enough")

    with pytest.raises(RuntimeError, match="enough"):
        encoder(bundle).write(clip(40), tmp_path / "b.lbit", progress=stop)
    assert not (tmp_path / "b.lbit").exists()


@pytest.mark.parametrize("work", ["encode", "decode", "batch"])
def test_ctrl_c_ends_work(
    bundle: latentbit.Bundle, tmp_path: Path, work: str, request: pytest.FixtureRequest
) -> None:
    # A shell that starts something in the background has it ignore this signal.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    request.addfinalizer(lambda: signal.signal(signal.SIGINT, before))
    frames = clip(60)
    encoder(bundle).write(frames, tmp_path / "a.lbit")

    def endless() -> Iterator[npt.NDArray[Any]]:
        while True:
            yield from frames

    works: dict[str, Callable[[], Any]] = {
        "encode": lambda: encoder(bundle).write(endless(), tmp_path / "b.lbit"),
        "decode": lambda: [latentbit.Decoder(bundle).decode(tmp_path / "a.lbit") for _ in range(10**6)],
        "batch": lambda: encoder(bundle).encode_batch([endless(), endless()]),
    }
    running = threading.Event()

    def interrupt() -> None:
        running.wait()
        time.sleep(0.3)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt).start()
    with pytest.raises(KeyboardInterrupt):
        running.set()
        works[work]()
    assert not (tmp_path / "b.lbit").exists()
    # Nothing is broken by it.
    assert len(latentbit.Decoder(bundle).decode(tmp_path / "a.lbit")) == 60

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch

import latentbit
from conftest import ROOT, TINY_BUNDLE, clip, without_index
from latentbit._quantity import as_bits, as_bytes


@pytest.fixture(scope="module")
def bundle() -> latentbit.Bundle:
    return latentbit.Bundle(TINY_BUNDLE, dtype="f32")


def test_a_bundle_says_what_it_is(bundle: latentbit.Bundle) -> None:
    assert bundle.bits == 10
    assert len(bundle.sha256) == 64
    assert bundle.dtype == "f32"
    with pytest.raises(FileNotFoundError, match="none"):
        latentbit.Bundle("none.safetensors")
    with pytest.raises(latentbit.BundleError, match=r"Cargo\.toml"):
        latentbit.Bundle(ROOT / "Cargo.toml")
    with pytest.raises(ValueError, match=r'expected auto, bf16, f16 or f32, found "f64"'):
        latentbit.Bundle(TINY_BUNDLE, dtype="f64")


def test_the_number_type_follows_the_device() -> None:
    # A CPU takes f16 for what it is, and says who computes with it.
    with pytest.raises(ValueError, match="f16 is for GPUs only"):
        latentbit.Bundle(TINY_BUNDLE, dtype="f16", device="cpu")
    assert latentbit.Bundle(TINY_BUNDLE, dtype="bf16", device="cpu").dtype == "bf16"
    assert latentbit.Bundle(TINY_BUNDLE, device="cpu").dtype in ("bf16", "f32")
    with pytest.raises(ValueError, match="device: "):
        latentbit.Bundle(TINY_BUNDLE, device="cuda:99")


def test_the_built_in_model_is_there() -> None:
    assert latentbit.Bundle().bits == 48


def test_frames_to_a_file_and_back(bundle: latentbit.Bundle, tmp_path: Path) -> None:
    frames = clip(40)
    path = tmp_path / "a.lbit"
    summary = latentbit.Encoder(bundle).write(frames, path, frame_rate=29.97, metadata={"title": "waves"})
    file = latentbit.open(path)
    assert (summary.frames, summary.chunks, summary.bytes) == (40, len(file), path.stat().st_size)
    assert file.video.frame_rate == (30000, 1001)
    assert file.metadata["title"] == "waves"
    decoder = latentbit.Decoder(bundle)
    back = decoder.decode(file)
    assert back.shape == frames.shape
    assert back.dtype == np.uint8
    # Any part of it is the same as that part of the whole, wherever it begins.
    for first, end in ((0, 1), (12, 14), (30, 40), (39, 40)):
        np.testing.assert_array_equal(decoder.decode(path, first, end), back[first:end])
    floats = decoder.decode(path, 5, 7, floats=True)
    assert floats.dtype == np.float32
    np.testing.assert_array_equal((floats * 255).round().clip(0, 255).astype(np.uint8), back[5:7])
    streamed = list(decoder.frames(io.BytesIO(path.read_bytes())))
    np.testing.assert_array_equal(np.stack(streamed), back)


def test_all_kinds_of_arrays_make_the_same_tokens(bundle: latentbit.Bundle) -> None:
    frames = clip(20)
    encoder = latentbit.Encoder(bundle)
    expected = encoder.tokens(frames)
    assert expected.dtype == np.uint32
    floats = frames.astype(np.float32) / np.float32(255)
    for given in (
        torch.from_numpy(frames),
        torch.from_numpy(floats),
        floats,
        iter([frames[:1], frames[1:9], frames[9:]]),
        (frame for frame in frames),
        [frames[::2], frames[:0]],
    ):
        found = encoder.tokens(given)
        if isinstance(given, list):
            assert len(found) < len(expected)
        else:
            np.testing.assert_array_equal(found, expected)
    # Not contiguous, but the same pixels.
    np.testing.assert_array_equal(encoder.tokens(np.asfortranarray(frames)), expected)


def test_chunks_come_while_frames_go_in(bundle: latentbit.Bundle) -> None:
    given = 0

    def source() -> Iterator[npt.NDArray[np.uint8]]:
        nonlocal given
        for frame in clip(200):
            given += 1
            yield frame

    first = next(latentbit.Encoder(bundle).chunks(source()))
    assert first.number == 0
    assert first.key
    assert given < 200


def test_tokens_alone_are_decoded(bundle: latentbit.Bundle) -> None:
    frames = clip(29)
    chunks = latentbit.Encoder(bundle, scene_cuts=False, group=0).encode(frames)
    out = io.BytesIO()
    latentbit.Encoder(bundle, scene_cuts=False, group=0).write(frames, out)
    tokens = np.concatenate([chunk.tokens for chunk in chunks])
    decoder = latentbit.Decoder(bundle)
    expected = decoder.decode(out.getvalue())
    for given in (tokens, torch.from_numpy(tokens.astype(np.int64))):
        np.testing.assert_array_equal(decoder.decode_tokens(given), expected)
    assert decoder.decode_tokens(tokens[:2], width=23, height=15).shape == (13, 15, 23, 3)
    with pytest.raises(ValueError, match="10 bits"):
        decoder.decode_tokens(tokens | np.uint32(1 << 10))
    with pytest.raises(ValueError, match="for frames of 64x16"):
        decoder.decode_tokens(tokens, width=64)


def test_fewer_bits(bundle: latentbit.Bundle) -> None:
    frames = clip(13)
    whole = latentbit.Encoder(bundle).tokens(frames)
    np.testing.assert_array_equal(latentbit.Encoder(bundle, bits=4).tokens(frames), whole & 15)
    out = io.BytesIO()
    latentbit.Encoder(bundle).write(frames, out)
    coarse = latentbit.Decoder(bundle, bits=4).decode(out.getvalue())
    np.testing.assert_array_equal(coarse, latentbit.Decoder(bundle, bits=4).decode_tokens(whole))
    with pytest.raises(ValueError, match="1 to the 10"):
        latentbit.Encoder(bundle, bits=11).tokens(frames)


def test_rates_are_kept(bundle: latentbit.Bundle) -> None:
    frames = clip(61)

    def write(**rate: float) -> tuple[int, latentbit.File]:
        out = io.BytesIO()
        summary = latentbit.Encoder(bundle, **rate).write(frames, out, frame_rate=25)  # type: ignore[arg-type]
        return summary.bytes, latentbit.open(out.getvalue())

    best, file = write(crf=0)
    worst, _ = write(crf=63)
    assert file.video.depth_step == 3
    assert worst < best
    for size in ((best + worst) // 2, best, worst):
        found, file = write(size=size)
        assert size * 0.9 < found <= size, (found, size)
        assert len(latentbit.Decoder(bundle).decode(file)) == 61
    with pytest.raises(ValueError, match="smallest file"):
        write(size=worst // 2)
    seconds = 61 / 25
    rate = 8 * (best + worst) / 2 / seconds
    per_pixel = rate / 25 / frames.shape[1] / frames.shape[2]
    (by_rate, _), (by_pixel, _) = write(bitrate=rate), write(bpp=per_pixel)
    assert by_rate == by_pixel
    assert worst <= by_rate <= best
    for wrong, match in (
        ({"crf": 20, "bits": 4}, "crf and bits"),
        ({"crf": 64}, "0 to 63"),
        ({"maxrate": 1e5}, "maxrate"),
        ({"effort": 2}, "effort"),
        ({"crf": 20, "effort": 4}, "effort"),
    ):
        with pytest.raises(ValueError, match=match):
            latentbit.Encoder(bundle, **wrong).encode(frames)
    with pytest.raises(ValueError, match="size"):
        latentbit.Encoder(bundle, size=5000).encode(frames)
    # Tokens without their depths are no tokens.
    with pytest.raises(ValueError, match="tokens_and_depths"):
        latentbit.Encoder(bundle, crf=20).tokens(frames)
    # Random weights reach no quality at all, which is told.
    with pytest.warns(latentbit.LossWarning, match="60 dB"):
        latentbit.Encoder(bundle, psnr=60).encode(frames)


def test_tokens_with_depths_are_decoded(bundle: latentbit.Bundle) -> None:
    frames = clip(29)
    chunks = latentbit.Encoder(bundle, crf=25, scene_cuts=False, group=0).encode(frames)
    out = io.BytesIO()
    latentbit.Encoder(bundle, crf=25, scene_cuts=False, group=0).write(frames, out)
    tokens, depths = (np.concatenate(part) for part in zip(*(chunk.read() for chunk in chunks), strict=True))
    decoder = latentbit.Decoder(bundle)
    expected = decoder.decode(out.getvalue())
    np.testing.assert_array_equal(decoder.decode_tokens(tokens, depths), expected)
    assert (decoder.decode_tokens(tokens) != expected).any()
    with pytest.raises(ValueError, match="shape"):
        decoder.decode_tokens(tokens, depths[:1])
    with pytest.raises(ValueError, match="0 to 64"):
        decoder.decode_tokens(tokens, depths.astype(np.int64) + 60)


def test_lost_frames_repeat_the_last_good_one(bundle: latentbit.Bundle) -> None:
    out = io.BytesIO()
    latentbit.Encoder(bundle, group=1, scene_cuts=False).write(clip(39), out)
    data = out.getvalue()
    whole = latentbit.Decoder(bundle).decode(data)
    broken = bytearray(data)
    broken[data.index(b"CHNK", data.index(b"CHNK") + 1) + 24 + 45] ^= 1
    with pytest.raises(latentbit.FormatError, match="chunk 1"):
        latentbit.Decoder(bundle).decode(bytes(broken))
    for lossy in (bytes(broken), without_index(bytes(broken))):
        with pytest.raises(latentbit.LatentBitError, match="chunk 1"):
            latentbit.Decoder(bundle).decode(lossy)
        with pytest.warns(latentbit.LossWarning, match="1 lost chunks; of 39 frames 13 are concealed by freeze"):
            found = latentbit.Decoder(bundle).decode(lossy, conceal="freeze")
    np.testing.assert_array_equal(found[:13], whole[:13])
    np.testing.assert_array_equal(found[13:26], np.broadcast_to(whole[12], whole[13:26].shape))
    np.testing.assert_array_equal(found[26:], whole[26:])


def test_wrong_input_is_told(bundle: latentbit.Bundle) -> None:
    encoder = latentbit.Encoder(bundle)
    with pytest.raises(ValueError, match="give layout='TCHW'"):
        encoder.tokens(np.zeros((4, 3, 16, 24), np.uint8))
    with pytest.raises(TypeError, match="int32"):
        encoder.tokens(np.zeros((4, 16, 24, 3), np.int32))
    with pytest.raises(ValueError, match="no frame"):
        encoder.tokens([])
    with pytest.raises(ValueError, match="frame"):
        encoder.tokens([clip(3), clip(3, height=20)])
    with pytest.raises(TypeError, match="detach"):
        encoder.tokens(torch.zeros((2, 16, 24, 3), requires_grad=True))
    out = io.BytesIO()
    encoder.write(clip(2), out)
    with pytest.raises(latentbit.BundleError, match="bundle"):
        latentbit.Decoder().decode(out.getvalue())


def test_what_fails_midway_leaves_no_file(bundle: latentbit.Bundle, tmp_path: Path) -> None:
    def frames() -> Iterator[npt.NDArray[np.uint8]]:
        yield clip(20)
        raise ConnectionError("no more")

    with pytest.raises(ConnectionError, match="no more"):
        latentbit.Encoder(bundle).write(frames(), tmp_path / "a.lbit")
    assert not list(tmp_path.iterdir())


def test_little_memory_means_tiles(bundle: latentbit.Bundle) -> None:
    frames = clip(20, height=256, width=320)
    whole = latentbit.Encoder(bundle).memory(320, 256)
    limit = whole * 4 // 5
    small = latentbit.Encoder(bundle, max_memory=limit)
    assert small.memory(320, 256) <= limit < whole
    assert latentbit.Encoder(bundle).memory(320, 256, frames=1) < whole
    expected, found = latentbit.Encoder(bundle).tokens(frames), small.tokens(frames)
    # Where the network sees further than a margin reaches, tiles are blended, and some bits differ.
    differing = np.bitwise_count(expected ^ found).sum() / (10 * expected.size)
    assert differing < 0.02
    out = io.BytesIO()
    small.write(frames, out)
    whole = latentbit.Decoder(bundle).memory(320, 256)
    decoder = latentbit.Decoder(bundle, max_memory=f"{whole * 4 // 5} B")
    assert decoder.memory(320, 256) <= whole * 4 // 5
    assert latentbit.Decoder(bundle).memory(320, 256, frames=1) < whole
    assert latentbit.Decoder(bundle).memory(320, 256, frames=100) == whole
    pixels = latentbit.Decoder(bundle).decode(out.getvalue()).astype(np.int16)
    # Each tile has an attention of its own, which in a network of random weights shows.
    assert np.abs(decoder.decode(out.getvalue()) - pixels).mean() < 5
    with pytest.raises(ValueError, match="smallest tiles"):
        latentbit.Encoder(bundle, max_memory="10kB").tokens(frames)
    with pytest.raises(ValueError, match="smallest tiles"):
        latentbit.Decoder(bundle, max_memory=10_000).decode(out.getvalue())


def test_sizes_are_those_of_the_command() -> None:
    for text, count in (("8GiB", 8 * 2**30), ("500MB", 500 * 10**6), ("1.5k", 1536), ("7", 7), (" 2 gb", 2 * 10**9)):
        assert as_bytes(text) == count
    assert as_bytes(12) == 12
    assert as_bytes(None) is None
    for wrong in ("", "GiB", "-1", "0", 0, "8 bananas", "1e9"):
        with pytest.raises(ValueError, match="max_memory"):
            as_bytes(wrong)
    assert (as_bytes("5M", "size"), as_bytes("800kB", "size"), as_bytes("4MiB", "size")) == (5_000_000, 800_000, 2**22)
    assert (as_bits("bitrate", "300k"), as_bits("bitrate", "1.5M"), as_bits("bitrate", 7.5)) == (300e3, 1.5e6, 7.5)
    for wrong in ("", "k", "-1k", "300KiB", "fast"):
        with pytest.raises(ValueError, match=r"maxrate: .*300k"):
            as_bits("maxrate", wrong)


def test_rates_are_texts_or_numbers(bundle: latentbit.Bundle) -> None:
    frames = clip(26)
    for given, same in (({"bitrate": "20k"}, {"bitrate": 20_000}), ({"size": "2kB"}, {"size": 2000})):
        made = []
        for options in (given, same):
            out = io.BytesIO()
            latentbit.Encoder(bundle, **options).write(frames, out, frame_rate=25)
            made.append(out.getvalue())
        assert made[0] == made[1]
    # Bits per second are those of seconds.
    slow, fast = (
        sum(chunk.depths.sum() for chunk in latentbit.Encoder(bundle, bitrate="3k").chunks(frames, frame_rate=rate))
        for rate in (5, 100)
    )
    assert slow > fast


def test_devices_have_names() -> None:
    assert latentbit.Encoder(TINY_BUNDLE, device="cpu").bundle.bits == 10
    with pytest.raises(ValueError, match=r"device: .*tpu"):
        latentbit.Bundle(TINY_BUNDLE, device="tpu")
    with pytest.raises(ValueError, match="device"):
        latentbit.Decoder(TINY_BUNDLE, device="tpu")

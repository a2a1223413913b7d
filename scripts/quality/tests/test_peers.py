"""The other codecs on small synthetic pictures."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pytest
from peers import IMAGE_PEERS, VIDEO_PEERS, code_image, code_video
from PIL import Image, ImageCms
from samples import Sample


def picture(size: int, shift: int = 0) -> np.ndarray:
    y, x = np.mgrid[:size, :size]
    waves = [np.sin(0.1 * (x + shift) + 0.2 * c * y) for c in range(3)]
    noise = np.random.default_rng(1).normal(size=(size, size, 3)) * 8
    found: np.ndarray = np.clip(127 + 100 * np.stack(waves, -1) + noise, 0, 255).astype(np.uint8)
    return found


@pytest.mark.parametrize("peer", IMAGE_PEERS)
def test_images(peer: str, tmp_path: Path) -> None:
    source = picture(96)
    Image.fromarray(source).save(tmp_path / "a.png")
    errors, sizes = [], []
    for quality in IMAGE_PEERS[peer]:
        coded = code_image(peer, quality, Sample(tmp_path / "a.png"), tmp_path)
        errors.append(float(np.square(np.asarray(Image.open(coded.path)).astype(float) - source).mean()))
        sizes.append(coded.bytes)
    assert sizes == sorted(sizes)
    assert errors == sorted(errors, reverse=True)


@pytest.mark.parametrize("peer", IMAGE_PEERS)
def test_what_a_source_says_of_itself_costs_nothing(peer: str, tmp_path: Path) -> None:
    Image.fromarray(picture(64)).save(tmp_path / "plain.png")
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    Image.fromarray(picture(64)).save(tmp_path / "profile.png", icc_profile=profile)
    sizes = {code_image(peer, 10, Sample(tmp_path / name), tmp_path).bytes for name in ("plain.png", "profile.png")}
    assert len(sizes) == 1


@pytest.mark.parametrize("peer", VIDEO_PEERS)
def test_videos(peer: str, tmp_path: Path) -> None:
    frames = np.stack([picture(64, t) for t in range(9)])
    (tmp_path / "a.rgb").write_bytes(frames.tobytes())
    settings = VIDEO_PEERS[peer]
    coded = [code_video(peer, crf, Sample(tmp_path / "a.rgb"), 64, tmp_path) for crf in (settings[0], settings[-1])]
    assert coded[0].bytes > coded[1].bytes > 100
    # Neither x264 nor x265 lists its options in the stream.
    assert b"options:" not in coded[1].path.read_bytes()


@pytest.mark.parametrize("peer", VIDEO_PEERS)
def test_streams_hold_all_frames_in_the_right_colours(peer: str, tmp_path: Path) -> None:
    colors = [(200, 30, 30), (30, 200, 30), (30, 30, 200), (120, 120, 120)]
    frames = np.stack([np.full((64, 64, 3), color, np.uint8) for color in colors])
    (tmp_path / "a.rgb").write_bytes(frames.tobytes())
    coded = code_video(peer, VIDEO_PEERS[peer][0], Sample(tmp_path / "a.rgb"), 64, tmp_path)
    decode = ["ffmpeg", "-v", "error", "-i", str(coded.path), "-f", "rawvideo", "-pix_fmt", "rgb24", "-"]
    back = np.frombuffer(subprocess.run(decode, check=True, capture_output=True).stdout, np.uint8)
    assert np.abs(back.reshape(frames.shape).astype(int).mean((1, 2)) - colors).max() < 12

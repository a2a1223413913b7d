"""Data sets in the layout of LeRobot v3, read as its documentation has it, by PyAV and Parquet alone."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import latentbit
from conftest import clip
from latentbit.torch import TokenDataset

av = pytest.importorskip("av", reason="PyAV is not installed")
parquet = pytest.importorskip("pyarrow.parquet", reason="pyarrow is not installed")

from latentbit.convert import lerobot  # noqa: E402


@pytest.fixture(scope="module")
def robot(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two episodes of 13 and 17 frames, with actions."""
    place = tmp_path_factory.mktemp("robot")
    (place / "in").mkdir()
    rows = {}
    for key, count in (("a", 13), ("b", 17)):
        latentbit.Encoder(scene_cuts=False).write(clip(count, 32, 48), place / f"in/{key}.lbit", frame_rate=10)
        rows[key] = {"text": f"pick {key}", "action": [[float(at), 1.0] for at in range(count)]}
    lerobot.write(place / "in", place / "out", caption="text", columns=["action"], manifest=rows)
    return place


def read_episode(root: Path, number: int) -> tuple[list[Any], dict[str, Any], list[dict[str, Any]]]:
    """Frames, what is said of an episode, and its rows, found by the paths that ``info.json`` has."""
    info = json.loads((root / "meta/info.json").read_text())
    episode = parquet.read_table(root / "meta/episodes/chunk-000/file-000.parquet").to_pylist()[number]
    camera = next(name for name, feature in info["features"].items() if feature["dtype"] == "video")
    video = root / info["video_path"].format(
        video_key=camera, chunk_index=episode[f"videos/{camera}/chunk_index"],
        file_index=episode[f"videos/{camera}/file_index"],
    )
    with av.open(str(video)) as opened:
        frames = [frame.to_ndarray(format="rgb24") for frame in opened.decode(video=0)]
    data = root / info["data_path"].format(
        chunk_index=episode["data/chunk_index"], file_index=episode["data/file_index"]
    )
    rows = [row for row in parquet.read_table(data).to_pylist() if row["episode_index"] == number]
    return frames, episode, rows


def test_files_become_episodes(robot: Path) -> None:
    info = json.loads((robot / "out/meta/info.json").read_text())
    assert (info["codebase_version"], info["fps"], info["total_frames"]) == ("v3.0", 10, 30)
    for number, (key, count) in enumerate((("a", 13), ("b", 17))):
        frames, episode, rows = read_episode(robot / "out", number)
        assert (len(frames), episode["length"], len(rows)) == (count, count, count)
        assert episode["tasks"] == [f"pick {key}"]
        assert rows[3]["action"] == [3.0, 1.0]
        assert rows[3]["timestamp"] == pytest.approx(0.3)
        expected = latentbit.Decoder().decode(robot / f"in/{key}.lbit").astype(np.int16)
        assert np.abs(np.stack(frames) - expected).mean() < 12
    stats = json.loads((robot / "out/meta/stats.json").read_text())
    assert stats.keys() == info["features"].keys()
    values = np.array([[float(at), 1.0] for count in (13, 17) for at in range(count)])
    assert stats["action"]["count"] == [30]
    for name, made in (("min", np.min), ("max", np.max), ("mean", np.mean), ("std", np.std), ("q50", np.median)):
        np.testing.assert_allclose(stats["action"][name], made(values, axis=0))
    camera = stats["observation.images.main"]
    pictures = np.concatenate([latentbit.Decoder().decode(robot / f"in/{key}.lbit") for key in "ab"]) / 255
    assert camera["count"] == [30]
    for name, made in (("min", np.min), ("max", np.max), ("mean", np.mean), ("std", np.std)):
        np.testing.assert_allclose(np.squeeze(camera[name]), made(pictures, axis=(0, 1, 2)), atol=1e-9)
    np.testing.assert_allclose(np.squeeze(camera["q10"]), np.quantile(pictures, 0.1, axis=(0, 1, 2)), atol=1 / 255)
    assert np.shape(camera["mean"]) == (3, 1, 1)
    pandas = pytest.importorskip("pandas", reason="pandas is not installed")
    assert list(pandas.read_parquet(robot / "out/meta/tasks.parquet").index) == ["pick a", "pick b"]


def test_lerobot_reads_it(robot: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    library = pytest.importorskip("lerobot.datasets.lerobot_dataset", reason="LeRobot is not installed")
    dataset = library.LeRobotDataset("me/robot", root=robot / "out")
    assert (len(dataset), dataset.num_episodes, dataset.fps) == (30, 2, 10)
    sample = dataset[15]
    assert (sample["task"], int(sample["episode_index"]), int(sample["frame_index"])) == ("pick b", 1, 2)
    assert sample["action"].tolist() == [2.0, 1.0]
    expected = latentbit.Decoder().decode(robot / "in/b.lbit", 2, 3)[0].transpose(2, 0, 1) / 255
    assert np.abs(sample["observation.images.main"].numpy() - expected).mean() < 12 / 255
    assert dataset.meta.stats["observation.images.main"]["mean"].shape == (3, 1, 1)
    # As its tools for data sets want them.
    stats = pytest.importorskip("lerobot.datasets.compute_stats")
    merged = stats.aggregate_stats([dataset.meta.stats, dataset.meta.stats])
    np.testing.assert_allclose(merged["action"]["mean"], dataset.meta.stats["action"]["mean"])


def test_what_lerobot_made_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    library = pytest.importorskip("lerobot.datasets.lerobot_dataset", reason="LeRobot is not installed")
    features = {
        "observation.images.top": {"dtype": "video", "shape": (32, 48, 3), "names": ["height", "width", "channels"]},
        "action": {"dtype": "float32", "shape": (2,), "names": ["x", "y"]},
    }
    made = library.LeRobotDataset.create("me/made", 10, features, root=tmp_path / "made", use_videos=True)
    # A gray ramp that gets brighter: what LeRobot's encoder keeps.
    ramp = np.linspace(20, 200, 48)[:, None] + 3 * np.arange(14)[:, None, None, None]
    first = np.broadcast_to(ramp, (14, 32, 48, 3)).astype(np.uint8)
    episodes = [first[:9], 255 - first]
    for number, frames in enumerate(episodes):
        for at, frame in enumerate(frames):
            action = np.array([at, number], np.float32)
            made.add_frame({"observation.images.top": frame, "action": action, "task": f"task {number}"})
        made.save_episode()
    made.finalize()
    assert lerobot.read(tmp_path / "made", tmp_path / "files") == 2
    rows = parquet.read_table(tmp_path / "files/manifest.parquet").to_pylist()
    for number, (row, frames) in enumerate(zip(rows, episodes, strict=True)):
        assert row["caption"] == f"task {number}"
        assert row["action"][3] == [3.0, number]
        # Both are in one video.
        back = latentbit.Decoder().decode(tmp_path / f"files/episode_{number:06d}.lbit")
        assert back.shape == frames.shape
        assert np.abs(back - frames.astype(np.int16)).mean() < 5


def test_episodes_become_files(robot: Path, tmp_path: Path) -> None:
    assert lerobot.read(robot / "out", tmp_path / "back") == 2
    dataset = TokenDataset(tmp_path / "back", columns=["caption"])
    assert dataset[0]["caption"] == "pick a"
    for number, count in enumerate((13, 17)):
        file = latentbit.open(tmp_path / f"back/episode_{number:06d}.lbit")
        assert file.frame_count == count
        assert file.video.frame_rate == (10, 1)
    rows = parquet.read_table(tmp_path / "back/manifest.parquet").to_pylist()
    assert rows[1]["action"][16] == [16.0, 1.0]


def test_episodes_that_share_a_video_are_cut_apart(robot: Path, tmp_path: Path) -> None:
    pictures = [np.full((32, 48, 3), 8 * at, np.uint8) for at in range(30)]
    lerobot._film(tmp_path / "v.mp4", np.stack(pictures), Fraction(10), "libx264")
    part = list(lerobot._cut(tmp_path / "v.mp4", 1.3, 5, Fraction(10)))
    assert [round(float(picture.mean()) / 8) for picture in part] == [13, 14, 15, 16, 17]
    with pytest.raises(ValueError, match=r"expected 5 frames from 2\.8 s on, found 2"):
        list(lerobot._cut(tmp_path / "v.mp4", 2.8, 5, Fraction(10)))


def test_what_does_not_fit_is_told(robot: Path, tmp_path: Path) -> None:
    with pytest.raises(FileExistsError, match="another folder"):
        lerobot.write(robot / "in", robot / "out")
    with pytest.raises(ValueError, match=r"camera: .* has observation\.images\.main"):
        lerobot.read(robot / "out", tmp_path, camera="wrist")
    (tmp_path / "meta").mkdir()
    (tmp_path / "meta/info.json").write_text('{"codebase_version": "v2.1"}')
    with pytest.raises(ValueError, match=r"found v2\.1"):
        lerobot.read(tmp_path, tmp_path / "out")

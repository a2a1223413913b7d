"""Data sets of LeRobot, version 3: the videos of their episodes as files, and files as such a data set.

``pip install av pyarrow`` reads and writes their layout; LeRobot itself is not needed. Videos are lossy on both sides,
so unlike the other modules this one encodes and decodes.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as parquet

from .._catalog import Sources, catalog
from .._codec import Decoder, Encoder
from .._manifest import Columns, Manifest, key_of, rows_of
from ._stats import Stats

VERSION = "v3.0"
DATA = "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet"
VIDEO = "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4"
EPISODES = "meta/episodes/chunk-000/file-000.parquet"
CAMERA = "observation.images.main"

Pictures = npt.NDArray[np.uint8]


def read(
    folder: str | os.PathLike[str],
    output: str | os.PathLike[str],
    *,
    encoder: Encoder | None = None,
    camera: str | None = None,
    progress: Callable[[int, int], object] | None = None,
) -> int:
    """Encodes the episodes of a data set into files ``episode_000000.lbit`` and a ``manifest.parquet``.

    The manifest has a row for each: ``key``, ``episode_index``, ``caption`` (its task), ``frames``, and of the other
    columns of the data (actions, states) their values, frame after frame. ``camera`` names the video, where there are
    several; ``encoder`` makes the tokens; ``progress`` is called with the episodes that are done and all of them.
    Returns how many there are.
    """
    root, place = Path(folder), Path(output)
    info = json.loads((root / "meta/info.json").read_text("utf-8"))
    if not str(info.get("codebase_version", "")).startswith("v3."):
        raise ValueError(
            f"{root}: expected a data set of LeRobot {VERSION}, found {info.get('codebase_version')}; LeRobot converts "
            "older ones"
        )
    camera = _camera(info, camera, root)
    encoder = Encoder() if encoder is None else encoder
    rate = Fraction(str(info["fps"]))
    episodes = [row for path in sorted((root / "meta/episodes").rglob("*.parquet")) for row in _rows(path)]
    place.mkdir(parents=True, exist_ok=True)
    rows = []
    for number, episode in enumerate(episodes):
        key = f"episode_{episode['episode_index']:06d}"
        where = {name: episode[f"videos/{camera}/{name}"] for name in ("chunk_index", "file_index")}
        path = root / info["video_path"].format(video_key=camera, **where)
        frames = _cut(path, episode[f"videos/{camera}/from_timestamp"], int(episode["length"]), rate)
        told = {"episode_index": str(episode["episode_index"])}
        encoder.write(frames, place / f"{key}.lbit", frame_rate=rate, metadata=told)
        data = root / info["data_path"].format(
            chunk_index=episode["data/chunk_index"], file_index=episode["data/file_index"]
        )
        rows.append(
            {
                "key": key,
                "episode_index": episode["episode_index"],
                "caption": " ".join(episode.get("tasks") or []),
                "frames": int(episode["length"]),
                **_columns(data, episode["episode_index"], info),
            }
        )
        if progress is not None:
            progress(number + 1, len(episodes))
    parquet.write_table(pa.Table.from_pylist(rows), place / "manifest.parquet")
    return len(rows)


def _rows(path: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = parquet.read_table(path).to_pylist()
    return found


def _camera(info: dict[str, Any], camera: str | None, place: Path) -> str:
    cameras = [name for name, feature in info["features"].items() if feature["dtype"] == "video"]
    if camera is None and len(cameras) == 1:
        return cameras[0]
    if camera is None or camera not in cameras:
        raise ValueError(f"camera: {place} has {', '.join(cameras) or 'no video'}; name one of them, found {camera!r}")
    return camera


def _columns(path: Path, episode: int, info: dict[str, Any]) -> dict[str, list[Any]]:
    """Numbers of an episode, frame after frame, but for those that only number frames."""
    own = {"index", "episode_index", "frame_index", "timestamp", "task_index"}
    names = [name for name, feature in info["features"].items() if feature["dtype"] != "video" and name not in own]
    if not names:
        return {}
    table = parquet.read_table(path, columns=names, filters=[("episode_index", "=", episode)])
    return {name: table[name].to_pylist() for name in names}


def _cut(path: Path, start: float, count: int, rate: Fraction) -> Iterator[Pictures]:
    """So many frames of a video from a time on."""
    left = count
    with av.open(str(path)) as video:
        stream = video.streams.video[0]
        assert stream.time_base is not None
        video.seek(int(start / stream.time_base), stream=stream)
        # Frames lie on ticks that are rounded, so half a frame decides.
        first = start - 0.5 / float(rate)
        for frame in video.decode(stream):
            if frame.time is not None and frame.time >= first:
                yield frame.to_ndarray(format="rgb24").astype(np.uint8, copy=False)
                left -= 1
                if not left:
                    return
    raise ValueError(f"{path}: expected {count} frames from {start:g} s on, found {count - left}")


def write(
    sources: Sources,
    folder: str | os.PathLike[str],
    *,
    decoder: Decoder | None = None,
    camera: str = CAMERA,
    caption: str | None = None,
    columns: Columns = False,
    manifest: Manifest = None,
    codec: str = "libx264",
) -> int:
    """Decodes files into a data set of LeRobot with a video for each, an episode; returns how many there are.

    All need one size and frame rate. ``caption`` names the column of the manifest that is the task; ``columns`` those
    that hold a list with a value for each frame, such as ``action``. ``codec`` is an encoder of ffmpeg.
    """
    root = Path(folder)
    if root.exists():
        raise FileExistsError(f"{root}: it is there already; name another folder, or remove it")
    listed = catalog(sources)
    decoder = Decoder() if decoder is None else decoder
    wanted = [*([] if isinstance(columns, bool) else columns), *([caption] if caption else [])]
    rows = None
    if wanted:
        given = [sources] if isinstance(sources, str | os.PathLike) else list(sources)
        rows = rows_of(manifest, [os.fspath(source).rstrip("/") for source in given], wanted, ())
        rows.check(listed.names)
    tasks: dict[str, int] = {}
    stats = Stats()
    episodes, features, total = [], {}, 0
    kind = None
    for number in range(len(listed)):
        member = listed.member(number)
        file = member.open()
        video = file.video
        rate = Fraction(*video.frame_rate) if video.frame_rate[0] else Fraction(1)
        if kind not in (None, (video.width, video.height, rate)):
            raise ValueError(
                f"{listed.name(number)}: expected {kind} as before (width, height, rate), found {video.width}, "
                f"{video.height}, {rate}"
            )
        kind = (video.width, video.height, rate)
        frames = decoder.decode(file)
        row = rows(member.name) if rows is not None else {}
        task = str(row.pop(caption, "")) if caption else key_of(member.name)
        index = tasks.setdefault(task, len(tasks))
        at = {"chunk_index": number // 1000, "file_index": number % 1000}
        stats.add_pictures(camera, np.asarray(frames))
        _film(root / VIDEO.format(video_key=camera, **at), np.asarray(frames), rate, codec)
        count = len(frames)
        table: dict[str, Any] = {
            "timestamp": pa.array(np.arange(count) / float(rate), pa.float32()),
            "frame_index": pa.array(range(count), pa.int64()),
            "episode_index": pa.array([number] * count, pa.int64()),
            "index": pa.array(range(total, total + count), pa.int64()),
            "task_index": pa.array([index] * count, pa.int64()),
        }
        for name, column in table.items():
            stats.add(name, column.to_numpy(zero_copy_only=False))
        for name, values in row.items():
            if len(values) != count:
                raise ValueError(f"{listed.name(number)}: expected {count} values in {name}, found {len(values)}")
            array = np.asarray(values, np.float32).reshape(count, -1)
            stats.add(name, array)
            table[name] = pa.array(array.tolist(), pa.list_(pa.float32()))
            features[name] = {"dtype": "float32", "shape": [array.shape[1]], "names": None}
        data = root / DATA.format(**at)
        data.parent.mkdir(parents=True, exist_ok=True)
        parquet.write_table(pa.table(table), data)
        episodes.append(
            {
                "episode_index": number, "tasks": [task], "length": count,
                "dataset_from_index": total, "dataset_to_index": total + count,
                "data/chunk_index": at["chunk_index"], "data/file_index": at["file_index"],
                f"videos/{camera}/chunk_index": at["chunk_index"], f"videos/{camera}/file_index": at["file_index"],
                f"videos/{camera}/from_timestamp": 0.0, f"videos/{camera}/to_timestamp": count / float(rate),
                "meta/episodes/chunk_index": 0, "meta/episodes/file_index": 0,
            }
        )
        total += count
    assert kind is not None
    _write_meta(root, kind, camera, features, episodes, tasks, total)
    (root / "meta/stats.json").write_text(json.dumps(stats.to_fields(), indent=4), "utf-8")
    return len(episodes)


def _film(path: Path, frames: Pictures, rate: Fraction, codec: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as out:
        stream: Any = out.add_stream(codec, rate=rate)
        _, stream.height, stream.width, _ = frames.shape
        stream.pix_fmt = "yuv420p"
        # As LeRobot has it: any frame is found after decoding few.
        stream.options = {"g": "2", "crf": "18"}
        for picture in frames:
            out.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")))
        out.mux(stream.encode())


def _write_meta(
    root: Path,
    kind: tuple[int, int, Fraction],
    camera: str,
    features: dict[str, Any],
    episodes: list[dict[str, Any]],
    tasks: dict[str, int],
    total: int,
) -> None:
    width, height, rate = kind
    fps: int | float = int(rate) if rate.denominator == 1 else float(rate)
    plain = {"timestamp": "float32", **dict.fromkeys(("frame_index", "episode_index", "index", "task_index"), "int64")}
    info = {
        "codebase_version": VERSION,
        "robot_type": None,
        "total_episodes": len(episodes),
        "total_frames": total,
        "total_tasks": len(tasks),
        "chunks_size": 1000,
        "data_files_size_in_mb": 100,
        "video_files_size_in_mb": 500,
        "fps": fps,
        "splits": {"train": f"0:{len(episodes)}"},
        "data_path": DATA,
        "video_path": VIDEO,
        "features": {
            camera: {
                "dtype": "video", "shape": [height, width, 3], "names": ["height", "width", "channels"],
                "info": {
                    "video.height": height, "video.width": width, "video.fps": fps, "video.channels": 3,
                    "video.pix_fmt": "yuv420p", "video.is_depth_map": False, "has_audio": False,
                },
            },
            **features,
            **{name: {"dtype": dtype, "shape": [1], "names": None} for name, dtype in plain.items()},
        },
    }
    place = root / EPISODES
    place.parent.mkdir(parents=True, exist_ok=True)
    parquet.write_table(pa.Table.from_pylist(episodes), place)
    names = pa.table({"task_index": list(tasks.values()), "__index_level_0__": list(tasks)})
    # With the tasks as the index that pandas takes them for.
    columns = [
        {"name": name, "field_name": field, "pandas_type": kind, "numpy_type": kind, "metadata": None}
        for name, field, kind in (("task_index", "task_index", "int64"), (None, "__index_level_0__", "unicode"))
    ]
    about = {"index_columns": ["__index_level_0__"], "column_indexes": [], "columns": columns}
    parquet.write_table(names.replace_schema_metadata({"pandas": json.dumps(about)}), root / "meta/tasks.parquet")
    (root / "meta/info.json").write_text(json.dumps(info, indent=4), "utf-8")

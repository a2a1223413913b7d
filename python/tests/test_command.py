"""What the command makes, and what we make of it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import latentbit
from conftest import ROOT, TINY_BUNDLE, clip, file_bytes, tokens
from hub_server import hub_server
from latentbit.torch import TokenDataset

COMMAND = Path(os.environ.get("LATENTBIT", ROOT / "target/debug/latentbit"))
pytestmark = pytest.mark.skipif(not COMMAND.exists(), reason=f"{COMMAND} is not built; cargo build makes it")


def run(folder: Path, line: str, *rest: object) -> str:
    words = [str(COMMAND), *line.split(), *(str(word) for word in rest)]
    return subprocess.run(words, cwd=folder, check=True, stdout=subprocess.PIPE, text=True).stdout


def write_y4m(place: Path, frames: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]) -> None:
    """The first channel in gray, so that no conversion of color comes in between."""
    _, height, width, _ = frames.shape
    with place.open("wb") as out:
        out.write(f"YUV4MPEG2 W{width} H{height} F25:1 Ip A1:1 Cmono XCOLORRANGE=FULL\n".encode())
        for frame in frames:
            out.write(b"FRAME\n" + frame[..., 0].tobytes())


def test_both_make_the_same_tokens(tmp_path: Path) -> None:
    gray = np.repeat(clip(30)[..., :1], 3, axis=-1)
    write_y4m(tmp_path / "in.y4m", gray)
    run(tmp_path, "encode in.y4m -o a.lbit --bits 10 --dtype f32 --model", TINY_BUNDLE)
    ours = latentbit.Encoder(latentbit.Bundle(TINY_BUNDLE, dtype="f32")).encode(gray)
    theirs = latentbit.open(tmp_path / "a.lbit")
    assert theirs.metadata["original_name"] == "in.y4m"
    for mine, other in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(mine.tokens, other.tokens)
        assert (mine.key, mine.frames) == (other.key, other.frames)


def test_both_filter_frames_alike(tmp_path: Path) -> None:
    gray = np.repeat(clip(30, 20, 36)[..., :1], 3, axis=-1)
    write_y4m(tmp_path / "in.y4m", gray)
    options = {"fps": "12.5", "scale": "-1:18", "crop": "20:12:4:2"}
    words = [word for name, value in options.items() for word in (f"--{name}", value)]
    run(tmp_path, "encode in.y4m -o a.lbit --bits 10 --dtype f32 --model", TINY_BUNDLE, *words)
    theirs = latentbit.open(tmp_path / "a.lbit")
    bundle = latentbit.Bundle(TINY_BUNDLE, dtype="f32")
    encoder = latentbit.Encoder(bundle, **options)  # type: ignore[arg-type]
    np.testing.assert_array_equal(encoder.tokens(gray, frame_rate=25), theirs.read_tokens())


def test_both_filter_what_they_decode_alike(tmp_path: Path) -> None:
    bundle = latentbit.Bundle(TINY_BUNDLE, dtype="f32")
    latentbit.Encoder(bundle).write(clip(30), tmp_path / "a.lbit", frame_rate=25)
    line = "decode a.lbit -o a.raw --dtype f32 --fps 5 --crop 8:6 --raw rgb24 --model"
    words = [str(COMMAND), *line.split(), str(TINY_BUNDLE)]
    done = subprocess.run(words, cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    if "this build has no filters" in done.stderr:
        pytest.skip("this command was built without libav, and filters no outputs")
    assert done.returncode == 0, done.stderr
    decoded = np.fromfile(tmp_path / "a.raw", np.uint8).reshape(-1, 6, 8, 3)
    ours = latentbit.Decoder(bundle).decode(tmp_path / "a.lbit", fps=5, crop="8:6")
    np.testing.assert_array_equal(ours, decoded)


def test_the_command_finds_no_fault_in_our_files(tmp_path: Path) -> None:
    (tmp_path / "a.lbit").write_bytes(file_bytes([tokens(0), tokens(1)], metadata={"title": "a"}))
    assert json.loads(run(tmp_path, "verify a.lbit --json"))["digests"]


def test_exported_arrays_are_mapped_by_numpy(tmp_path: Path) -> None:
    (tmp_path / "a.lbit").write_bytes(file_bytes([tokens(0), tokens(1)]))
    run(tmp_path, "tokens export a.lbit -o a.npy")
    mapped = np.load(tmp_path / "a.npy", mmap_mode="r")
    assert isinstance(mapped, np.memmap)
    np.testing.assert_array_equal(mapped, latentbit.open(tmp_path / "a.lbit").read_tokens())
    about = json.loads((tmp_path / "a.npy.json").read_text())
    assert latentbit.Video.from_fields(about["video"]) == latentbit.open(tmp_path / "a.lbit").video


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """Shards with the arrays of three clips."""
    (tmp_path / "clips").mkdir()
    for number in range(3):
        write_y4m(tmp_path / f"clips/{number}.y4m", clip(13 + number))
    line = "archive --output tokens --format webdataset --tokens npy --dtype f32 --model"
    run(tmp_path, line, TINY_BUNDLE, "clips")
    return tmp_path / "tokens"


def test_an_archive_is_read_by_others_and_by_us(archive: Path) -> None:
    wds = pytest.importorskip("webdataset", reason="webdataset is not installed")
    parquet = pytest.importorskip("pyarrow.parquet", reason="pyarrow is not installed")
    place = archive
    rows = {row["key"]: row for row in parquet.read_table(place / "manifest.parquet").to_pylist()}
    shards = sorted(str(shard) for shard in place.glob("*.tar"))
    samples = {sample["__key__"]: sample for sample in wds.WebDataset(shards, shardshuffle=False).decode()}
    assert len(rows) == 3
    assert rows.keys() == samples.keys()
    for key, row in rows.items():
        file = latentbit.open(place / row["shard"], offset=row["offset"], length=row["bytes"])
        assert file.frame_count == row["frames"]
        np.testing.assert_array_equal(samples[key]["tokens.npy"], file.read_tokens())
    assert {TokenDataset(place)[index]["name"] for index in range(3)} <= {f"{key}.lbit" for key in rows}


def test_an_archive_is_read_by_hugging_face_datasets(
    archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    datasets = pytest.importorskip("datasets", reason="datasets is not installed")
    shards = sorted(str(shard) for shard in archive.glob("*.tar"))
    found = datasets.load_dataset(
        "webdataset", data_files={"train": shards}, split="train", cache_dir=str(tmp_path / "cache")
    )
    assert sorted(sample["json"]["frames"] for sample in found) == [13, 14, 15]
    for sample in found:
        tokens = np.asarray(sample["tokens.npy"], np.uint64)
        assert list(tokens.shape) == sample["json"]["tokens_shape"] == sample["json"]["tokens"]["shape"]
        np.testing.assert_array_equal(tokens, latentbit.open(sample["lbit"]).read_tokens())


def test_models_of_the_hub_are_shared(tmp_path: Path) -> None:
    pytest.importorskip("huggingface_hub", reason="huggingface_hub is not installed")
    from_hub = "import latentbit, sys; print(latentbit.Bundle.from_pretrained(sys.argv[1]).path)"

    def python(repo: str, **environment: str) -> Path:
        done = subprocess.run(
            [sys.executable, "-c", from_hub, repo], env=usual | environment, check=True, stdout=subprocess.PIPE,
            text=True,
        )
        return Path(done.stdout.strip())

    def command(line: str, **environment: str) -> None:
        subprocess.run([str(COMMAND), *line.split()], env=usual | environment, check=True)

    with hub_server() as (endpoint, hub):
        # Neither knows of anything but HF_HOME.
        usual = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "HUGGINGFACE_"))}
        usual |= {
            "HF_HOME": str(tmp_path / "hf"), "HF_ENDPOINT": endpoint, "HF_HUB_DISABLE_XET": "1",
            "LATENTBIT_MODELS": str(tmp_path / "models"), "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
        }
        content = TINY_BUNDLE.read_bytes()
        for name in ("pulled", "read"):
            hub.repos[f"me/{name}"] = {"README.md": b"a model", "latentbit.safetensors": content, "x.safetensors": b""}
        command("models pull me/pulled")
        asked = len(hub.requests)
        path = python("me/pulled", HF_HUB_OFFLINE="1")
        assert path.is_relative_to(tmp_path / "hf/hub/models--me--pulled/snapshots")
        assert path.read_bytes() == content
        assert len(hub.requests) == asked
        # Online, huggingface_hub asks what is current, and finds that it has it.
        assert python("me/pulled") == path
        assert not [request for request in hub.requests[asked:] if request.startswith("GET /me/")]

        python("me/read")
        asked = len(hub.requests)
        command("models pull me/read", HF_HUB_OFFLINE="1")
        assert len(hub.requests) == asked
        kept = tmp_path / "models/read"
        assert (kept / "latentbit.safetensors").read_bytes() == content
        record = json.loads((kept / "model.json").read_text())
        assert record["source"]["commit"] == hub.commit(hub, "me/read")  # type: ignore[arg-type]

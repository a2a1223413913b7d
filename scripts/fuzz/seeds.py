"""Writes the seeds that no other part of the tree has into `fuzz/seeds/TARGET`: small files of what is read.

    .venv/bin/python scripts/fuzz/seeds.py

Needs ffmpeg, Pillow and PyTorch. A fuzzer without such files would have to guess their first words.
"""

from __future__ import annotations

import io
import json
import struct
import subprocess
import tempfile
import zipfile
from pathlib import Path

import torch
from PIL import Image, PngImagePlugin

SEEDS = Path(__file__).parents[2] / "fuzz" / "seeds"


def keep(target: str, name: str, data: bytes) -> None:
    folder = SEEDS / target
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(data)


def y4m() -> None:
    luma = bytes(range(16))
    for name, words, frame in (
        ("420", "C420jpeg", luma + bytes(8)),
        ("422-limited", "C422 XCOLORRANGE=LIMITED", luma + bytes(16)),
        ("444-10-bits", "C444p10", (luma + bytes(16)) * 2 + bytes(32)),
        ("gray", "Cmono", luma),
        ("interlaced", "It A2:1", luma + bytes(8)),
    ):
        head = f"YUV4MPEG2 W4 H4 F25:1 {words}\n".encode()
        keep("y4m", name, head + b"FRAME\n" + frame + b"FRAME Ixyz\n" + frame)


def stills() -> None:
    picture = Image.new("RGB", (5, 3), (200, 100, 50))
    about = PngImagePlugin.PngInfo()
    about.add_text("Title", "a picture")
    about.add_itxt("Description", "ein Bild", zip=True)
    exif = Image.Exif()
    exif[0x0112] = 6
    for name, mode in (
        ("rgb", "RGB"),
        ("rgba", "RGBA"),
        ("gray", "L"),
        ("palette", "P"),
        ("bit", "1"),
        ("deep", "I;16"),
    ):
        out = io.BytesIO()
        made = Image.new(mode, (5, 3)) if mode == "I;16" else picture.convert(mode)
        made.save(out, "png", pnginfo=about, exif=exif)
        keep("still", f"{name}.png", out.getvalue())
    for name, mode, progressive in (
        ("rgb", "RGB", False),
        ("gray", "L", False),
        ("cmyk", "CMYK", False),
        ("more", "RGB", True),
    ):
        out = io.BytesIO()
        picture.convert(mode).save(out, "jpeg", quality=50, progressive=progressive, exif=exif, comment=b"a picture")
        keep("still", f"{name}.jpg", out.getvalue())


def checkpoints() -> None:
    base = torch.arange(6, dtype=torch.float32)
    tensors = {"a.weight": base.reshape(2, 3).t(), "b": base.half()[2:], "c": torch.zeros(0), "d": torch.tensor(3)}
    for name, kept in (
        ("tensors", tensors),
        ("nested", {"state_dict": tensors, "step": 7, "rest": [None, (1.5, "x")]}),
    ):
        out = io.BytesIO()
        torch.save(kept, out)
        keep("checkpoint", name, out.getvalue())
        with zipfile.ZipFile(out) as archive:
            listed = next(entry for entry in archive.namelist() if entry.endswith("/data.pkl"))
            keep("pickle", name, archive.read(listed))


def safetensors() -> None:
    head = json.dumps({"__metadata__": {"a": "b"}, "x": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]},
                       "y": {"dtype": "BF16", "shape": [1, 2], "data_offsets": [8, 12]}}).encode()  # fmt: skip
    keep("safetensors", "two", struct.pack("<Q", len(head)) + head + bytes(12))


def ebml() -> None:
    with tempfile.TemporaryDirectory() as folder:
        text = Path(folder, "a.srt")
        text.write_text("1\n00:00:00,000 --> 00:00:01,000\nx\n", encoding="utf-8")
        for name, line in (
            ("opus", "-f lavfi -i sine=d=0.05:r=48000 -c:a libopus"),
            ("flac", "-f lavfi -i sine=d=0.05:r=8000 -c:a flac"),
            ("subtitles", f"-i {text} -c:s ass"),
        ):
            out = Path(folder, name + ".mkv")
            subprocess.run(["ffmpeg", "-v", "error", *line.split(), str(out)], check=True)
            keep("ebml", name, out.read_bytes()[:2000])


def sidecars() -> None:
    video: dict[str, object] = {
        "bundle": "test", "bundle_sha256": "a5" * 32, "bits": 10, "bundle_bits": 10, "width": 24, "height": 16,
        "frames": None, "frame_rate": [25, 1], "time_base": [1, 1000], "frame_duration": 40, "pixel_aspect": [1, 1],
        "patch": [2, 2, 2], "strides": [4, 4, 4], "chunk_latent_frames": 4, "color": [1, 1, 1], "range": "limited",
        "chroma": "4:2:0", "chroma_location": 1, "bit_depth": 8,
    }  # fmt: skip
    chunks = [
        {"number": 0, "first_frame": 0, "frames": 13, "latent_frames": 4, "key": True, "segment": 0, "start": 0,
         "steps": [0, 2]},
        {"number": 1, "first_frame": 13, "frames": 16, "latent_frames": 4, "key": False, "segment": 0, "start": 520,
         "steps": [2, 2], "lost": True, "durations": [40] * 16},
        {"number": 2, "first_frame": 29, "frames": 16, "latent_frames": 4, "key": True, "segment": 1, "start": 1160,
         "steps": [2, 4], "bits": 5},
    ]  # fmt: skip
    plain: dict[str, object] = {
        "schema": "latentbit.tokens/1", "dtype": "u16", "shape": [4, 2, 3], "columns": None, "scan_order": "",
        "bit_order": "", "video": video, "chunks": chunks,
        "metadata": [{"entries": [["title", "x"]]}, {"stream": 0, "entries": []}],
        "chapters": [{"start_ns": 0, "end_ns": 1000, "title": "one"}],
    }  # fmt: skip
    elastic = plain | {"schema": "latentbit.tokens/2", "video": video | {"depth_step": 2}, "depths": "a.depths.npy"}
    columns = plain | {"columns": 1, "shape": [4, 2, 3, 1]}
    for name, sidecar in (("plain", plain), ("elastic", elastic), ("columns", columns)):
        text = json.dumps(sidecar, separators=(",", ":"))
        keep("sidecar", f"{name}.json", text.encode())
        tensors: dict[str, object] = {"__metadata__": {"latentbit.tokens": text}}
        at = 0
        for number in ("0", "2"):
            shape = [2, 2, 3] + ([1] if name == "columns" else [])
            tensors[f"chunk.0000000{number}"] = {"dtype": "U16", "shape": shape, "data_offsets": [at, at + 24]}
            at += 24
        head = json.dumps(tensors).encode()
        keep("sidecar", f"{name}.safetensors", struct.pack("<Q", len(head)) + head + bytes(48))
    head = b"{'descr': '<u2', 'fortran_order': False, 'shape': (4, 2, 3), }".ljust(117) + b"\n"
    keep("sidecar", "array.npy", b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head)


def lists() -> None:
    table = 'id,path,start,end,label,caption\n1,a.mp4,0.5,00:01:02,cat,"a, ""b"""\n2,,,,,\n'
    keep("list", "table", b"\x04" + table.encode())
    keep("list", "tabs", b"\x01" + table.replace(",", "\t").encode())
    lines = '# clips\na b.mp4\r\n{"path": "c.mp4", "start": 2, "label": 7, "end": null}\n{"id": "x"}\nhttps://h/d.mp4\n'
    keep("list", "lines", b"\x06" + lines.encode() + b"\xff.mp4\n")


if __name__ == "__main__":
    y4m()
    stills()
    checkpoints()
    safetensors()
    ebml()
    sidecars()
    lists()

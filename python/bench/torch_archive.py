"""What people write who archive tokens with PyTorch: decode, run the modules in f32, save arrays.

It is started by `archiving.py`. When the model is loaded and warm it says so in a line, and then archives its clips
once for each line on stdin and says how many frames they had. The next clip is decoded while one is computed.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from latentbit_training.tokens import pack
from tasks import Model, load
from torch import Tensor

Tokens = npt.NDArray[np.uint64]


def decode(path: Path, size: int) -> Tensor:
    """(T, H, W, 3) bytes of a clip."""
    line = ["ffmpeg", "-v", "error", "-threads", "1", "-i", str(path), "-f", "rawvideo", "-pix_fmt", "rgb24", "-"]
    data = subprocess.run(line, check=True, stdout=subprocess.PIPE).stdout
    return torch.frombuffer(bytearray(data), dtype=torch.uint8).reshape(-1, size, size, 3)


def ahead(paths: list[Path], size: int) -> Iterator[tuple[Path, Tensor]]:
    """The clips, each of them decoded while the one before is used."""
    with ThreadPoolExecutor(1) as pool:
        coming = pool.submit(decode, paths[0], size) if paths else None
        for at, path in enumerate(paths):
            assert coming
            pixels = coming.result()
            coming = pool.submit(decode, paths[at + 1], size) if at + 1 < len(paths) else None
            yield path, pixels


def encode(model: Model, pixels: Tensor) -> Tokens:
    """Steps, height, width of a clip, chunk by chunk behind one pass of the VAE."""
    assert model.tokenizer
    stride = model.vae.config.strides[0]
    missing = -(len(pixels) - 1) % stride
    pixels = torch.cat([pixels, pixels[-1:].expand(missing, -1, -1, -1)])
    parts = []
    for chunk in model.vae_encode(pixels).split(model.tokenizer.config.chunk_latent_frames, dim=2):
        bits, grid = model.tokenizer.bits(chunk)
        parts.append(pack(bits[0]).reshape(grid))
    return np.concatenate(parts)


def archive(model: Model, paths: list[Path], size: int, out: Path) -> int:
    """Writes an array for each clip; gives the number of frames."""
    frames = 0
    for path, pixels in ahead(paths, size):
        np.save(out / f"{path.stem}.npy", encode(model, pixels))
        frames += len(pixels)
    return frames


def main() -> None:
    """Runs until stdin ends."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("clips", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--bundle", type=Path, required=True)
    parser.add_argument("--size", type=int, required=True)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--part", type=int, default=0)
    parser.add_argument("--parts", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    paths = sorted(args.clips.iterdir())[args.part :: args.parts]
    with torch.inference_mode():
        _, model = load(args.bundle, torch.float32)
        archive(model, paths[:1], args.size, args.out)
        print("ready", flush=True)
        for _ in sys.stdin:
            print(archive(model, paths, args.size, args.out), flush=True)


if __name__ == "__main__":
    main()

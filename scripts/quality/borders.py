"""Checks for visible borders: of the tokenizer's windows in large frames, and of chunks and groups in time.

    .venv/bin/python scripts/quality/borders.py DATA     # DATA holds images/ and videos/

Large frames are mosaics of the photos, cut anywhere, so that their own borders meet those of windows only by chance.
Clips are played forwards and backwards until they are long enough. Needs Pillow, NumPy, and ffmpeg and ffprobe.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image
from samples import FPS, Latentbit, Sample, clips, photo_files

WINDOW = 64
"""Side of an attention window in pixels; every other layer shifts its windows by half of it."""
BAND = 4
"""Pixels within this distance count as at a border."""
SIZES = {"480p": (854, 480), "1080p": (1920, 1080)}
FRAMES = 13 + 7 * 16
"""Frames per group."""


def mosaic(files: list[Path], width: int, height: int, seed: int) -> np.ndarray:
    """A mosaic: rows of random heights, each of photo crops of random widths."""
    rng = np.random.default_rng(seed)
    frame = np.zeros((height, width, 3), np.uint8)
    top = 0
    while top < height:
        rows = int(rng.integers(70, 140))
        left = 0
        while left < width:
            columns = int(rng.integers(70, 140))
            picture = np.asarray(Image.open(files[int(rng.integers(len(files)))]).convert("RGB"))
            part = picture[: height - top, : width - left]
            y, x = (int(rng.integers(max(1, size - want + 1)))
                    for size, want in zip(part.shape[:2], (rows, columns), strict=True))
            part = part[y : y + rows, x : x + columns]
            # A photo smaller than its place is mirrored.
            want = (min(rows, height - top), min(columns, width - left))
            gaps = [(0, max(0, w - s)) for w, s in zip(want, part.shape[:2], strict=True)]
            part = np.pad(part, [*gaps, (0, 0)], mode="symmetric")[: want[0], : want[1]]
            frame[top : top + want[0], left : left + want[1]] = part
            left += columns
        top += rows
    return frame


def at_borders(height: int, width: int, offset: int) -> np.ndarray:
    """The pixels within BAND of window borders shifted by `offset`; frame edges do not count."""
    def near(length: int) -> np.ndarray:
        place = np.arange(length) + 0.5
        borders = np.arange(offset or WINDOW, length - 1, WINDOW)
        if not borders.size:
            return np.zeros(length, bool)
        distance: np.ndarray = np.abs(place[:, None] - borders[None]).min(1)
        return distance < BAND

    return near(height)[:, None] | near(width)[None]


def psnr(error: np.ndarray) -> float:
    """PSNR from squared errors of bytes."""
    return float(10 * np.log10(255**2 / max(float(error.mean()), 1e-9)))


def seams(latentbit: Latentbit, files: list[Path], work: Path, count: int) -> list[str]:
    """A row per size: PSNR at window borders, at those of shifted windows, and between them.

    The last are bands of the same shape halfway between borders: their differences are chance.
    """
    rows = []
    for name, (width, height) in SIZES.items():
        bands = [at_borders(height, width, offset) for offset in (0, WINDOW // 2, WINDOW // 4, WINDOW * 3 // 4)]
        others = ~(bands[0] | bands[1])
        values = []
        for seed in range(count):
            frame = mosaic(files, width, height, seed)
            source, tokens, back = work / "frame.png", work / "frame.lbit", work / "back.png"
            Image.fromarray(frame).save(source)
            latentbit.run("encode", source, "-o", tokens, "-y")
            latentbit.run("decode", tokens, "-o", back, "-y")
            found = np.asarray(Image.open(back).convert("RGB")).astype(np.float64)
            error = np.square(found - frame).mean(2)
            values.append([psnr(error[pixels]) for pixels in (*bands, others)])
        columns = [f"{v:.2f}" for v in np.mean(values, axis=0)]
        rows.append(f"| {name} ({count}) | {' | '.join(columns)} |")
    return rows


def to_and_fro(frames: np.ndarray, count: int) -> np.ndarray:
    """The frames forwards, backwards, forwards … without showing the ends twice."""
    cycle = np.concatenate([frames, frames[-2:0:-1]])
    return cycle[np.arange(count) % len(cycle)]


def over_time(latentbit: Latentbit, data: Path, work: Path, size: int = 128) -> list[np.ndarray]:
    """PSNR of each frame of each clip's first group."""
    found = []
    for sample in clips(data, work, size, most=48):
        frames = np.frombuffer(sample.path.read_bytes(), np.uint8).reshape(-1, size, size, 3)
        frames = to_and_fro(frames, FRAMES)
        long = Sample(work / "long.rgb", ("--raw", f"{size}x{size}@{FPS}:rgb24"))
        long.path.write_bytes(frames.tobytes())
        tokens, back = work / "long.lbit", work / "back.raw"
        latentbit.run("encode", long.path, "-o", tokens, "-y", "--no-scene-cuts", *long.options)
        latentbit.run("decode", tokens, "-o", back, "-y", "--raw", "rgb24")
        decoded = np.frombuffer(back.read_bytes(), np.uint8).reshape(frames.shape).astype(np.float64)
        found.append(np.array([psnr(e) for e in np.square(decoded - frames).reshape(len(frames), -1)]))
    return found


def time_rows(found: list[np.ndarray]) -> list[str]:
    """Rows of means over clips, by chunk of the group and position in the chunk."""
    mean = np.mean(found, axis=0)
    chunks = [mean[:13], *mean[13:].reshape(-1, 16)]
    rows = [f"| key chunk | {' | '.join(f'{v:.2f}' for v in chunks[0][[0, 1, 4, 8, 12]])} | {chunks[0].mean():.2f} |"]
    for number, chunk in enumerate(chunks[1:], 2):
        shown = " | ".join(f"{v:.2f}" for v in chunk[[0, 1, 5, 10, 15]])
        rows.append(f"| chunk {number} | {shown} | {chunk.mean():.2f} |")
    steps = np.abs(np.diff(mean))
    borders = np.arange(12, len(mean) - 1, 16)
    within, across = np.delete(steps, borders).mean(), steps[borders].mean()
    rows.append(f"\nFrom one frame to the next the mean PSNR changes by {within:.2f} dB within chunks "
                f"and by {across:.2f} dB between chunks.")
    return rows


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder with images/ and videos/ that no training has seen")
    parser.add_argument("--frames", type=int, default=4, help="large frames per size")
    parser.add_argument("--latentbit", type=Path, default=Path("target/release/latentbit"))
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--model", type=Path, help="bundle to use instead of the built-in one")
    arguments = parser.parse_args()
    latentbit = Latentbit(arguments.latentbit.resolve(), arguments.threads, arguments.model, "f32")
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        files = photo_files(arguments.data)
        head = ["frames", "at windows, dB", "at shifted windows, dB", "16 pixels after windows, dB", "16 before, dB"]
        print(f"| {' | '.join(head)} | all but windows', dB |\n|---|---|---|---|---|---|")
        print("\n".join(seams(latentbit, files, work, arguments.frames)), flush=True)
        found = over_time(latentbit, arguments.data, work)
        print("\n| place in the chunk | first | second | a third | two thirds | last | all |")
        print("|---|---|---|---|---|---|---|")
        print("\n".join(time_rows(found)))


if __name__ == "__main__":
    main()

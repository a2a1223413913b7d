"""Measures the use of bits: the share of ones in each bit-plane, over held-out photos and clips.

    .venv/bin/python scripts/quality/bit_use.py DATA     # DATA holds images/ and videos/

A plane with half ones carries the most information; one that is always the same is dead. Needs Pillow, NumPy, ffmpeg
and ffprobe.
"""

from __future__ import annotations

import argparse
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from samples import Latentbit, Sample, clips, photos


def share_of_ones(latentbit: Latentbit, samples: Iterator[Sample], work: Path) -> tuple[np.ndarray, int]:
    """The share for each plane, and the number of tokens."""
    ones, count = np.zeros(0), 0
    tokens, array = work / "sample.lbit", work / "sample.npy"
    for sample in samples:
        bits = latentbit.run("encode", sample.path, "-o", tokens, "-y", "--bits", "48", *sample.options)["bits"]
        command = [str(p) for p in (latentbit.binary, "tokens", "export", tokens, "-o", array, "-y")]
        subprocess.run(command, check=True, capture_output=True)
        values = np.load(array).reshape(-1).astype(np.uint64)
        planes = (values[:, None] >> np.arange(bits, dtype=np.uint64)) & np.uint64(1)
        ones = planes.sum(0) + (ones if ones.size else 0.0)
        count += len(values)
    return ones / max(count, 1), count


def rows(name: str, shares: np.ndarray, count: int) -> list[str]:
    """A table row, with the unbalanced planes."""
    dead = int(((shares < 0.01) | (shares > 0.99)).sum())
    leaning = [f"{plane} ({share:.2f})" for plane, share in enumerate(shares) if not 0.35 <= share <= 0.65]
    head = f"| {name} | {count:,} | {shares.min():.3f} | {shares.max():.3f} | {dead} | {', '.join(leaning) or 'none'} |"
    return [head]


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder with images/ and videos/ that no training has seen")
    parser.add_argument("--latentbit", type=Path, default=Path("target/release/latentbit"))
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--model", type=Path, help="bundle to use instead of the built-in one")
    arguments = parser.parse_args()
    latentbit = Latentbit(arguments.latentbit.resolve(), arguments.threads, arguments.model, "auto")
    print("| what | tokens | fewest ones | most ones | dead planes | planes outside 0.35 to 0.65 |")
    print("|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        for name, samples in (("photos, 256×256", photos(arguments.data, work, 256)),
                              ("clips, 128×128", clips(arguments.data, work, 128))):
            print("\n".join(rows(name, *share_of_ones(latentbit, samples, work))), flush=True)


if __name__ == "__main__":
    main()

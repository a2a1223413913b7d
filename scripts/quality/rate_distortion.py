"""Our rate-quality curve and those of other codecs, on held-out photos and clips.

    .venv/bin/python scripts/quality/rate_distortion.py DATA --out runs/report     # DATA holds images/ and videos/

`target/release/latentbit eval` reports all qualities. Of ours there are two curves: the same bits of all tokens, of
which one encoding serves all rates by `latentbit trim`, and a depth for each token, which is encoded at each quality.
Writes points.json, which plot.py draws, and prints tables. --only keeps the other points of the file: other codecs do
not change with our model. Needs Pillow, ffmpeg and ffprobe.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from curves import BOUND, Point, average, comparison, from_json, table, to_json
from peers import IMAGE_PEERS, VIDEO_PEERS, Coded, code_image, code_video
from samples import Latentbit, Sample, clips, photos

BITS = (6, 9, 12, 18, 24, 36, 48)
FACTORS = (6, 12, 18, 24, 30, 36, 42)
ELASTIC = "latentbit, elastic"
Found = dict[tuple[str, str], list[tuple[float, dict[str, Any]]]]


def ours(latentbit: Latentbit, sample: Sample, work: Path, found: Found) -> None:
    """Measures every quality, every number of bits, and the VAE alone, which has no rate."""
    whole, part = work / "sample.lbit", work / "part.lbit"
    latentbit.run("encode", sample.path, "-o", whole, "-y", "--bits", str(BITS[-1]), *sample.options)
    for factor in FACTORS:
        latentbit.run("encode", sample.path, "-o", part, "-y", "--crf", str(factor), *sample.options)
        report = latentbit.run("eval", sample.path, part, *sample.options, "--no-vae")
        found[ELASTIC, f"CRF {factor}"].append((report["bpp"], report["tokens"]))
    for bits in BITS:
        latentbit.trim(whole, part, bits)
        last = bits == BITS[-1]
        report = latentbit.run("eval", sample.path, part, *sample.options, *([] if last else ["--no-vae"]))
        found["latentbit", f"{bits} bits"].append((report["bpp"], report["tokens"]))
        if last:
            found[BOUND, "not quantized"].append((0.0, report["vae"]))


def theirs(latentbit: Latentbit, sample: Sample, peers: Mapping[str, tuple[int, ...]],
           code: Callable[[str, int], Coded], found: Found) -> None:
    """Measures the other codecs at all their settings."""
    for peer, settings in peers.items():
        for setting in settings:
            coded = code(peer, setting)
            report = latentbit.run("eval", sample.path, coded.path, *sample.options)
            pixels = report["width"] * report["height"] * report["frames"]
            found[peer, f"{'quality' if peer in IMAGE_PEERS else 'CRF'} {setting}"].append(
                (8 * coded.bytes / pixels, report["quality"])
            )


def curve(
    latentbit: Latentbit, samples: Iterator[Sample], size: int, still: bool, only: str | None, work: Path
) -> list[Point]:
    """All points of one kind of picture."""
    found: Found = defaultdict(list)
    for sample in samples:
        if only != "peers":
            ours(latentbit, sample, work, found)
        if only == "ours":
            continue
        if still:
            theirs(latentbit, sample, IMAGE_PEERS, partial(code_image, sample=sample, work=work), found)
        else:
            theirs(latentbit, sample, VIDEO_PEERS, partial(code_video, sample=sample, size=size, work=work), found)
    return [average(*key, [bpp for bpp, _ in all_], [quality for _, quality in all_]) for key, all_ in found.items()]


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder with images/ and videos/ that no training has seen")
    parser.add_argument("--out", type=Path, required=True, help="folder for points.json")
    parser.add_argument("--only", choices=["ours", "peers"], help="measure only these")
    parser.add_argument("--clip-sizes", type=int, nargs="*", default=[128, 256])
    parser.add_argument("--latentbit", type=Path, default=Path("target/release/latentbit"))
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--model", type=Path, help="bundle to use instead of the built-in one")
    arguments = parser.parse_args()
    latentbit = Latentbit(arguments.latentbit.resolve(), arguments.threads, arguments.model, "f32")
    arguments.out.mkdir(parents=True, exist_ok=True)
    file = arguments.out / "points.json"
    before = from_json(json.loads(file.read_text())) if arguments.only and file.exists() else {}
    curves: dict[str, list[Point]] = dict(before)
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        kinds = [("photos, 256×256", 256, True)]
        kinds += [(f"clips, {size}×{size}", size, False) for size in arguments.clip_sizes]
        for name, size, still in kinds:
            samples = photos(arguments.data, work, size) if still else clips(arguments.data, work, size)
            new = curve(latentbit, samples, size, still, arguments.only, work)
            measured = {p.codec for p in new}
            points = curves[name] = new + [p for p in before.get(name, []) if p.codec not in measured]
            file.write_text(json.dumps(to_json(curves), indent=1) + "\n")
            if points:
                print(f"\n### {name} ({points[0].files} files)\n\n{table(points)}\n\n{comparison(points)}", flush=True)


if __name__ == "__main__":
    main()

"""Measures concealed frames, and those after them, by method: the tables of docs/concealment.md.

    .venv/bin/python scripts/conceal/measure.py DATA --out runs/conceal     # DATA holds videos/

Clips are played forwards and backwards until they have ten chunks: a group of the default length plus two chunks.
`latentbit degrade` drops chunks from each; `latentbit decode --conceal` conceals them with each method and reports the
concealed and affected frames, and `latentbit eval` measures those against the source and against the output of the
intact file. Writes losses.json after each clip, and resumes after the last one in it. Prints tables, also into
--markdown. Needs Pillow, NumPy, ffmpeg and ffprobe.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

sys.path.append(str(Path(__file__).parents[1] / "quality"))
from borders import to_and_fro
from command import Command
from pool import Pool
from samples import FPS, Report, Sample, clips

METHODS = ("freeze", "blend", "latent", "maskgit")
FRAMES = 13 + 7 * 16 + 13 + 16
CHUNKS = 10
RATES = (0.05, 0.1, 0.2)
BURST = 2
STATES = ("concealed", "affected")
HEADS = {"source": "the source", "intact": "the output of the intact file"}
REFERENCES = tuple(HEADS)

Frames = npt.NDArray[Any]


def losses(seed: int, draws: int) -> dict[str, list[list[str]]]:
    """Options of `degrade` for each kind of loss; for random losses, one set per draw."""
    every = ",".join(str(chunk) for chunk in range(3, CHUNKS, 4))
    kinds = {"every 4th chunk": [["--drop", every]]}
    for rate in RATES:
        chance = ["--loss-rate", str(rate), "--burst", str(BURST), "--seed"]
        kinds[f"{rate:.0%} at random"] = [[*chance, str(seed * draws + draw)] for draw in range(draws)]
    return kinds


def long_clip(sample: Sample, size: int, work: Path) -> Sample:
    """A clip forwards and backwards, as raw video."""
    frames = frames_of(sample.path, size)
    long = Sample(work / "long.rgb", ("--raw", f"{size}x{size}@{FPS}:rgb24"))
    long.path.write_bytes(to_and_fro(frames, FRAMES).tobytes())
    return long


class Study:
    """Measures clips, and collects the results."""

    def __init__(self, latentbit: Command, methods: list[str], options: list[str], draws: int, work: Path) -> None:
        self.latentbit, self.methods, self.options = latentbit, methods, options
        self.draws, self.work = draws, work
        self.found: list[dict[str, Any]] = []

    def measure(self, number: int, sample: Sample, size: int) -> None:
        """All losses and methods on one clip."""
        tokens, damaged = self.work / "whole.lbit", self.work / "damaged.lbit"
        # A reversed clip has no cuts; a false detection would only shift the chunks.
        encoding = ("--bits", "48", "--no-scene-cuts", *sample.options)
        self.latentbit.run("encode", sample.path, "-o", tokens, "-y", *encoding)
        source, intact = frames_of(sample.path, size), self.decode(tokens, [], size)[0]
        every = np.arange(len(source))
        self.found.append({"clip": number, "loss": "none", "quality": self.quality(source, intact, every),
                           "frames": len(source)})
        references = dict(zip(REFERENCES, (source, intact), strict=True))
        for loss, draws in losses(number, self.draws).items():
            for options in draws:
                report = self.latentbit.degrade(tokens, damaged, options)
                if report["lost_chunks"] in (0, report["chunks"]):
                    continue
                for method in self.methods:
                    extra = self.options if method == "maskgit" else []
                    frames, runs = self.decode(damaged, ["--conceal", method, "--allow-conceal", *extra], size)
                    for name, reference in references.items():
                        states = {}
                        for state in STATES:
                            which = indices(runs, state)
                            quality = self.quality(reference, frames, which)
                            states[state] = {"frames": len(which), "quality": quality}
                        self.found.append({"clip": number, "loss": loss, "lost": report["lost"], "method": method,
                                           "reference": name, **states})

    def decode(self, tokens: Path, options: list[str], size: int) -> tuple[Frames, list[dict[str, Any]]]:
        """The frames of a file, and the runs of its loss report."""
        back, losses = self.work / "back.rgb", self.work / "loss.json"
        pixels = ("--raw", "rgb24", "--loss-report", losses)
        self.latentbit.run("decode", tokens, "-o", back, "-y", "-q", *pixels, *options)
        return frames_of(back, size), json.loads(losses.read_text())["runs"]

    def quality(self, reference: Frames, frames: Frames, which: Frames) -> Report | None:
        """The command's measurements of some of the frames."""
        if not len(which):
            return None
        raw, pictures = self.work / "reference.rgb", self.work / "frames.nut"
        raw.write_bytes(reference[which].tobytes())
        height, width = reference.shape[1:3]
        options = ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{width}x{height}", "-r", str(FPS), "-i", "-"]
        command = ["ffmpeg", "-v", "error", "-y", *options, "-c:v", "rawvideo", str(pictures)]
        subprocess.run(command, check=True, input=frames[which].tobytes())
        raw_options = ("--raw", f"{width}x{height}@{FPS}:rgb24")
        report: Report = self.latentbit.run("eval", raw, pictures, *raw_options)["quality"]
        return report


def frames_of(path: Path, size: int) -> Frames:
    """All frames of a raw file, (T, H, W, 3)."""
    return np.frombuffer(path.read_bytes(), np.uint8).reshape(-1, size, size, 3)


def indices(runs: list[dict[str, Any]], state: str) -> Frames:
    """The indices of the frames with a state, from the runs of a loss report."""
    spans = [np.arange(run["first"], run["first"] + run["frames"]) for run in runs if run["state"] == state]
    return np.concatenate(spans) if spans else np.zeros(0, np.int64)


def table(found: list[dict[str, Any]], reference: str) -> str:
    """A row per loss and method, over all frames of all clips."""
    measures = "PSNR, dB | SSIM | MS-SSIM"
    head = f"| lost | method | concealed frames | {measures} | affected frames | {measures} |"
    rows = [head, "|---" * 10 + "|"]
    kinds = dict.fromkeys((item["loss"], item["method"]) for item in found if "method" in item)
    for loss, method in kinds:
        columns = []
        for state in STATES:
            pool = Pool()
            for item in found:
                if (item["loss"], item.get("method"), item.get("reference")) == (loss, method, reference):
                    pool.add(item[state]["frames"], item[state]["quality"])
            columns += [str(pool.frames), *pool.columns()]
        rows.append(f"| {loss} | {method} | {' | '.join(columns)} |")
    if reference == "source":
        pool = Pool()
        for item in found:
            if item["loss"] == "none":
                pool.add(item["frames"], item["quality"])
        rows.append(f"| nothing | – | {pool.frames} (all) | {' | '.join(pool.columns())} | – | – | – | – |")
    return "\n".join(rows)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder with videos/ that no training has seen")
    parser.add_argument("--out", type=Path, required=True, help="folder for losses.json")
    parser.add_argument("--markdown", type=Path, help="file to write the tables to")
    parser.add_argument("--size", type=int, default=256, help="side of the clips; MS-SSIM needs at least 176")
    parser.add_argument("--clips", type=int, help="use only the first N clips")
    parser.add_argument("--draws", type=int, default=1, help="random losses per rate and clip")
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS))
    parser.add_argument("--latentbit", type=Path, default=Path("target/release/latentbit"))
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--dtype", choices=["auto", "bf16", "f32"], default="f32")
    parser.add_argument("--model", type=Path, help="bundle to use instead of the built-in one")
    parser.add_argument("--predictor", type=Path, help="predictor to use instead of the bundle's own")
    arguments = parser.parse_args()
    latentbit = Command(arguments.latentbit.resolve(), arguments.threads, arguments.model, arguments.dtype)
    options = ["--predictor", str(arguments.predictor)] if arguments.predictor else []
    arguments.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        results = arguments.out / "losses.json"
        study = Study(latentbit, arguments.methods, options, arguments.draws, work)
        study.found = json.loads(results.read_text()) if results.exists() else []
        known = {item["clip"] for item in study.found}
        for number, sample in enumerate(clips(arguments.data, work, arguments.size, most=48)):
            if number == arguments.clips:
                break
            if number in known:
                continue
            study.measure(number, long_clip(sample, arguments.size, work), arguments.size)
            results.write_text(json.dumps(study.found, indent=1) + "\n")
            print(f"clip {number} measured", file=sys.stderr, flush=True)
    parts = (f"Compared with {HEADS[reference]}:\n\n{table(study.found, reference)}" for reference in REFERENCES)
    text = "\n\n".join(parts) + "\n"
    print(text, end="")
    if arguments.markdown:
        arguments.markdown.write_text(text)


if __name__ == "__main__":
    main()

"""Packs everything for a GPU machine without network and Rust: `scripts/gpu/bundle`.

    scripts/gpu/bundle                          # runs/gpu-bundle, laid out as a checkout
    scripts/gpu/bundle --tar                    # runs/gpu-bundle.tar.xz, which Python alone unpacks
    scripts/gpu/bundle --tar --built-only       # programs and clips, for a machine that has the checkout too
    scripts/gpu/bundle --data FOLDER            # clips cut out of the videos there

The command is built without libav: it reads and writes y4m, raw video, PNG and JPEG.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import lzma
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

from . import clips, elf
from .compile import programs
from .paths import MANIFEST, PACKED, ROOT

LIMIT_MIB = 64.0
TREE = (
    "models/default.safetensors", "models/default-predictor.safetensors", "testdata/golden", "testdata/wan",
    "scripts/gpu", "scripts/bench", "training/latentbit_training", "docs/gpu.md", "LICENSE-MIT", "LICENSE-APACHE",
    # Tests go through the folder of their package to their data.
    "codec/Cargo.toml",
)
CLIP_SIZES = ((192, 192), (256, 144), (128, 128))
CLIP_FRAMES = 29


def arguments(argv: list[str] | None) -> argparse.Namespace:
    p = argparse.ArgumentParser(prog="bundle", description=__doc__,
                                formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--out", type=Path, default=PACKED, help="folder to replace; default runs/gpu-bundle")
    p.add_argument("--tar", action="store_true", help="also make an archive, whose size then counts")
    p.add_argument("--form", choices=("xz", "zst"), default="xz", help="archive format; zst needs the program zstd")
    p.add_argument("--built-only", action="store_true", help="leave out files of the checkout")
    p.add_argument("--data", type=Path, help="folder with videos to cut clips from")
    p.add_argument("--more", type=Path, nargs="+", default=[], help="files to add: a packed cache, a checkpoint")
    p.add_argument("--limit-mib", type=float, default=LIMIT_MIB)
    p.add_argument("--features", default="cuda", help="cargo features")
    p.add_argument("--root", type=Path, default=Path("/tmp/latentbit-gpu"), help="link below which tests are compiled")
    p.add_argument("--given", type=Path, help="build nothing: folder with latentbit, model and tests/")
    return p.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    options = arguments(argv)
    out: Path = options.out.resolve()
    if out.exists() and not (out / MANIFEST).exists() and any(out.iterdir()):
        raise SystemExit(f"bundle: {out} is something else: it has no {MANIFEST}")
    shutil.rmtree(out, ignore_errors=True)
    (out / "bin" / "tests").mkdir(parents=True)
    # First, so that an unfinished folder is recognized as ours.
    (out / MANIFEST).write_text("{}\n")
    if options.given:
        made = {name: options.given / name for name in ("latentbit", "model")}
        tests = {path.name: path for path in sorted((options.given / "tests").glob("*"))}
    else:
        made, tests = programs(options.root, options.features)
    placed = [place(path, out / "bin" / name) for name, path in made.items()]
    placed += [place(path, out / "bin" / "tests" / name) for name, path in tests.items()]
    about = wanted(placed, out)
    make_clips(out / "clips", options.data)
    if not options.built_only:
        for name in tracked(TREE):
            copy(ROOT / name, out / name)
    for path in options.more:
        copy(path, out / path.name)
    manifest = {"commit": commit(), "features": options.features, "root": str(options.root), "programs": about,
                "files": {str(path.relative_to(out)): digest(path) for path in files(out)}}
    (out / MANIFEST).write_text(json.dumps(manifest, indent=1) + "\n")
    return report(out, archived(out, options.form) if options.tar else None, options.limit_mib)


def place(source: Path, target: Path) -> Path:
    """Copies a program without its symbols."""
    copy(source, target)
    if shutil.which("strip") and target.read_bytes()[:4] == b"\x7fELF":
        subprocess.run(["strip", str(target)], check=True)
    return target


def copy(source: Path, target: Path) -> None:
    """Copies a file with its mode, making its folder."""
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy2(source, target)


def wanted(placed: list[Path], out: Path) -> dict[str, dict[str, object]]:
    """Prints and checks the programs' requirements: one that would not start there is an error."""
    about: dict[str, dict[str, object]] = {}
    for path in placed:
        if path.read_bytes()[:4] != b"\x7fELF":
            continue
        libraries, version = elf.wants(path)
        about[str(path.relative_to(out))] = {"libraries": libraries, "glibc": version}
        print(f"{path.relative_to(out)}: glibc {version}; {', '.join(libraries)}")
        if missing := elf.foreign(libraries):
            raise SystemExit(f"bundle: {path.name} would not start on a bare machine: it needs {', '.join(missing)}")
    return about


def make_clips(folder: Path, data: Path | None) -> None:
    """Clips from videos, from the demo's clip if its photos are installed, or of the pattern."""
    folder.mkdir()
    with tempfile.TemporaryDirectory() as scratch:
        videos = sorted(path for path in data.rglob("*") if path.suffix.lower() in (".mp4", ".mkv", ".webm", ".y4m")
                        ) if data else []
        demo = Path(scratch) / "demo.mp4"
        if not data and shutil.which("ffmpeg"):
            made = subprocess.run([sys.executable, str(ROOT / "scripts" / "demo" / "make_clip.py"), str(demo)],
                                  check=False, capture_output=True)
            videos = [demo] * len(CLIP_SIZES) if made.returncode == 0 else []
        step = max(1, len(videos) // len(CLIP_SIZES))
        for number, size in enumerate(CLIP_SIZES):
            path = folder / f"clip-{number}-{size[0]}x{size[1]}.y4m"
            if number * step < len(videos):
                clips.cut(videos[number * step], path, size, CLIP_FRAMES, start=2.0 * number if not data else 0.0)
            else:
                clips.pattern(path, *size, CLIP_FRAMES)


def tracked(names: tuple[str, ...]) -> list[str]:
    """Files of the checkout below these names: tracked ones, and new ones that git does not ignore."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", *names]
    found = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT).stdout.split("\0")
    return [name for name in found if name and (ROOT / name).is_file()]


def commit() -> str:
    """The packed commit, with a plus if files differ from it."""
    def ask(*words: str) -> str:
        return subprocess.run(["git", *words], capture_output=True, text=True, check=False, cwd=ROOT).stdout.strip()

    return (ask("rev-parse", "--short=10", "HEAD") or "unknown") + ("+" if ask("status", "--porcelain") else "")


def files(out: Path) -> list[Path]:
    """All files below a folder."""
    return sorted(path for path in out.rglob("*") if path.is_file())


def digest(path: Path) -> str:
    """SHA-256."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def archived(out: Path, form: str) -> Path:
    """Makes an archive whose window spans all of it: the model is in the command and next to it, and counts once."""
    path = out.with_name(f"{out.name}.tar.{form}")
    if form == "zst":
        command = f"tar -C '{out}' -cf - . | zstd -q -19 --long=27 -f -o '{path}'"
        subprocess.run(["bash", "-o", "pipefail", "-c", command], check=True)
        return path
    filters = [{"id": lzma.FILTER_LZMA2, "preset": 6, "dict_size": 96 << 20}]
    with lzma.open(path, "wb", format=lzma.FORMAT_XZ, filters=filters) as sink, \
            tarfile.open(fileobj=sink, mode="w|") as tar:
        for each in files(out):
            tar.add(each, str(each.relative_to(out)))
    return path


def report(out: Path, archive: Path | None, limit_mib: float) -> int:
    """Lists the contents by size, and returns whether they fit."""
    sizes: dict[str, int] = {}
    for path in files(out):
        parts = path.relative_to(out).parts
        name = "/".join(parts[:-1] if parts[0] in ("training", "scripts", "testdata") else parts)
        sizes[name] = sizes.get(name, 0) + path.stat().st_size
    for name, size in sorted(sizes.items(), key=lambda item: -item[1]):
        print(f"{size / 2**20:8.2f} MiB  {name}")
    total = archive.stat().st_size if archive else sum(sizes.values())
    print(f"{total / 2**20:8.2f} MiB  {archive or out}, of {limit_mib:g}")
    if total > limit_mib * 2**20:
        advice = "--built-only leaves out files of the checkout" + ("" if archive else ", --tar packs it")
        print(f"bundle: too large; {advice}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

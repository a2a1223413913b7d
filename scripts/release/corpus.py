"""Writes what a release writes to `testdata/releases/VERSION`, once: later versions must read it for good.

    python3 scripts/release/corpus.py COMMAND

COMMAND is the built command of the release; the folder of its version must not be there yet. Needs ffmpeg. The folder
gets `.lbit` files, an array of tokens with its sidecar, a shard of an archive, the model of them all, and
`release.json`, which says of each what `latentbit` must find in it. After that

    LATENTBIT_WRITE_RELEASES=1 cargo test -p latentbit-container --test conformance releases

adds what any reader must find: `NAME.json`, as for the conformance files.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
MODEL = ROOT / "testdata" / "golden" / "storage-int8.safetensors"

# Numbers of the frames that are described in `release.json`.
FRAMES = (0, 20, 40)

# Name, and how it is made; `{m}` is the model. A file is made in the folder of the sources, from what is there by then.
RECIPES = {
    "raw": "encode clip.y4m -o {o} --bits 10 --coder raw {m}",
    "zstd": "encode clip.y4m -o {o} --bits 10 --coder zstd {m}",
    "cm": "encode clip.y4m -o {o} --bits 10 --coder cm --group 2 {m}",
    "few-bits": "encode clip.y4m -o {o} --bits 4 {m}",
    "one-group": "encode clip.y4m -o {o} --bits 10 --group 0 {m}",
    "elastic": "encode clip.y4m -o {o} --bpp 0.5 {m}",
    "still": "encode still.png -o {o} --bits 10 {m}",
    "sound": "encode sound.mkv -o {o} --bits 10 {m}",
    "attached": "encode attached.mkv -o {o} --bits 10 {m}",
    "times": "encode times.mkv -o {o} --bits 10 {m}",
    "trim": "trim cm.lbit -o {o} --bits 5",
    "cut": "cut cm.lbit -o {o} --from 29f",
    "concat": "concat cut.lbit zstd.lbit -o {o}",
    "held": "degrade cm.lbit -o {o} --drop 1 --hold",
    "left-out": "degrade cm.lbit -o {o} --drop 1",
    "recovered": "recover damaged.lbit -o {o}",
}


def main() -> int:
    if len(sys.argv) != 2:
        print(__doc__, file=sys.stderr)
        return 2
    command = str(Path(sys.argv[1]).resolve())
    version = run([command, "--version"], Path.cwd()).stdout.decode().split()[1]
    major, minor = version.split(".")[:2]
    folder = ROOT / "testdata" / "releases" / f"{major}.{minor}"
    if folder.exists():
        print(f"{folder}: is there already, and what a release wrote never changes", file=sys.stderr)
        return 1
    folder.mkdir(parents=True)
    shutil.copyfile(MODEL, folder / "model.safetensors")
    with tempfile.TemporaryDirectory() as work:
        write(command, version, Path(work), folder)
    return 0


def write(command: str, version: str, work: Path, folder: Path) -> None:
    sources(work)
    model = f"--model {folder / 'model.safetensors'} --dtype f32 --device cpu"
    files = {}
    for name, recipe in RECIPES.items():
        if name == "recovered":
            # A byte of the second chunk, as a bad disk has it.
            damaged = bytearray((work / "raw.lbit").read_bytes())
            damaged[len(damaged) // 3] ^= 0x40
            (work / "damaged.lbit").write_bytes(damaged)
        made = work / f"{name}.lbit"
        line = recipe.format(o=made.name, m=model)
        run([command, *line.split()], work, codes=(0, 3))
        files[name] = expected(command, made, model, folder, made_by=recipe.format(o=made.name, m="--model MODEL"))
    # What was left when power failed: whole chunks and no end.
    whole = (work / "cm.lbit").read_bytes()
    (work / "unfinished.lbit").write_bytes(whole[: len(whole) * 2 // 3])
    files["unfinished"] = expected(command, work / "unfinished.lbit", model, folder, made_by="two thirds of cm.lbit")
    run([command, *"tokens export elastic.lbit -o tokens.npy".split()], work)
    archive = f"archive clip.y4m still.png -o shards --bits 10 --format webdataset {model}"
    run([command, *archive.split()], work)
    others = [*sorted(work.glob("tokens*")), *sorted((work / "shards").glob("*.tar"))]
    for other in others:
        shutil.copyfile(other, folder / other.name)
    manifest = {
        "version": version,
        "model": sha256(folder / "model.safetensors"),
        "files": files,
        "others": {other.name: sha256(other) for other in others},
    }
    text = json.dumps(manifest, indent=1, ensure_ascii=False)
    (folder / "release.json").write_text(text + "\n", encoding="utf-8")


def expected(command: str, made: Path, model: str, folder: Path, made_by: str) -> dict[str, object]:
    """Keeps a file; what must be found in it."""
    shutil.copyfile(made, folder / made.name)
    verify = run([command, "verify", "--json", str(made)], made.parent, codes=(0, 3, 4))
    report = json.loads(verify.stdout)
    line = f"decode {made} -o - --raw rgb24 --conceal freeze --allow-conceal {model}"
    decode = run([command, *line.split()], made.parent, codes=(0, 3, 4))
    info = json.loads(run([command, "info", "--json", str(made)], made.parent, codes=(0, 3, 4)).stdout)
    width, height = info["width"], info["height"]
    size = width * height * 3
    assert decode.stdout and len(decode.stdout) % size == 0
    count = len(decode.stdout) // size
    return {
        "made_by": made_by,
        "sha256": sha256(made),
        "state": report["state"],
        "verify": verify.returncode,
        "decode": decode.returncode,
        "digests": report["digests"],
        "frames": count,
        "means": {
            frame: means(decode.stdout[frame * size : (frame + 1) * size], width).hex()
            for frame in FRAMES
            if frame < count
        },
    }


def means(picture: bytes, width: int) -> bytes:
    """Means of squares of 16x16 pixels, row by row, of R, G and B: what a picture must be like on any machine."""
    height = len(picture) // (3 * width)
    return bytes(
        round(sum(picture[((y + j) * width + x + i) * 3 + c] for j in range(16) for i in range(16)) / 256)
        for y in range(0, height - 15, 16)
        for x in range(0, width - 15, 16)
        for c in range(3)
    )


def sources(work: Path) -> None:
    """What is encoded: two seconds of a clip, with sound and subtitles, with other times, and a picture."""
    clip = "-f lavfi -i testsrc2=s=96x64:r=25:d=2"
    lines = "1\n00:00:00,200 --> 00:00:00,900\nGrüße\n\n2\n00:00:01,100 --> 00:00:01,700\nzwei\nZeilen\n"
    (work / "text.srt").write_text(lines, encoding="utf-8")
    chapters = ";FFMETADATA1\ntitle=A clip\nartist=Nobody\n[CHAPTER]\nTIMEBASE=1/1000\nSTART=0\nEND=800\ntitle=Anfang\n"
    (work / "about.txt").write_text(chapters, encoding="utf-8")
    sound = "-f lavfi -i sine=f=440:d=2:r=8000 -i text.srt -i about.txt -map_metadata 3 -map 0 -map 1 -map 2"
    for line in (
        f"{clip} -pix_fmt yuv420p -strict -1 clip.y4m",
        f"{clip} -frames:v 1 -pix_fmt rgb24 still.png",
        f"{clip} {sound} -c:v libx264 -c:a aac -b:a 8k -c:s subrip -metadata:s:a language=ger sound.mkv",
        # No font that anybody could show.
        f"{clip} -frames:v 13 -attach about.txt -metadata:s:t mimetype=font/ttf -metadata:s:t filename=Grüße.ttf "
        "-metadata:s:v stereo_mode=left_right -c:v ffv1 attached.mkv",
        f"{clip} -vf setpts=PTS+gt(N\\,19)*0.3/TB -fps_mode vfr -c:v ffv1 times.mkv",
    ):
        run(["ffmpeg", "-v", "error", *line.split()], work)


def run(line: list[str], folder: Path, codes: tuple[int, ...] = (0,)) -> subprocess.CompletedProcess[bytes]:
    done = subprocess.run(line, cwd=folder, capture_output=True, check=False)
    if done.returncode not in codes:
        raise SystemExit(f"{' '.join(line)}: ended with {done.returncode}: {done.stderr.decode()}")
    return done


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


if __name__ == "__main__":
    sys.exit(main())

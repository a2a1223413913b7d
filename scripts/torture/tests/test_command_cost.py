"""What hostile files cost the built command (`spec/lbit-1.md` §9.1): work linear in their bytes, and memory of at most
a stated factor of them. Work is what the container counts, which `-vv` tells at the end of a run; nothing is timed."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from power_loss import MODEL, ROOT, clip

COMMAND = ROOT / "target" / "debug" / "latentbit"

# Memory for each byte of a file: tables of chunks are kept, and printed as text. The rest is the program itself.
MOST_MEMORY = 40
ALLOWANCE = 16 << 20
# Passes over each byte, and work that any file may take: as in `container/src/cost.rs`; some commands read twice.
PASSES = 80
MOST_WORK = 2 << 20

pytestmark = pytest.mark.skipif(not COMMAND.exists(), reason="target/debug/latentbit is not built")


def of_the_reader(name: str) -> Any:
    """A module of the plain-Python reader's tests."""
    for folder in (ROOT / "spec" / "reader", ROOT / "spec" / "reader" / "tests"):
        sys.path.append(str(folder))
    spec = importlib.util.spec_from_file_location(f"reader_{name}", ROOT / "spec" / "reader" / "tests" / f"{name}.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


FAMILIES: dict[str, Callable[[int], bytes]] = of_the_reader("test_cost").FAMILIES

COMMANDS = [
    "info {f}",
    "info --json --chunks {f}",
    "verify {f}",
    "recover {f} -o out.lbit -y",
    "trim {f} --bits 1 -o out.lbit -y",
    "cut {f} --to 1 -o out.lbit -y",
    "concat {f} {f} -o out.lbit -y",
    "degrade {f} --drop 0.1 -o out.lbit -y",
    "index copy.lbit",
    "tokens export {f} -o out.npy -y",
    "decode {f} -o out.mkv -y {m}",
    "thumbnail {f} -o out.png -y {m}",
]


def cost(line: str, data: bytes, folder: Path) -> tuple[int, int, int]:
    """The exit code of a command, the work that it counts, and its peak memory."""
    for name in ("hostile.lbit", "copy.lbit"):
        (folder / name).write_bytes(data)
    words = line.format(f="hostile.lbit", m=f"--model {MODEL} --dtype f32 --threads 1").split()
    with (folder / "stderr").open("wb") as stderr:
        no = subprocess.DEVNULL
        process = subprocess.Popen([str(COMMAND), "-vv", *words], cwd=folder, stdout=no, stderr=stderr, stdin=no)
        _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    told = re.search(r"(\d+) bytes of \.lbit files were moved", (folder / "stderr").read_text(errors="replace"))
    return process.returncode, int(told[1]) if told else 0, usage.ru_maxrss * 1024


@pytest.mark.parametrize("family", FAMILIES)
def test_work_is_linear_and_memory_bounded(family: str, tmp_path: Path) -> None:
    small, large = FAMILIES[family](400), FAMILIES[family](1600)
    counted = 0
    for line in COMMANDS:
        _, little, before = cost(line, small, tmp_path)
        code, much, peak = cost(line, large, tmp_path)
        assert 0 <= code <= 6, f"{line}: {code}"
        # Families grow by more than a file does where claims are nested.
        growth = max(4.0, len(large) / len(small))
        assert much <= 1.5 * growth * little + MOST_WORK, f"{line}: {little} for {len(small)}, {much} for {len(large)}"
        assert much <= PASSES * len(large) + MOST_WORK, f"{line}: {much} for {len(large)} bytes"
        assert peak <= before + MOST_MEMORY * len(large) + ALLOWANCE, f"{line}: {before} and {peak} bytes of memory"
        counted += much > 0
    assert counted >= 5, "commands tell what they count"


def test_late_packets_are_put_in_order_at_a_bounded_cost(tmp_path: Path) -> None:
    """Packets that come long after their pictures, the latest first, on their way into a media file."""
    if shutil.which("ffmpeg") is None:
        pytest.skip("a build with libav is needed")
    writer = of_the_reader("writer")
    clip(tmp_path / "a.y4m", 5)
    words = f"encode a.y4m -o a.lbit --model {MODEL} --dtype f32 --threads 1".split()
    subprocess.run([COMMAND, *words], cwd=tmp_path, check=True, capture_output=True)
    info = json.loads(subprocess.run([COMMAND, "info", "--json", "a.lbit"], cwd=tmp_path, capture_output=True).stdout)
    bundle = info["bundle"]
    (k_t, k_h, k_w), (s_t, s_h, s_w) = info["patch"], info["strides"]

    def late(n: int) -> bytes:
        stream = writer.token_stream(
            width=16, height=16, sha=bytes.fromhex(bundle["sha256"]), name=bundle["name"].encode(), chunk=2,
            bundle_bits=info["bundle_bits"], k_t=k_t, k_h=k_h, k_w=k_w, s_t=s_t, s_h=s_h, s_w=s_w,
        )  # fmt: skip
        made = writer.Writer(stream, writer.packet_stream())
        made.chunk(t=-(-2 // k_t), h=-(-16 // (s_h * k_h)), w=-(-16 // (s_w * k_w)))
        made.packets([(2 * (n - i), b"\0" * 8) for i in range(n)])
        return made.end().data

    small, large = late(4000), late(16000)
    line = "decode {f} -o out.mkv -y {m}"
    _, little, before = cost(line, small, tmp_path)
    code, much, peak = cost(line, large, tmp_path)
    assert code == 0, (tmp_path / "stderr").read_text(errors="replace")
    assert much <= 6 * little + MOST_WORK
    assert peak <= before + MOST_MEMORY * len(large) + ALLOWANCE

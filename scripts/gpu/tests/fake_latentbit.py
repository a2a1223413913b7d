"""A fake of the command: knows the options that `verify` uses, and codes a clip as its own bytes.

FAKE=drift makes bf16 tokens differ, FAKE=random makes every encoding different, FAKE=panic makes a missing GPU a
panic.
"""

from __future__ import annotations

import json
import os
import random
import sys
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

HABIT = os.environ.get("FAKE", "")


def option(name: str, default: str = "") -> str:
    return sys.argv[sys.argv.index(name) + 1] if name in sys.argv else default


def main() -> None:
    command, device = sys.argv[1], option("--device", "auto")
    if device.startswith("cuda"):
        sys.exit("thread 'main' panicked: no CUDA" if HABIT == "panic" else "ERROR --device cuda: there is no GPU here")
    if command == "info":
        print(json.dumps({"schema": "latentbit.device/1", "device": "cpu", "kernels": "fake"}))
    elif command == "encode":
        data = Path(sys.argv[2]).read_bytes()[64:128]
        if HABIT == "drift" and option("--dtype") == "bf16":
            data = bytes(255 - value for value in data)
        if HABIT == "random":
            data = random.randbytes(64)
        Path(option("-o")).write_bytes(data)
        print(json.dumps({"device": "cpu", "peak_mem_bytes": 10_000_000}))
    elif command == "tokens":
        path = Path(option("-o"))
        np.save(path, np.frombuffer(Path(sys.argv[3]).read_bytes(), np.uint8))
        path.with_suffix(".npy.json").write_text(json.dumps({"video": {"bits": 8}}))
    elif command in ("decode", "latents"):
        source = Path(sys.argv[3 if command == "latents" else 2]).read_bytes()[:64]
        values = np.frombuffer(source, np.uint8).astype(np.float32)
        save_file({"frames" if command == "decode" else "latents": values}, option("-o"))
    elif command == "eval":
        print(json.dumps({"tokens": {"psnr": 30.0}}))


if __name__ == "__main__":
    main()

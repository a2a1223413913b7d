"""Every command of docs/training.md, one after the other, on a VAE with the official layout and few channels."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from conftest import COMMAND, ROOT

from latentbit_training import bundle, cli, golden, official
from latentbit_training.config import wan, wan21
from latentbit_training.vae import WanVae

PAGE = ROOT / "docs" / "training.md"
TINY = {
    "tokenizer": "--preset tiny --bits 10 --size 16 --steps 3 --minutes 0 --no-compile --device cpu --log-every 1 "
                 "--workers 0",
    "decoder": "--size 16 --steps 1 --minutes 0 --no-compile --device cpu",
    "estimate": "--vae tiny --tokenizer tiny --machines 1x1@1 --size 16 --no-recompute",
    "throughput": "--workers 0 --seconds 0.1 --size 16 --batch 1 --clip-frames 5",
    "evaluate": "--bits 3 10 --limit 1 --device cpu",
    "latents": "--device cpu",
}
"""What is smaller here; the last of two equal options counts."""


def commands() -> list[list[str]]:
    text = "\n".join(re.findall(r"```sh\n(.*?)```", PAGE.read_text(), re.S)).replace("\\\n", " ")
    return [shlex.split(line) for line in text.splitlines() if line.strip()]


def test_the_page(data: Path, served: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    vae = WanVae(replace(wan21(), stages=wan(4).stages)).eval().requires_grad_(False)
    golden.stir(vae)
    official.write_checkpoint(tmp_path / "Wan2.1_VAE.pth", vae)
    (tmp_path / "DATA").symlink_to(data)
    (tmp_path / "VAL").mkdir()
    (tmp_path / "VAL" / "a.png").symlink_to(data / "images" / "sea_0.png")
    (tmp_path / "in.mp4").symlink_to(data / "videos" / "count_0.mkv")
    monkeypatch.chdir(tmp_path)
    run = []
    for words in commands():
        if words[0] == "latentbit":
            if COMMAND is not None:
                environment = os.environ | {"LATENTBIT_MODELS": str(tmp_path / "kept")}
                subprocess.run([str(COMMAND), *words[1:]], check=True, env=environment)
            continue
        # One rank stands for those of torchrun, whose own tests are elsewhere.
        start = words.index("latentbit_training") if words[0] == "torchrun" else words.index("latentbit-train")
        name, *rest = words[start + 1 :]
        assert cli.main([name, *rest, *shlex.split(TINY.get(name, ""))]) == 0, words
        run.append(name)
    assert run == ["cache", "latents", "tokenizer", "shard", "throughput", "tokenizer", "estimate",
                   "decoder", "evaluate", "export", "push"]

    config, _, tokenizer = bundle.load(tmp_path / "models" / "wan21-small.safetensors")
    assert tokenizer is not None
    assert config.vae.latent_channels == tokenizer.config.latent_channels == 16
    assert (COMMAND is not None) == (tmp_path / "out.lbit").exists()
    assert served.repos["YOU/wan21-small"].keys() == {"latentbit.safetensors", "README.md"}
    card = (tmp_path / "models" / "wan21-small.md").read_text()
    assert "# wan21-small" in card
    assert re.search(r"SHA-256 `[0-9a-f]{64}`", card)
    assert "- tokenizer: 10 bits a token" in card
    assert "| 3 | " in card
    options = json.loads(card.split("## options of the tokenizer's training")[1].split("```json")[1].split("```")[0])
    assert options["steps"] == 3

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import pytest

from latentbit_training import search
from latentbit_training.config import TOKENIZER_PRESETS, VAE_PRESETS, compact, tokenizer_config, vae_config
from latentbit_training.cost import costs
from latentbit_training.tokenizer import Tokenizer
from latentbit_training.vae import WanVae

CONFIGS = sorted((Path(__file__).parents[1] / "configs").glob("*.json"))


def test_the_configs_are_of_the_family() -> None:
    assert len(CONFIGS) >= 5
    for path in CONFIGS:
        config = vae_config(json.loads(path.read_text()))
        assert config.strides == compact().strides
        channels = path.stem.removeprefix("light") if path.stem.startswith("light") else ""
        assert config.latent_channels == int(channels or compact().latent_channels)
        # Within what the shipped one may cost.
        assert costs(WanVae(config), None, 64, 5)[-1].gflop_per_frame * 4 < 12


def test_search(
    cached: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(search, "compact", VAE_PRESETS["tiny"])
    other = tmp_path / "other.json"
    other.write_text(json.dumps(asdict(VAE_PRESETS["tiny"]())))
    command = ["--cache", str(cached), "--val", str(data), "--out", str(tmp_path / "runs"), "--tflop", "0.001"]
    command += ["--no-compile", "--device", "cpu", "--image-size", "16", "--clip-share", "0", "--image-batch", "2"]
    results = search.main([*command, "--configs", str(other)])
    assert [r.name for r in results] == ["compact", "other"]
    assert results[0].weights == results[1].weights == 69680
    step = 3 * 2 * costs(WanVae(VAE_PRESETS["tiny"]()), None, 16, 1)[-1].gflop_per_frame
    assert results[0].steps == round(1000 * 0.001 / step)
    assert results[0].images is not None
    printed = capsys.readouterr().out
    assert printed.count("| other |") == 1
    # What is complete is looked up, not trained again.
    log = (tmp_path / "runs" / "other" / "log.jsonl").read_text()
    assert search.main([*command, "--configs", str(other)]) == results
    assert (tmp_path / "runs" / "other" / "log.jsonl").read_text() == log


def test_the_tokenizers_configs_change_the_preset_they_name() -> None:
    shipped = TOKENIZER_PRESETS["compact"]()
    weights = sum(p.numel() for p in Tokenizer(shipped).parameters())
    files = sorted((Path(__file__).parents[1] / "configs" / "tokenizer").glob("*.json"))
    assert files
    for file in files:
        config = tokenizer_config(asdict(shipped) | json.loads(file.read_text()))
        assert config != shipped
        found = sum(p.numel() for p in Tokenizer(config).parameters())
        # The light ones are for a VAE of a fifth of the operations.
        least, most = (0.2, 0.6) if file.stem.startswith("light") else (0.8, 1.25)
        assert least * weights < found < most * weights, file.name

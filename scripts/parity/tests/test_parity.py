"""Everything but diffusers: clips, weights, errors, and the measured command."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import numpy as np
import pytest
import torch
from errors import Row, relative_error, table, verdict
from implementations import Command, Recipe, compared
from latentbit_training import official
from make_weights import CHECKPOINTS, FOLDER, main, random_weights, reduced
from safetensors.torch import load_file, save_file
from smooth_clip import smooth_clip


def test_clips_are_smooth_and_seeded() -> None:
    clip = smooth_clip(9, 32, 48)
    assert clip.shape == (9, 32, 48, 3)
    assert clip.dtype == np.uint8
    assert (clip == smooth_clip(9, 32, 48)).all()
    assert (clip[:5] == smooth_clip(5, 32, 48)).all()
    assert (clip != smooth_clip(9, 32, 48, seed=2)).any()
    values = clip.astype(float)
    assert values.std() > 40
    for axis in range(3):
        assert np.abs(np.diff(values, axis=axis)).mean() < values.std()
    assert np.isin(clip, (0, 255)).mean() < 0.1


def test_errors_are_relative_to_the_largest_value() -> None:
    reference = torch.tensor([0.0, -4.0, 1.0])
    assert relative_error(reference, reference) == 0
    assert relative_error(torch.tensor([0.0, -4.0, 1.5]), reference) == pytest.approx(0.125)
    assert relative_error(torch.zeros(2), reference) == float("inf")
    assert relative_error(torch.tensor([0.0, float("nan"), 1.0]), reference) == float("inf")


def test_table_and_verdict() -> None:
    rows = [Row("wan21", "checkpoint", 17, 64, 96, 2e-6, 3e-5), Row("wan21", "diffusers", 1, 64, 96, 2e-6, 2e-4)]
    assert [row.failed for row in rows] == [False, True]
    assert Row("wan21", "diffusers", 1, 64, 96, float("nan"), 0).failed
    lines = table(rows).splitlines()
    assert lines[2] == "| wan21 | checkpoint | 17 | 64×96 | 2.0e-06 | 3.0e-05 |"
    assert lines[3].endswith("2.0e-04 **failed** |")
    assert verdict(rows).startswith("2 comparisons, 1 above 1e-04; largest: 2.0e-06 of latents, 2.0e-04 of frames")


def test_reduced_widths_keep_their_ratio() -> None:
    config = reduced("wan22", 10)
    assert [stage.channels for stage in config.stages] == [10, 20, 40, 40]
    assert [stage.channels_up for stage in config.stages] == [16, 32, 64, 64]
    assert (config.shortcuts, config.patch, config.latent_channels) == (True, 2, 48)
    assert reduced("wan21", None).stages[0].channels == 96


@pytest.mark.parametrize("name", CHECKPOINTS)
def test_weights_in_both_layouts(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["make_weights.py", str(tmp_path), "--vae", name, "--base-dim", "4"])
    main()
    expected = random_weights(reduced(name, 4), 1).state_dict()
    for path in (tmp_path / CHECKPOINTS[name], tmp_path / FOLDER):
        config, state = official.read(path)
        assert config == reduced(name, 4)
        assert state.keys() == expected.keys()
        assert all(torch.equal(value, expected[key]) for key, value in state.items())
    gains = expected["encoder.downsamples.0.residual.0.gamma" if name == "wan21" else "encoder.head.0.gamma"]
    assert gains.std() > 0.05
    assert expected["encoder.conv1.bias"].std() > 0.01
    assert sorted(file.name for file in tmp_path.iterdir()) == sorted([CHECKPOINTS[name], FOLDER])


@pytest.mark.parametrize("name", CHECKPOINTS)
def test_signals_stay_at_about_their_size(name: str, tmp_path: Path) -> None:
    official.write_checkpoint(tmp_path / "a.pth", random_weights(reduced(name, 8), 1))
    (tmp_path / "clip.rgb").write_bytes(smooth_clip(5, 32, 48).tobytes())
    recipe = Recipe()
    recipe.encode(tmp_path / "a.pth", tmp_path / "clip.rgb", 32, 48, tmp_path / "latents")
    recipe.decode(tmp_path / "a.pth", tmp_path / "latents", tmp_path / "frames")
    latents, frames = load_file(tmp_path / "latents")["latents"], load_file(tmp_path / "frames")["frames"]
    stride = 8 if name == "wan21" else 16
    assert latents.shape == (1, 16 if name == "wan21" else 48, 2, 32 // stride, 48 // stride)
    assert frames.shape == (1, 3, 5, 32, 48)
    assert 0.1 < latents.std() < 10
    assert 0.1 < frames.std() < 0.8
    assert (frames.abs() == 1).float().mean() < 0.1


COMMAND = """#!/bin/sh
echo "$@" >>"$(dirname "$0")/calls"
[ "$2" = compare ] && cat "$(dirname "$0")/answer"
exit 0
"""


@pytest.fixture
def command(tmp_path: Path) -> Command:
    """A command that records its calls, and answers `compare` as instructed."""
    binary = tmp_path / "latentbit"
    binary.write_text(COMMAND)
    binary.chmod(binary.stat().st_mode | stat.S_IXUSR)
    return Command(binary, ["--dtype", "f32"])


def test_how_the_command_is_called(command: Command, tmp_path: Path) -> None:
    command.encode(Path("m.pth"), Path("clip.rgb"), 64, 96, Path("l.safetensors"))
    command.decode(Path("m"), Path("l.safetensors"), Path("f.safetensors"))
    assert (tmp_path / "calls").read_text().splitlines() == [
        "latents encode clip.rgb --raw 96x64@25:rgb24 --model m.pth -o l.safetensors --dtype f32",
        "latents decode l.safetensors --model m -o f.safetensors --dtype f32",
    ]


def test_what_the_command_says_of_itself_is_checked(command: Command, tmp_path: Path) -> None:
    ours, reference = tmp_path / "a.safetensors", tmp_path / "b.safetensors"
    save_file({"latents": torch.tensor([1.0, 2.0])}, ours)
    save_file({"latents": torch.tensor([1.0, 4.0])}, reference)
    (tmp_path / "answer").write_text(json.dumps({"max_relative_error": 0.5}))
    assert compared(ours, reference, "latents", command) == 0.5
    (tmp_path / "answer").write_text(json.dumps({"max_relative_error": 0.1}))
    with pytest.raises(ValueError, match=r"1\.000e-01 .* but it is 5\.000e-01"):
        compared(ours, reference, "latents", command)

"""The command, and files of options."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import COMMON

from latentbit_training import cli, options, train_tokenizer, train_vae

EXAMPLE = """
# A comment.
cache: data/cache
out: runs/vae
preset: tiny
image-size: [16, 24]
compile: false
rate: 0.01
init: null
"""


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_every_command_tells_its_options(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        cli.main([name, "--help"])
    assert end.value.code == 0
    told = capsys.readouterr().out
    assert f"usage: latentbit-train {name} " in told
    assert f"latentbit-train {name}" in told.split("options:")[0].split("\n\n", 1)[1], "no example of it"


def test_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--help"]) == 0
    told = capsys.readouterr().out
    assert all(f"\n  {name} " in told for name in cli.COMMANDS)
    assert cli.main([]) == 2
    assert cli.main(["encode"]) == 2
    assert "no command encode" in capsys.readouterr().err


@pytest.mark.parametrize("words", [["--help"], ["vae", "--help"]])
def test_a_reader_that_goes_away_is_no_fault(words: list[str]) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "latentbit_training", *words]
    ended = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, check=False, cwd=Path(__file__).parents[1])
    os.close(writing)
    assert ended.stderr == b""
    assert ended.returncode == 0


def test_a_fault_of_the_input_is_one_line(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "latentbit_training", "vae", "--cache", str(tmp_path / "none"), "--out",
               str(tmp_path / "run"), *COMMON]
    found = subprocess.run(command, capture_output=True, text=True, check=False, cwd=Path(__file__).parents[1])
    assert found.returncode == 1
    assert "latentbit-train vae: " in found.stderr
    assert "cache.json" in found.stderr
    assert "Traceback" not in found.stderr


@pytest.mark.parametrize("form", ["yaml", "json"])
def test_options_of_a_file_and_of_the_command_line(tmp_path: Path, form: str) -> None:
    file = tmp_path / f"vae.{form}"
    file.write_text(EXAMPLE)
    if form == "json":
        file.write_text(json.dumps(options.read(file)))
    args = train_vae.parser().parse_args(["--rate", "0.5", "--options", str(file)])
    assert (args.cache, args.out) == (Path("data/cache"), Path("runs/vae"))
    assert (args.image_size, args.compile, args.init) == ([16, 24], False, None)
    assert args.rate == 0.5
    assert args.clip_batch == train_vae.parser().get_default("clip_batch")


def test_positional_options_of_a_file(tmp_path: Path) -> None:
    parser = options.Parser("x", "x")
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    (tmp_path / "a.yaml").write_text("data: a\nout: b\n")
    args = parser.parse_args(["--options", str(tmp_path / "a.yaml")])
    assert (args.data, args.out) == (Path("a"), Path("b"))


@pytest.mark.parametrize(("text", "told"), [
    ("image-bach: 3", "did you mean image-batch"),
    ("compile: 3", "compile is true or false"),
    ("rate: true", "rate is neither on nor off"),
    ("rate: fast", "invalid float value: 'fast'"),
    ("- rate", "holds no options"),
    ("rate: [", "neither YAML nor JSON"),
])
def test_a_wrong_file_of_options(tmp_path: Path, text: str, told: str, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.yaml").write_text(text)
    with pytest.raises(SystemExit) as end:
        train_vae.parser().parse_args(["--cache", "a", "--out", "b", "--options", str(tmp_path / "a.yaml")])
    assert end.value.code == 2
    assert told in capsys.readouterr().err


def test_printed_options_lead_to_the_same_options(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--cache", "a b", "--out", "c", "--vae", "v.pt", "--depths", "token", "--size", "16", "32", "--recompute"]
    wanted = train_tokenizer.parser().parse_args(words)
    with pytest.raises(SystemExit) as end:
        train_tokenizer.parser().parse_args([*words, "--print-options"])
    assert end.value.code == 0
    printed = capsys.readouterr().out
    assert "# weight of the pixel term\npixel: 8.0\n" in printed
    (tmp_path / "all.yaml").write_text(printed)
    found = train_tokenizer.parser().parse_args(["--options", str(tmp_path / "all.yaml")])
    assert options.plain(found) == options.plain(wanted)
    # Nothing needs to be given to see what there is.
    with pytest.raises(SystemExit) as end:
        train_tokenizer.parser().parse_args(["--print-options"])
    assert end.value.code == 0


def test_a_run_keeps_its_options(cached: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "run"
    command = [*COMMON, "--cache", str(cached), "--out", str(out), "--image-batch", "1", "--image-size", "16",
               "--clip-share", "0"]
    train_vae.main([*command, "--steps", "1"])
    kept = out / "options.json"
    assert json.loads(kept.read_text()) | {"steps": 1, "image-size": [16]} == json.loads(kept.read_text())
    assert "clip-share: 0.0" in capsys.readouterr().err
    train_vae.main(["--options", str(kept), "--steps", "2"])
    assert "steps is 2 now; it was 1" in capsys.readouterr().err
    assert json.loads(kept.read_text())["steps"] == 2

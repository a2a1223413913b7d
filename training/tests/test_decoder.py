from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import Trained

from latentbit_training import bundle, export, latents, measure, train_decoder
from latentbit_training.bundle import round_weights
from latentbit_training.tokenizer import Tokenizer


def lines(run: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]


@pytest.fixture(scope="module")
def vae_file(trained: Trained, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A VAE that decodes everything too bright."""
    stored = torch.load(trained.vae / "vae.pt", weights_only=False)
    stored["state"]["decoder.head.2.bias"] += 0.6
    path = tmp_path_factory.mktemp("bright") / "vae.pt"
    torch.save(stored, path)
    return path


@pytest.fixture(scope="module")
def words(trained: Trained, vae_file: Path, cached: Path) -> list[str]:
    return ["--cache", str(cached), "--vae", str(vae_file), "--storage", "f32", "--no-compile",
            "--tokenizer", str(trained.tokenizer / "tokenizer.pt"), "--size", "16", "--image-batch", "4",
            "--clip-batch", "1", "--device", "cpu", "--log-every", "1", "--rate", "0.1", "--precision", "f32"]


@pytest.fixture(scope="module")
def run(words: list[str], data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that was paused once."""
    out, val = tmp_path_factory.mktemp("decoder"), tmp_path_factory.mktemp("val")
    (val / "a.png").symlink_to(data / "images" / "sea_0.png")
    whole = [*words, "--out", str(out), "--steps", "30", "--val", str(val)]
    train_decoder.main([*whole, "--pause-steps", "10"])
    train_decoder.main(whole)
    return out


def joined(vae_file: Path, trained: Trained, out: Path, *more: str, storage: str = "f32") -> Path:
    export.main(["--name", "tuned", "--vae", str(vae_file), "--tokenizer",
                 str(trained.tokenizer / "tokenizer.pt"), "--storage", storage, "--out", str(out), *more])
    return out


def test_frames_of_tokens_come_closer(run: Path) -> None:
    before, after = ([line for line in lines(run) if "val_images_psnr_10" in line][i] for i in (0, -1))
    assert before["step"] == 0
    assert after["step"] == 30
    assert after["val_images_psnr_10"] > before["val_images_psnr_10"] + 0.5
    assert {"image_mse", "clip_mse"} <= {name for line in lines(run) for name in line}


def test_only_the_decoder_of_the_bundle_is_another(trained: Trained, vae_file: Path, run: Path, tmp_path: Path) -> None:
    _, plain_vae, plain_tokenizer = bundle.load(joined(vae_file, trained, tmp_path / "plain.safetensors"))
    card = tmp_path / "card.md"
    more = ["--decoder", str(run / "decoder.pt"), "--card", str(card)]
    tuned_file = joined(vae_file, trained, tmp_path / "tuned.safetensors", *more)
    config, tuned_vae, tuned_tokenizer = bundle.load(tuned_file)
    assert plain_tokenizer is not None
    assert tuned_tokenizer is not None
    for name, weight in plain_tokenizer.state_dict().items():
        assert torch.equal(tuned_tokenizer.state_dict()[name], weight)
    same = {name: torch.equal(tuned_vae.state_dict()[name], w) for name, w in plain_vae.state_dict().items()}
    assert all(equal for name, equal in same.items() if name.startswith(("encoder.", "conv1.")))
    assert not all(equal for name, equal in same.items() if name.startswith(("decoder.", "conv2.")))
    assert config.training["decoder"]["steps"] == 30
    assert "the decoder is a copy of the VAE's that was fine-tuned on tokens" in card.read_text()
    assert "## options of the decoder's training" in card.read_text()
    # It is still named when the bundle is the start of another.
    export.main(["--name", "again", "--vae", str(tuned_file), "--tokenizer", str(tuned_file), "--out",
                 str(tmp_path / "again.safetensors")])
    assert bundle.config_of(tmp_path / "again.safetensors").training["decoder"]["steps"] == 30


def test_it_is_measured_as_it_will_be_stored(
        trained: Trained, vae_file: Path, run: Path, data: Path, tmp_path: Path) -> None:
    decoder = ["--decoder", str(run / "decoder.pt")]
    tuned = joined(vae_file, trained, tmp_path / "tuned.safetensors", *decoder, storage="int8")
    picture = str(data / "images" / "sea_0.png")
    # The tokenizer of the run is not rounded: alike here for the VAE alone.
    before = measure.main([picture, "--vae", str(vae_file), "--tokenizer",
                           str(trained.tokenizer / "tokenizer.pt"), *decoder, "--storage", "int8", "--device", "cpu"])
    after = measure.main([picture, "--bundle", str(tuned), "--device", "cpu"])
    assert before["vae"] == pytest.approx(after["vae"], abs=1e-4)


def test_a_decoder_of_others_is_refused(trained: Trained, vae_file: Path, run: Path, tmp_path: Path) -> None:
    stored = torch.load(trained.tokenizer / "tokenizer.pt", weights_only=False)
    name = next(iter(stored["state"]))
    stored["state"][name] = stored["state"][name] + 1
    torch.save(stored, tmp_path / "other.pt")
    common = ["--name", "a", "--vae", str(vae_file), "--out", str(tmp_path / "a.safetensors")]
    for more in (["--tokenizer", str(tmp_path / "other.pt")], []):
        with pytest.raises(ValueError, match="was fine-tuned on the tokens of another tokenizer"):
            export.main([*common, *more, "--decoder", str(run / "decoder.pt")])
    with pytest.raises(ValueError, match=r"is no decoder.pt"):
        export.main([*common, "--decoder", str(vae_file)])
    assert not (tmp_path / "a.safetensors").exists()


def test_depths_are_chosen_by_the_head(words: list[str], trained: Trained, vae_file: Path, tmp_path: Path) -> None:
    """A tokenizer with a depth head, and weights that are rounded: the copy begins with those that are not."""
    stored = torch.load(trained.tokenizer / "tokenizer.pt", weights_only=False)
    model = Tokenizer(replace(stored["config"], depth_step=3))
    model.load_state_dict(stored["state"], strict=False)
    torch.save({**stored, "config": model.config, "state": model.state_dict()}, tmp_path / "head.pt")
    more = ["--tokenizer", str(tmp_path / "head.pt"), "--out", str(tmp_path / "run"), "--steps", "1", "--rate", "1e-12",
            "--storage", "int8"]
    trained_model = train_decoder.main([*words, *more])
    start = latents.frozen(vae_file, "f32")
    for name, weight in trained_model.state_dict().items():
        torch.testing.assert_close(weight, start.state_dict()[name], msg=name)
    round_weights(start)
    rounded = start.state_dict()
    assert any(not torch.allclose(weight, rounded[name]) for name, weight in trained_model.state_dict().items())

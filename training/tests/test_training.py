from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from conftest import Trained, counting_clip, picture, write_clip
from PIL import Image
from safetensors.torch import load_file
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from latentbit_training import bundle, export, golden, train_tokenizer, train_vae
from latentbit_training.data import Sampler
from latentbit_training.evaluate import latent_statistics
from latentbit_training.init import init_near_linear
from latentbit_training.train_tokenizer import bit_report
from latentbit_training.train_vae import noisy
from latentbit_training.vae import WanVae


def log_of(run: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]


def test_vae_learns(trained: Trained, cached: Path) -> None:
    log = log_of(trained.vae)
    assert log[0]["parameters"] == 69680
    assert [line["step"] for line in log] == list(range(41))
    assert sum("image_mse" in line for line in log) + sum("clip_mse" in line for line in log) == 40
    stored = torch.load(trained.vae / "vae.pt", weights_only=False)
    assert stored["step"] == 40
    vae = WanVae(stored["config"])
    torch.manual_seed(1)
    fresh = WanVae(stored["config"])
    init_near_linear(fresh)
    images = Sampler(cached, 99).image_batch(32, 16)
    with torch.no_grad():
        before = F.mse_loss(fresh.decode(fresh.encode(images)), images)
        vae.load_state_dict(stored["state"])
        assert F.mse_loss(vae.decode(vae.encode(images)), images) < 0.6 * before
    # Fresh crops, so only about the same.
    mean, std = latent_statistics(vae, Sampler(cached, 99))
    assert stored["config"].latent_mean == pytest.approx(mean, abs=0.3 * max(std))
    assert stored["config"].latent_std == pytest.approx(std, rel=0.3)


def test_tokenizer_learns_in_two_phases(trained: Trained) -> None:
    log = log_of(trained.tokenizer)
    assert log[0]["parameters"] == 36778
    assert [line["step"] for line in log] == list(range(13))
    with_pixels = [any(key.endswith("pixel_mse") for key in line) for line in log[1:]]
    # Pixels come in after six tenths of the run.
    assert with_pixels == [False] * 8 + [True] * 4
    for line in log[1:]:
        assert any(key.endswith("latent_mse") for key in line)
        assert 0 <= line["balance_min"] <= line["balance_max"] <= 1
        assert 0 < line["code_use"] <= 1
    stored = torch.load(trained.tokenizer / "tokenizer.pt", weights_only=False)
    assert stored["step"] == 12
    assert stored["config"].bits == 10


def test_vae_resumes(trained: Trained, tmp_path: Path) -> None:
    run = tmp_path / "vae"
    shutil.copytree(trained.vae, run)
    before = torch.load(run / "checkpoint.pt", weights_only=False)
    train_vae.main([*trained.vae_command, "--out", str(run), "--steps", "42", "--seed", "2"])
    assert [line["step"] for line in log_of(run)[41:]] == [40, 41, 42]
    after = torch.load(run / "checkpoint.pt", weights_only=False)
    assert (before["step"], after["step"]) == (40, 42)
    assert after["seconds"] > before["seconds"]
    counts = [max(v.get("count", 0) for v in s["optimizer"]["state"].values()) for s in (before, after)]
    assert counts == [40, 42]
    # Two small steps lead on from where the run was; a fresh start of another seed would be far off.
    for part in ("model", "ema"):
        for name, weight in before[part].items():
            assert (after[part][name] - weight).abs().max() < 0.01


def test_tokenizer_resumes(trained: Trained, tmp_path: Path) -> None:
    run = tmp_path / "tokenizer"
    shutil.copytree(trained.tokenizer, run)
    before = torch.load(run / "checkpoint.pt", weights_only=False)
    train_tokenizer.main([*trained.tokenizer_command, "--out", str(run), "--steps", "13", "--seed", "2"])
    after = torch.load(run / "checkpoint.pt", weights_only=False)
    assert (before["step"], after["step"]) == (12, 13)
    for part in ("model", "ema"):
        for name, weight in before[part].items():
            assert (after[part][name] - weight).abs().max() < 0.01


def test_a_resumed_run_draws_new_random_numbers(trained: Trained, tmp_path: Path) -> None:
    runs = (
        ("vae", train_vae.main, trained.vae_command, 40),
        ("tokenizer", train_tokenizer.main, trained.tokenizer_command, 12),
    )
    for name, main, command, steps in runs:
        run = tmp_path / name
        shutil.copytree(getattr(trained, name), run)
        main([*command, "--out", str(run), "--steps", str(steps), "--seed", "5"])
        assert torch.initial_seed() == 5 + steps


def test_a_run_whose_loss_is_not_finite_says_where(trained: Trained, tmp_path: Path) -> None:
    run = tmp_path / "vae"
    shutil.copytree(trained.vae, run)
    state = torch.load(run / "checkpoint.pt", weights_only=False)
    state["model"]["conv2.bias"][0] = float("nan")
    torch.save(state, run / "checkpoint.pt")
    before = (run / "checkpoint.pt").read_bytes()
    with pytest.raises(FloatingPointError, match="step 40 is nan"):
        train_vae.main([*trained.vae_command, "--out", str(run), "--steps", "42"])
    assert (run / "checkpoint.pt").read_bytes() == before


def test_a_run_can_stay_at_its_peak_and_be_made_longer(trained: Trained, tmp_path: Path) -> None:
    command = [*trained.vae_command, "--out", str(tmp_path), "--anneal", "0.5"]
    train_vae.main([*command, "--steps", "4"])
    assert torch.load(tmp_path / "stable.pt", weights_only=False)["step"] == 2
    train_vae.main([*command, "--steps", "8"])
    assert torch.load(tmp_path / "stable.pt", weights_only=False)["step"] == 4
    assert [line["step"] for line in log_of(tmp_path)] == [0, 1, 2, 3, 4, 2, 3, 4, 5, 6, 7, 8]


def test_a_finished_run_is_left_as_it_is(trained: Trained, tmp_path: Path) -> None:
    run = tmp_path / "tokenizer"
    shutil.copytree(trained.tokenizer, run)
    model = train_tokenizer.main([*trained.tokenizer_command, "--out", str(run), "--steps", "12"])
    state = torch.load(trained.tokenizer / "tokenizer.pt", weights_only=False)["state"]
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())


def test_validation_and_options(trained: Trained, tmp_path: Path) -> None:
    val = tmp_path / "val"
    val.mkdir()
    Image.fromarray(picture(32, 40, 5)).save(val / "a.png")
    write_clip(val / "b.mkv", np.repeat(np.repeat(counting_clip(), 3, 1), 3, 2))
    train_vae.main([*trained.vae_command, "--out", str(tmp_path / "vae"), "--steps", "2", "--val", str(val)])
    last = log_of(tmp_path / "vae")[-1]
    assert {"val_images_psnr", "val_clips_psnr", "val_clips_left_out"} <= last.keys()
    command = [*trained.tokenizer_command, "--out", str(tmp_path / "tokenizer"), "--steps", "2", "--val", str(val)]
    command += ["--bits", "20", "--quantizer", "bsq", "--entropy", "0.1", "--pixel-start", "0"]
    model = train_tokenizer.main(command)
    assert (model.config.bits, model.config.quantizer) == (20, "bsq")
    last = log_of(tmp_path / "tokenizer")[-1]
    wanted = {f"val_{kind}_psnr_{row}" for kind in ("images", "clips") for row in ("vae", "10", "20")}
    assert wanted <= last.keys()


def test_tensorboard(trained: Trained, tmp_path: Path) -> None:
    val = tmp_path / "val"
    val.mkdir()
    Image.fromarray(picture(32, 40, 5)).save(val / "a.png")
    command = [*trained.tokenizer_command, "--out", str(tmp_path / "run"), "--val", str(val), "--tensorboard"]
    train_tokenizer.main([*command, "--steps", "2", "--save-every", "1", "--log-every", "1"])
    found = EventAccumulator(str(tmp_path / "run" / "tensorboard"), {"histograms": 0})
    found.Reload()
    logged = {event.step: event.value for event in found.Scalars("norm")}
    lines = {line["step"]: line["norm"] for line in log_of(tmp_path / "run") if "norm" in line}
    assert logged == pytest.approx(lines)
    assert {"steps_per_second", "val/images_psnr_10"} <= set(found.Tags()["scalars"])
    assert [event.step for event in found.Histograms("bit_balance")] == [1, 2]
    # The original, the VAE alone, 10, 5 and 2 bits.
    image = found.Images("images/0")[-1]
    assert (image.step, image.width, image.height) == (2, 5 * 256, 256)


def test_depth_per_token(trained: Trained, tmp_path: Path) -> None:
    val = tmp_path / "val"
    val.mkdir()
    Image.fromarray(picture(32, 40, 5)).save(val / "a.png")
    command = [*trained.tokenizer_command, "--out", str(tmp_path / "run"), "--val", str(val), "--depths", "token"]
    command += ["--depth-step", "3", "--balance", "0", "--elastic-every", "50", "--pixel-start", "0.9", "--depth", "1"]
    command += ["--depth-error", "latent"]
    model = train_tokenizer.main([*command, "--steps", "60", "--rate", "0.005"])
    assert model.config.depths == (0, 3, 6, 9, 10)
    log = log_of(tmp_path / "run")
    found = [value for line in log for key, value in line.items() if key.endswith("_depth")]
    assert len(found) == 60
    # The head goes on with the same errors once pixels are compared.
    assert np.mean(found[-10:]) < 0.6 * np.mean(found[:10])
    reports = [line for line in log if "val_images_head_3_psnr" in line]
    assert [line["step"] for line in reports] == [50, 60]
    assert all(0 < line["val_images_head_3_bits"] < 10 for line in reports)

    out = tmp_path / "elastic.safetensors"
    export.main(["--name", "elastic", "--vae", str(trained.vae / "vae.pt"), "--tokenizer",
                 str(tmp_path / "run" / "tokenizer.pt"), "--storage", "f32", "--out", str(out)])
    assert load_file(out)["tokenizer.depth_head.weight"].shape == (5, 32)
    config, _, tokenizer = bundle.load(out)
    assert tokenizer is not None
    assert config.tokenizer == model.config
    latent = torch.randn(1, 4, 4, 6, 6)
    for mine, stored in zip(model.analyse(latent)[:2], tokenizer.analyse(latent)[:2], strict=True):
        assert mine is not None
        assert stored is not None
        assert torch.equal(mine, stored)


def test_the_depth_head_learns_what_tokens_add_in_pixels(trained: Trained, tmp_path: Path) -> None:
    command = [*trained.tokenizer_command, "--out", str(tmp_path / "run"), "--depths", "token", "--depth-step", "3"]
    train_tokenizer.main([*command, "--pixel-start", "0", "--depth", "1", "--steps", "60", "--rate", "0.005"])
    found = [value for line in log_of(tmp_path / "run") for key, value in line.items() if key.endswith("_depth")]
    assert np.mean(found[-10:]) < 0.8 * np.mean(found[:10])


@pytest.mark.parametrize("storage", ["int8", "f32"])
def test_tokenizer_meets_the_vae_as_it_will_be_stored(
    trained: Trained, tmp_path: Path, storage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    met: list[WanVae] = []

    def spy(vae: WanVae, *_: object) -> dict[str, float]:
        met.append(vae)
        return {}

    monkeypatch.setattr(train_tokenizer, "evaluate_tokenizer", spy)
    command = [*trained.tokenizer_command, "--out", str(tmp_path / "run"), "--steps", "1", "--val", str(tmp_path)]
    train_tokenizer.main([*command, "--storage", storage])
    export.main(["--name", "vae", "--vae", str(trained.vae / "vae.pt"), "--storage", storage,
                 "--out", str(tmp_path / "vae.safetensors")])
    stored = bundle.load(tmp_path / "vae.safetensors")[1].state_dict()
    for name, weight in met[0].state_dict().items():
        torch.testing.assert_close(weight, stored[name], atol=0, rtol=1e-6)


@pytest.mark.parametrize("storage", ["int8", "f32"])
def test_export(trained: Trained, tmp_path: Path, storage: str, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "models" / "test.safetensors"
    files = ["--vae", str(trained.vae / "vae.pt"), "--tokenizer", str(trained.tokenizer / "tokenizer.pt")]
    export.main(["--name", "test", *files, "--storage", storage, "--out", str(out)])
    assert "sha256" in capsys.readouterr().out
    config, vae, tokenizer = bundle.load(out)
    assert tokenizer is not None
    assert config.name == "test"
    assert config.training["vae"]["steps"] == 40
    assert config.training["tokenizer"]["steps"] == 12
    for path, module, part in ((files[1], vae, config.vae), (files[3], tokenizer, config.tokenizer)):
        stored = torch.load(path, weights_only=False)
        assert part == stored["config"]
        for name, value in module.state_dict().items():
            weight = stored["state"][name]
            bound = weight.flatten(1).abs().amax(1) / 253 if weight.ndim > 1 and storage == "int8" else torch.zeros(1)
            assert bool(((value - weight).flatten(min(1, weight.ndim - 1)).abs().amax(-1) <= bound).all())


def test_export_of_a_vae_alone_and_golden_photo(trained: Trained, tmp_path: Path) -> None:
    alone = tmp_path / "vae.safetensors"
    export.main(["--name", "vae", "--vae", str(trained.vae / "vae.pt"), "--out", str(alone)])
    assert bundle.load(alone)[2] is None
    assert load_file(alone)["vae.conv2.weight"].dtype == torch.int8

    whole, photo = tmp_path / "whole.safetensors", tmp_path / "photo.png"
    export.main(["--name", "whole", "--vae", str(trained.vae / "vae.pt"), "--tokenizer",
                 str(trained.tokenizer / "tokenizer.pt"), "--out", str(whole)])
    Image.fromarray(picture(33, 42, 1)).save(photo)
    golden.write_photo(whole, photo, tmp_path / "golden")
    tensors = load_file(tmp_path / "golden" / "photo.safetensors")
    assert tensors["pixels"].shape == (32, 40, 3)
    assert tensors["latent"].shape == (1, 8, 10, 4)
    assert tensors["bits"].shape == (20, 10)
    assert tensors["decoded"].shape == (1, 32, 40, 3)


def test_bit_report() -> None:
    u = torch.randn(4, 512, 12)
    healthy = bit_report(u)
    assert healthy["dead_bits"] == 0
    assert 0.4 < healthy["balance_min"] <= healthy["balance_max"] < 0.6
    assert healthy["code_use"] > 0.7
    u[..., 3], u[..., 7] = 1.0, -1.0
    dead = bit_report(u)
    assert (dead["dead_bits"], dead["balance_min"], dead["balance_max"]) == (2, 0.0, 1.0)
    collapsed = bit_report(u[:1, :1].expand(4, 512, 12))
    assert collapsed["dead_bits"] == 12
    assert collapsed["code_use"] == round(1 / 2048, 3)


def test_code_use_of_the_widest_tokens() -> None:
    u = torch.ones(64, 64)
    u[:, :6] = torch.where(torch.arange(64)[:, None] >> torch.arange(6) & 1 > 0, 1.0, -1.0)
    assert bit_report(u)["code_use"] == 1.0


def test_noise_follows_the_spread_of_a_channel() -> None:
    latent = torch.randn(200, 2, 1, 8, 8) * torch.tensor([1.0, 10.0]).view(1, 2, 1, 1, 1)
    assert noisy(latent, 0.0) is latent
    change = (noisy(latent, 0.3) - latent).std(dim=(2, 3, 4))
    untouched = (change == 0).all(1)
    assert 70 < int(untouched.sum()) < 130
    ratio = change[~untouched] / torch.tensor([1.0, 10.0])
    assert ratio.max() < 0.4
    assert ratio[:, 0].mean() == pytest.approx(float(ratio[:, 1].mean()), rel=0.05)

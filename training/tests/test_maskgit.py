"""The predictor: what it sees, its loss, its masks, filling, files and training."""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import make_vae

from latentbit_training import bundle, golden, likelihood, masks, predictors, tokens, train_maskgit
from latentbit_training.config import PREDICTOR_PRESETS, BundleConfig, PredictorFileConfig
from latentbit_training.maskgit import Predictor, bit_loss, fill, noise, still_masked

STARTS = torch.tensor([2, 0, 1, 0, 1, 0])


def tiny(**changes: object) -> Predictor:
    model = Predictor(replace(PREDICTOR_PRESETS["tiny"](), **changes)).eval()  # type: ignore[arg-type]
    golden.stir(model)
    return model


def code_of(*shape: int) -> torch.Tensor:
    return torch.where(torch.rand(*shape) < 0.5, 1.0, -1.0)


@torch.no_grad()
def test_unknown_bits_are_not_seen() -> None:
    model, code = tiny(), code_of(1, 6, 4, 4, 10)
    known = (torch.rand(code.shape) < 0.5).float()
    logits = model(code, known, STARTS[None])
    other = torch.where(known > 0, code, -code)
    assert torch.equal(model(other, known, STARTS[None]), logits)
    assert not torch.equal(model(-code, known, STARTS[None]), logits)
    # Which step begins what is seen too.
    assert not torch.equal(model(code, known, torch.tensor([[2, 0, 2, 0, 1, 0]])), logits)


def test_loss_counts_unknown_bits_only() -> None:
    code = code_of(1, 2, 3, 3, 10)
    known = torch.ones_like(code)
    known[0, 1] = 0
    logits = torch.zeros_like(code)
    logits[0, 0] = -50 * code[0, 0]
    assert math.isclose(float(bit_loss(logits, code, known)), math.log(2), rel_tol=1e-6)
    assert float(bit_loss(50 * code, code, known)) < 1e-6


@pytest.mark.parametrize("kind", masks.KINDS)
def test_regions(kind: str) -> None:
    rng = np.random.default_rng(3)
    chunks = [range(4), range(4, 8), range(8, 9)]
    for _ in range(20):
        lost = masks.region(kind, chunks, (9, 5, 6), rng)
        assert lost.any()
        whole = [bool(lost[c.start : c.stop].all()) for c in chunks]
        if kind != "spatial":
            # Whole chunks and nothing else, one after the other.
            assert int(lost.sum()) == 30 * sum(len(c) for c, w in zip(chunks, whole, strict=True) if w)
        expected = {"chunk": [1], "run": [2], "last": [1], "first": [1], "all": [3]}
        assert sum(whole) in expected.get(kind, [0, 1, 2, 3])
    if kind == "last":
        assert whole == [False, False, True]


def test_thinning_and_planes() -> None:
    rng = np.random.default_rng(4)
    lost = torch.zeros(6, 4, 4, dtype=torch.bool)
    lost[2:4] = True
    counts = [int(masks.thin(lost, rng).sum()) for _ in range(200)]
    assert min(counts) >= 1
    assert max(counts) == 32
    assert len(set(counts)) > 10
    assert not (masks.thin(lost, rng) & ~lost).any()
    partly = 0
    for _ in range(200):
        known = masks.known_bits(lost, 10, rng)
        assert known[~lost].all()
        assert not known[lost].all()
        rows = known[lost]
        assert (rows == rows[0]).all()
        assert (rows[0].diff() <= 0).all()
        partly += bool(rows.any())
    assert 10 < partly < 60


def test_schedules_end_at_nothing() -> None:
    for schedule in ("cosine", "linear"):
        course = [still_masked(schedule, done, 8) for done in range(9)]
        assert course[0] == 1
        assert abs(course[-1]) < 1e-9
        assert course == sorted(course, reverse=True)


def test_noise_is_spread_evenly() -> None:
    draws = [noise(7, step, token, bit) for step in range(4) for token in range(50) for bit in range(50)]
    assert min(draws) > 0
    assert max(draws) < 1
    assert abs(float(np.mean(draws)) - 0.5) < 0.01
    assert len(set(draws)) > 9_900


def test_filling_keeps_what_is_known() -> None:
    model, code = tiny(), code_of(6, 4, 4, 10)
    known = torch.ones_like(code)
    known[2:4] = 0
    known[2, :, :, :4] = 1
    for options in ({}, {"steps": 1}, {"temperature": 1.0, "confidence_noise": 1.0, "seed": 3}):
        filled, _ = fill(model, code, known, STARTS, **options)
        assert torch.equal(filled[known > 0], code[known > 0])
        assert (filled.abs() == 1).all()
        again, _ = fill(model, code, known, STARTS, **options)
        assert torch.equal(filled, again)
    drawn = [fill(model, code, known, STARTS, temperature=1.0, seed=seed)[0] for seed in (1, 2)]
    assert not torch.equal(*drawn)
    # One step at temperature 0 takes the likelier values.
    logits = model(code[None], known[None], STARTS[None])[0]
    filled, _ = fill(model, code, known, STARTS, steps=1)
    unknown = known == 0
    assert torch.equal(filled[unknown] > 0, logits[unknown] > 0)


@torch.no_grad()
def test_files_are_read_as_written(tmp_path: Path) -> None:
    model = tiny()
    path = tmp_path / "predictor.safetensors"
    config = PredictorFileConfig("tiny", "ab" * 32, model.config, {"steps": 3})
    predictors.save(path, config, model, "f32")
    found, loaded = predictors.load(path)
    assert found == config
    code = code_of(1, 6, 4, 4, 10)
    assert torch.equal(loaded(code, code.abs(), STARTS[None]), model(code, code.abs(), STARTS[None]))
    with pytest.raises(ValueError, match=r"latentbit\.predictor/1"):
        PredictorFileConfig.from_json("{}")


def write_tokens(folder: Path, steps: int = 6) -> None:
    """Clips whose tokens stand still in time, so that there is something to learn."""
    folder.mkdir()
    rng = np.random.default_rng(8)
    clips = [np.repeat(rng.integers(0, 1 << 10, (1, 4, 4), dtype=np.uint64), steps, axis=0) for _ in range(6)]
    (folder / "tokens.bin").write_bytes(b"".join(clip.tobytes() for clip in clips))
    index = [{"offset": i * steps * 16, "shape": [steps, 4, 4], "starts": STARTS.tolist(), "weight": 1.0}
             for i in range(len(clips))]
    (folder / "tokens.json").write_text(json.dumps(index))


def test_training_learns_and_resumes(tmp_path: Path, make_tokenizer: object) -> None:
    assert callable(make_tokenizer)
    write_tokens(tmp_path / "tokens")
    vae, tokenizer = make_vae("tiny"), make_tokenizer()
    model = tmp_path / "bundle.safetensors"
    bundle.save(model, BundleConfig("tiny", vae.config, tokenizer.config), vae, tokenizer, "f32")
    command = ["--tokens", str(tmp_path / "tokens"), "--bundle", str(model), "--val-tokens", str(tmp_path / "tokens"),
               "--out", str(tmp_path / "run"), "--preset", "tiny", "--no-compile", "--device", "cpu",
               "--log-every", "10", "--save-every", "40", "--batch", "4", "--rate", "0.01"]
    train_maskgit.main([*command, "--steps", "60"])
    train_maskgit.main([*command, "--steps", "120", "--latent", "0.3"])
    log = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    losses = [line["bits_per_bit"] for line in log if "bits_per_bit" in line]
    assert losses[0] > 0.9
    assert min(losses[-3:]) < 0.95
    assert max(line["step"] for line in log) == 120
    config, trained = predictors.load(tmp_path / "run" / "predictor.safetensors")
    assert config.bundle == hashlib.sha256(model.read_bytes()).hexdigest()
    assert config.training["steps"] == 120
    clips = tokens.load_tokens(tmp_path / "tokens")
    found = likelihood.likelihoods(trained, clips)
    # Tokens that stand still are told by their neighbours.
    assert found["bits_ratio_1"] < 0.9 * found["bits_everything"]
    simple = likelihood.baselines(clips, clips, 10, 6)
    assert simple["bits_copy"] < 0.1 < simple["bits_marginal"] <= 10.01

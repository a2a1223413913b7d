"""Several ranks on this machine (gloo): the same run as that of a single one, whatever happens in between."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from conftest import Trained
from torch import Tensor

from latentbit_training import train_tokenizer, train_vae
from latentbit_training.loop import pixel_loss
from latentbit_training.quantize import Balance, entropy_term
from latentbit_training.ranks import Ranks

PACKAGE = Path(__file__).parents[1]
STEPS = 8


def environment(**more: str) -> dict[str, str]:
    return os.environ | {"PYTHONPATH": str(PACKAGE), "OMP_NUM_THREADS": "1"} | more


def free_port() -> str:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return str(free.getsockname()[1])


SEVERAL = """
import json, os, sys
from latentbit_training.cli import main
for port, words in json.loads(sys.argv[1]):
    os.environ["MASTER_PORT"] = port
    if main(words):
        sys.exit(1)
"""


def two_ranks(commands: list[list[str]]) -> list[subprocess.CompletedProcess[str]]:
    """Runs commands on two ranks, one after the other: what torchrun does, but PyTorch is loaded once for all."""
    words = [sys.executable, "-c", SEVERAL, json.dumps([(free_port(), command) for command in commands])]
    processes = [
        subprocess.Popen(words, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                         env=environment(RANK=rank, LOCAL_RANK=rank, WORLD_SIZE="2", MASTER_ADDR="127.0.0.1"))
        for rank in "01"
    ]
    try:
        out = [process.communicate(timeout=150) for process in processes]
    finally:
        for process in processes:
            process.kill()
    return [subprocess.CompletedProcess("", p.returncode, *o) for p, o in zip(processes, out, strict=True)]


def curve(run: Path) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    apart = ("minutes", "tflops", "per_second", "noise_scale")
    return [{k: v for k, v in line.items() if not k.endswith(apart)}
            for line in lines if "norm" in line]


def noise(run: Path) -> dict[str, float]:
    lines = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    return {k: v for line in lines for k, v in line.items() if k.endswith("noise_scale")}


def state(run: Path) -> dict[str, Any]:
    found: dict[str, Any] = torch.load(run / "checkpoint.pt", weights_only=False)
    return found


def same_run(a: Path, b: Path) -> None:
    """To float noise: the order of sums differs."""
    assert len(curve(a)) == len(curve(b)) == STEPS
    for one, other in zip(curve(a), curve(b), strict=True):
        assert one == pytest.approx(other, abs=2e-4, rel=2e-3), f"step {one['step']}"
    for part in ("model", "ema"):
        for name, weight in state(a)[part].items():
            torch.testing.assert_close(state(b)[part][name], weight, atol=1e-4, rtol=1e-3, msg=name)


@pytest.fixture(scope="module")
def tokenizer_words(trained: Trained) -> list[str]:
    """Everything in which samples of a batch meet: the weights of samples, balance, entropy, the depth head."""
    return [*trained.tokenizer_command, "--clip-batch", "2", "--steps", str(STEPS), "--pixel-start", "0.4", "--depths",
            "token", "--depth-step", "3", "--entropy", "0.1", "--save-every", "3", "--precision", "f32"]


@pytest.fixture(scope="module")
def alone(tokenizer_words: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run of a single rank."""
    out = tmp_path_factory.mktemp("alone")
    train_tokenizer.main([*tokenizer_words, "--out", str(out)])
    assert {key.split("_")[0] for line in curve(out) for key in line} >= {"image", "clip"}
    return out


class Together(NamedTuple):
    """Runs of two ranks: a tokenizer, one with spread weights that paused, and a VAE that one rank had begun."""

    tokenizer: Path
    spread: Path
    vae: Path
    ranks: list[subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def vae_words(trained: Trained) -> list[str]:
    return [*trained.vae_command, "--noise", "0", "--steps", str(STEPS), "--image-size", "16", "--precision", "f32"]


@pytest.fixture(scope="module")
def together(tokenizer_words: list[str], vae_words: list[str], tmp_path_factory: pytest.TempPathFactory) -> Together:
    folder = tmp_path_factory.mktemp("together")
    whole, spread, vae = (folder / name for name in ("whole", "spread", "vae"))
    train_vae.main([*vae_words, "--out", str(vae), "--pause-steps", "3"])
    ranks = two_ranks([
        ["tokenizer", *tokenizer_words, "--out", str(whole)],
        ["tokenizer", *tokenizer_words, "--out", str(spread), "--parallel", "fsdp", "--pause-steps", "4"],
        ["vae", *vae_words, "--out", str(vae)],
    ])
    assert [rank.returncode for rank in ranks] == [0, 0], ranks[0].stderr + ranks[1].stderr
    return Together(whole, spread, vae, ranks)


def test_two_ranks_are_one_with_twice_the_batch(alone: Path, together: Together) -> None:
    # One rank tells, the other is silent.
    assert '"ranks": 2' in together.ranks[0].stdout
    assert together.ranks[1].stdout == ""
    same_run(alone, together.tokenizer)
    # Copies of the model know what each rank brings; one rank with one pass has nothing to compare.
    assert set(noise(together.tokenizer)) == {"image_noise_scale", "clip_noise_scale"}
    assert noise(alone) == noise(together.spread) == {}


def test_spread_weights_and_a_resume_on_one_rank(tokenizer_words: list[str], alone: Path, together: Together) -> None:
    assert state(together.spread)["step"] == 4
    train_tokenizer.main([*tokenizer_words, "--out", str(together.spread)])
    same_run(alone, together.spread)


def test_a_resume_on_more_ranks(vae_words: list[str], together: Together, tmp_path: Path) -> None:
    train_vae.main([*vae_words, "--out", str(tmp_path)])
    same_run(tmp_path, together.vae)


def test_a_paused_run_goes_on_exactly(tokenizer_words: list[str], alone: Path, tmp_path: Path) -> None:
    words = [*tokenizer_words, "--out", str(tmp_path)]
    train_tokenizer.main([*words, "--pause-steps", "5"])
    train_tokenizer.main(words)
    assert curve(tmp_path) == curve(alone)
    for part in ("model", "ema"):
        assert all(torch.equal(state(tmp_path)[part][name], w) for name, w in state(alone)[part].items())


def test_passes_of_a_step(tokenizer_words: list[str], tmp_path: Path) -> None:
    """With errors that are not weighed: weights are those of the samples of a pass."""
    words = [*tokenizer_words, "--objective", "mse", "--balance", "0", "--entropy", "0"]
    train_tokenizer.main([*words, "--out", str(tmp_path / "one")])
    train_tokenizer.main([*words, "--out", str(tmp_path / "two"), "--accumulate", "2"])
    report = ("balance_min", "balance_max", "dead_bits", "code_use", "magnitude")
    for one, two in zip(curve(tmp_path / "one"), curve(tmp_path / "two"), strict=True):
        wanted = {k: v for k, v in one.items() if k not in report}
        assert {k: v for k, v in two.items() if k not in report} == pytest.approx(wanted, abs=2e-4, rel=2e-3)
    assert noise(tmp_path / "two")


def test_batches_that_cannot_be_shared_are_refused(tokenizer_words: list[str], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"--clip-batch makes steps of 2 crops .* must be a multiple of 4"):
        train_tokenizer.main([*tokenizer_words, "--out", str(tmp_path), "--accumulate", "4"])


def child_of(process: int, rank: int) -> int:
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1])
            if parent == process and f"\0RANK={rank}\0" in (entry / "environ").read_text():
                return int(entry.name)
        except (OSError, ValueError):
            continue
    raise AssertionError(f"torchrun has no rank {rank}")


def test_a_rank_that_is_killed_ends_the_job_which_resumes(tokenizer_words: list[str], tmp_path: Path) -> None:
    words = [*tokenizer_words, "--out", str(tmp_path), "--steps", "100000", "--save-every", "2"]
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m",
               "latentbit_training", "tokenizer", *words]
    with subprocess.Popen(command, env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                          text=True) as job:
        try:
            for _ in range(1200):
                if (tmp_path / "checkpoint.pt").exists() or job.poll() is not None:
                    break
                time.sleep(0.1)
            assert job.poll() is None
            # The folder is in use, whoever asks.
            with pytest.raises(BlockingIOError, match=f"{tmp_path} is in use by process"):
                train_tokenizer.main(words)
            os.kill(child_of(job.pid, 1), signal.SIGKILL)
            _, told = job.communicate(timeout=60)
        finally:
            job.kill()
    assert job.returncode != 0
    assert "SIGKILL" in told
    at = state(tmp_path)["step"]
    assert at >= 2
    train_tokenizer.main([*words, "--pause-steps", "2"])
    assert state(tmp_path)["step"] == at + 2


class FakeRanks(Ranks):
    """The ranks of one process: what each has is known beforehand."""

    def __init__(self, values: list[Tensor]) -> None:
        self.size, self.rank, self.values = len(values), 0, values

    def mean(self, value: Tensor) -> Tensor:
        return value + (sum(v.detach() for v in self.values) / self.size - value.detach())


def test_terms_over_ranks_have_the_gradient_of_the_whole_batch() -> None:
    """Each rank's gradient of its part, averaged, is that of the batch."""
    u = torch.randn(4, 6, 5, requires_grad=True)
    halves = [u[:2], u[2:]]

    def gradient(loss: Tensor) -> Tensor:
        return torch.autograd.grad(loss, u, retain_graph=True)[0]

    def entropies(part: Tensor) -> Tensor:
        p = [torch.sigmoid(h.flatten(0, -2)).mean(0) for h in halves]
        return entropy_term(part, mean=FakeRanks(p).mean)

    whole = gradient(entropy_term(u))
    torch.testing.assert_close(sum(gradient(entropies(h)) for h in halves) / 2, whole)

    means = [torch.tanh(h).flatten(0, -2).mean(0) for h in halves]
    of_ranks = [gradient(Balance(5, torch.device("cpu"), mean=FakeRanks(means).mean).term(h)) for h in halves]
    torch.testing.assert_close((of_ranks[0] + of_ranks[1]) / 2, gradient(Balance(5, torch.device("cpu")).term(u)))

    video = torch.zeros(4, 3, 1, 5, 5)
    output = (u[..., :1, :].reshape(4, 1, 1, 1, 5) * torch.ones(4, 3, 1, 5, 5))
    errors = output.square().mean(dim=(1, 2, 3, 4)).detach()
    weights = [(1 / (errors[part] + 5e-4)).mean() for part in (slice(0, 2), slice(2, 4))]
    parts = [gradient(pixel_loss(output[part], video[part], "psnr", mean=FakeRanks(weights).mean)[0])
             for part in (slice(0, 2), slice(2, 4))]
    torch.testing.assert_close((parts[0] + parts[1]) / 2, gradient(pixel_loss(output, video, "psnr")[0]))


def test_parts_of_a_step_cover_it() -> None:
    ranks = FakeRanks([torch.zeros(1)] * 3)
    found: list[int] = []
    for rank in range(3):
        ranks.rank = rank
        for index in range(2):
            found += range(12)[ranks.part(12, index, 2)]
    assert found == list(range(12))

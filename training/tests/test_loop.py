from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from torch import nn

from latentbit_training.loop import (
    Ema,
    Lock,
    Run,
    Schedule,
    autocast,
    check_loss,
    descend,
    optimizer_for,
    pixel_loss,
    psnr,
    same_pixels,
    share,
)
from latentbit_training.ranks import device_of


def test_schedule_in_steps() -> None:
    schedule = Schedule(peak=2.0, steps=1000, warmup=10)
    assert [schedule.rate(s, 0) for s in range(3)] == pytest.approx([0.2, 0.4, 0.6], rel=1e-3)
    assert schedule.rate(9, 0) == pytest.approx(2.0, rel=1e-3)
    assert schedule.rate(500, 0) == pytest.approx(2.0 * (0.05 + 0.95 / 2))
    assert schedule.rate(1000, 0) == schedule.rate(5000, 0) == pytest.approx(0.1)
    rates = [schedule.rate(s, 0) for s in range(10, 1001)]
    assert rates == sorted(rates, reverse=True)


def test_schedule_in_minutes() -> None:
    schedule = Schedule(peak=1.0, steps=10, minutes=2)
    assert schedule.progress(10_000, 60) == 0.5
    assert schedule.progress(0, 500) == 1.0
    assert schedule.rate(10_000, 120) == pytest.approx(0.05)


def test_schedule_that_stays_at_its_peak() -> None:
    schedule = Schedule(peak=2.0, steps=1000, warmup=10, anneal=0.2)
    assert schedule.rate(0, 0) == pytest.approx(0.2)
    assert {schedule.rate(s, 0) for s in range(9, 801)} == {2.0}
    assert schedule.rate(900, 0) == pytest.approx(2.0 * (0.05 + 0.95 / 2))
    assert schedule.rate(1000, 0) == pytest.approx(0.1)
    assert [schedule.annealing(s, 0) for s in (799, 800, 1000)] == [False, True, True]
    assert not Schedule(peak=2.0, steps=1000).annealing(1000, 0)
    by_time = Schedule(peak=2.0, steps=1, minutes=10, anneal=0.5)
    assert (by_time.rate(500, 299), by_time.annealing(500, 299)) == (2.0, False)
    assert by_time.rate(500, 450) == pytest.approx(2.0 * (0.05 + 0.95 / 2))


def test_share() -> None:
    assert [share(text) for text in ("0.2", "1")] == [0.2, 1.0]
    for text in ("0", "1.01", "-1", "nan", "much"):
        with pytest.raises(ValueError, match=r".+"):
            share(text)


def test_ema() -> None:
    model = nn.Linear(3, 2)
    ema = Ema(model, decay=0.9)
    start, goal = model.weight.detach().clone(), torch.randn(2, 3)
    model.weight.data.copy_(goal)
    assert torch.equal(ema.model.weight, start)
    ema.update(model, 0)
    torch.testing.assert_close(ema.model.weight, start * 0.1 + goal * 0.9)
    ema.update(model, 10**6)
    torch.testing.assert_close(ema.model.weight, (start * 0.1 + goal * 0.9) * 0.9 + goal * 0.1)
    assert not any(p.requires_grad for p in ema.model.parameters())
    assert not ema.model.training


def test_norms_and_biases_do_not_decay() -> None:
    model = nn.Sequential(nn.Linear(4, 3), nn.LayerNorm(3))
    matrices, vectors = optimizer_for(model, 0.1, decay=0.5).param_groups
    assert (matrices["weight_decay"], vectors["weight_decay"]) == (0.5, 0.0)
    assert [p.shape for p in matrices["params"]] == [(3, 4)]
    assert len(vectors["params"]) == 3


def test_descend() -> None:
    model = nn.Linear(4, 1, bias=False)
    optimizer = torch.optim.SGD(model.parameters(), lr=99.0)
    start, x = model.weight.detach().clone(), torch.tensor([[3.0, 0.0, 4.0, 0.0]])
    model(100 * x).sum().backward()
    assert descend(optimizer, rate=0.5, clip=1.0) == pytest.approx(500)
    # The gradient is brought to length 1.
    torch.testing.assert_close(model.weight.detach(), start - 0.5 * x / 5)


@pytest.mark.parametrize("loss", [math.nan, math.inf, -math.inf])
def test_a_loss_that_is_not_finite_ends_the_run(loss: float) -> None:
    with pytest.raises(FloatingPointError, match=f"loss of step 321 is {loss}"):
        check_loss(loss, 321)
    check_loss(1e30, 321)


def test_a_gradient_that_is_not_finite_changes_nothing() -> None:
    model = nn.Linear(4, 1)
    optimizer = optimizer_for(model, 0.1)
    start = model.weight.detach().clone()
    # The root of zero has no slope.
    (model(torch.ones(1, 4)) * 0).sum().sqrt().backward()
    assert not math.isfinite(descend(optimizer, 0.1))
    assert torch.equal(model.weight, start)
    optimizer.zero_grad()
    model(torch.ones(1, 4)).sum().backward()
    descend(optimizer, 0.1)
    assert model.weight.isfinite().all()
    assert not torch.equal(model.weight, start)


def test_a_folder_is_for_one_run(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    lock = Lock(folder)
    with pytest.raises(BlockingIOError, match=rf"{folder} is in use by process {os.getpid()} on "):
        Lock(folder)
    lock.close()
    Lock(folder).close()


def test_a_killed_process_gives_its_folder_back(tmp_path: Path) -> None:
    code = f"from pathlib import Path\nfrom latentbit_training.loop import Lock\nl = Lock(Path({str(tmp_path)!r}))\n"
    code += "print(flush=True)\ninput()"
    folder = Path(__file__).parents[1]
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                          cwd=folder) as process:
        assert process.stdout is not None
        process.stdout.readline()
        with pytest.raises(BlockingIOError, match=f"process {process.pid}"):
            Lock(tmp_path)
        process.kill()
    Lock(tmp_path).close()


COSINE = Schedule(peak=1.0, steps=10)


def test_checkpoints(tmp_path: Path) -> None:
    run = Run(tmp_path / "a" / "run")
    assert run.resume(COSINE) is None
    run.spent = 100.0
    run.save(COSINE, 7, weights=torch.arange(3))
    run.save(COSINE, 8, weights=torch.arange(3))
    assert [p.name for p in run.folder.iterdir()] == ["checkpoint.pt"]
    again = Run(run.folder)
    state = again.resume(COSINE)
    assert state is not None
    assert state["step"] == 8
    assert state["weights"].tolist() == [0, 1, 2]
    assert 100 <= again.seconds < 200


def test_time_in_which_the_process_is_stopped_hardly_counts() -> None:
    code = "from latentbit_training.loop import Clock\nc = Clock(0.02, 0.2)\nprint()\ninput()\nprint(c.seconds)"
    folder = Path(__file__).parents[1]
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                          cwd=folder) as process:
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(0.5)
        process.send_signal(signal.SIGSTOP)
        time.sleep(3)
        process.send_signal(signal.SIGCONT)
        output, _ = process.communicate("\n")
    assert 0.3 < float(output) < 2


def test_a_save_that_fails_leaves_the_last_checkpoint(tmp_path: Path) -> None:
    run = Run(tmp_path)
    run.save(COSINE, 1)
    with pytest.raises((AttributeError, TypeError, RuntimeError)):
        run.save(COSINE, 2, broken=lambda: 0)
    state = run.resume(COSINE)
    assert state is not None
    assert state["step"] == 1


def test_a_longer_run_goes_on_from_before_the_annealing(tmp_path: Path) -> None:
    def resumed(schedule: Schedule) -> int:
        state = Run(tmp_path).resume(schedule)
        assert state is not None
        return int(state["step"])

    short, long = (Schedule(peak=1.0, steps=steps, anneal=0.2) for steps in (10, 100))
    run = Run(tmp_path)
    assert [step for step in range(1, 11) if run.due(short, step, 4)] == [4, 8, 9, 10]
    run.save(short, 4)
    assert not (tmp_path / "stable.pt").exists()
    for step in (8, 9, 10):
        run.save(short, step)
    assert not run.due(short, 9, 4)
    assert (resumed(short), resumed(long)) == (10, 8)
    # The annealed checkpoint stays until the longer run writes one of its own.
    run = Run(tmp_path)
    run.resume(long)
    run.save(long, 12)
    assert (resumed(short), resumed(long)) == (12, 12)
    run.save(long, 81)
    run.save(long, 90)
    assert resumed(long) == 90
    # However little longer, and shorter not.
    assert [resumed(Schedule(peak=1.0, steps=steps, anneal=0.2)) for steps in (95, 101)] == [90, 81]
    (tmp_path / "stable.pt").unlink()
    assert resumed(Schedule(peak=1.0, steps=1000, anneal=0.2)) == 90


def test_log(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = Run(tmp_path)
    run.log(step=1, loss=0.5)
    run.log(step=2, note="text")
    lines = (tmp_path / "log.jsonl").read_text().splitlines()
    assert lines == capsys.readouterr().out.splitlines()
    first, second = map(json.loads, lines)
    assert first == {"minutes": first["minutes"], "step": 1, "loss": 0.5}
    assert second["note"] == "text"


def test_psnr() -> None:
    a = torch.rand(1, 3, 1, 16, 16) * 2 - 1
    assert psnr(a, a) > 100
    level = torch.full_like(a, 100 / 127.5 - 1)
    assert psnr(level, level + 1 / 127.5) == pytest.approx(20 * math.log10(255), abs=1e-4)
    assert psnr(-torch.ones_like(a), torch.ones_like(a)) == pytest.approx(0.0)
    # Outside of the range and between bytes there is nothing to see.
    assert psnr(torch.ones_like(a), 5 * torch.ones_like(a)) > 100
    assert psnr(level, level + 0.001) > 100


def test_pixel_loss() -> None:
    video = torch.zeros(2, 3, 1, 4, 4)
    output = torch.zeros(2, 3, 1, 4, 4)
    output[0] += 0.01
    output[1] += 0.1
    output.requires_grad_()
    loss, error = pixel_loss(output, video, "mse")
    assert loss.item() == error.item() == pytest.approx((1e-4 + 1e-2) / 2)
    loss, error = pixel_loss(output, video, "psnr", floor=0.0)
    assert error.item() == pytest.approx((1e-4 + 1e-2) / 2)
    loss.backward()
    assert output.grad is not None
    calm, busy = output.grad.flatten(1).norm(dim=1)
    # The gradient of a logarithm: ten times as steep where the error is a tenth.
    assert float(calm / busy) == pytest.approx(10, rel=1e-3)
    even = torch.full((2, 3, 1, 4, 4), 0.1)
    assert pixel_loss(even, video, "psnr")[0].item() == pytest.approx(1e-2)


def test_same_pixels() -> None:
    assert [same_pixels(8, 128, size) for size in (128, 64, 96, 512)] == [8, 32, 14, 1]


def test_device_and_number_type() -> None:
    assert device_of("cpu") == torch.device("cpu")
    assert device_of("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")
    with autocast(torch.device("cpu")):
        found = nn.Linear(3, 3)(torch.ones(1, 3)).dtype
    fast = torch.cpu.get_capabilities().get("avx512_bf16", False)
    assert found == (torch.bfloat16 if fast else torch.float32)
    for precision, dtype in (("bf16", torch.bfloat16), ("f32", torch.float32)):
        with autocast(torch.device("cpu"), precision):
            assert nn.Linear(3, 3)(torch.ones(1, 3)).dtype == dtype

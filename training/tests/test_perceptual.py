from __future__ import annotations

import json
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from conftest import Trained
from torch import Tensor, nn

from latentbit_training import golden, train_tokenizer
from latentbit_training.perceptual import VGG_FILE, perceptual_term

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Random weights in the shapes of SqueezeNet 1.1, its classifier included."""
    rng = np.random.default_rng(4)
    arrays: dict[str, np.ndarray] = {}

    def conv(name: str, cout: int, cin: int, side: int) -> None:
        std = (2 / (cin * side * side)) ** 0.5
        arrays[f"{name}.weight"] = rng.normal(0, std, (cout, cin, side, side)).astype(np.float16)
        arrays[f"{name}.bias"] = rng.normal(0, 0.1, cout).astype(np.float32)

    conv("conv1", 64, 3, 3)
    cin = 64
    for index, squeeze in enumerate((16, 16, 32, 32, 48, 48, 64, 64)):
        conv(f"fire{index + 2}.squeeze", squeeze, cin, 1)
        conv(f"fire{index + 2}.expand1", squeeze * 4, squeeze, 1)
        conv(f"fire{index + 2}.expand3", squeeze * 4, squeeze, 3)
        cin = squeeze * 8
    conv("conv10", 1000, cin, 1)
    path = tmp_path_factory.mktemp("weights") / "squeezenet.npz"
    np.savez(path, **arrays)  # type: ignore[arg-type]
    return path


@pytest.fixture(scope="module")
def distance(weights: Path) -> Callable[[Tensor, Tensor], Tensor]:
    return perceptual_term("auto", weights, CPU).distance


def test_distance(distance: Callable[[Tensor, Tensor], Tensor]) -> None:
    video = golden.frames(2, 48, 48)
    assert float(distance(video, video)) == 0.0
    slight = float(distance((video + 0.02 * torch.randn_like(video)), video))
    strong = float(distance((video + 0.3 * torch.randn_like(video)), video))
    assert 0 < slight < strong
    # Five taps, each at most 4 (unit vectors).
    assert strong < 20


def test_every_frame_counts(distance: Callable[[Tensor, Tensor], Tensor]) -> None:
    video = golden.frames(3, 48, 48)
    other = video.clone()
    other[:, :, 2] = other[:, :, 2].flip(-1)
    alone = distance(other[:, :, 2:], video[:, :, 2:])
    torch.testing.assert_close(distance(other, video), alone / 3, atol=1e-5, rtol=1e-4)


def test_gradient_flows_to_the_first_alone(distance: Callable[[Tensor, Tensor], Tensor]) -> None:
    target = golden.frames(1, 48, 48).requires_grad_()
    guess = F.avg_pool3d(target.detach(), (1, 3, 3), 1, (0, 1, 1)).requires_grad_()
    before = distance(guess, target)
    before.backward()
    assert target.grad is None
    assert guess.grad is not None
    assert guess.grad.isfinite().all()
    step = guess.detach() - 0.01 * guess.grad / guess.grad.abs().max()
    assert distance(step, target) < before


VGG = [64, 64, 0, 128, 128, 0, 256, 256, 256, 0, 512, 512, 512, 0, 512, 512, 512]


def seeded_vgg() -> nn.Sequential:
    """The layers of torchvision's `vgg16().features` but the last pool, with random weights."""
    layers: list[nn.Module] = []
    before = 3
    for channels in VGG:
        if channels:
            conv = nn.Conv2d(before, channels, 3, padding=1)
            nn.init.kaiming_normal_(conv.weight)
            layers += [conv, nn.ReLU()]
            before = channels
        else:
            layers.append(nn.MaxPool2d(2))
    return nn.Sequential(*layers).requires_grad_(False)


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of `torch.hub` with nothing in it."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    (tmp_path / "hub" / "checkpoints").mkdir(parents=True)
    return tmp_path / "hub" / "checkpoints" / VGG_FILE


def test_vgg_is_that_of_torchvision(hub: Path) -> None:
    network = seeded_vgg()
    torch.save({f"features.{name}": value for name, value in network.state_dict().items()}, hub)
    found = perceptual_term("vgg", None, CPU)
    assert str(hub) in found.about
    a, b = golden.frames(2, 32, 48)[:, :, :, :32], golden.frames(3, 32, 48)[:, :, :2]
    mean, std = torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1), torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1)
    wanted = 0.0
    for t in range(2):
        x, y = (((v[:, :, t] + 1) / 2 - mean) / std for v in (a, b))
        for layer in network:
            # Before each pool, and at the end.
            if isinstance(layer, nn.MaxPool2d):
                wanted += float((F.normalize(x, dim=1) - F.normalize(y, dim=1)).square().sum(1).mean()) / 2
            x, y = layer(x), layer(y)
        wanted += float((F.normalize(x, dim=1) - F.normalize(y, dim=1)).square().sum(1).mean()) / 2
    assert float(found.distance(a, b)) == pytest.approx(wanted, rel=1e-4)
    assert float(found.distance(a, a)) == 0
    # Smaller than what four pools leave something of.
    assert found.distance(a[..., :8, :8], b[..., :8, :8]).isfinite()


def test_what_is_here_is_taken(hub: Path, weights: Path) -> None:
    with pytest.raises(ValueError, match=f"lpips needs .*{VGG_FILE}; vgg needs .*; squeezenet needs --perceptual-w"):
        perceptual_term("auto", None, CPU)
    with pytest.raises(ValueError, match="are of squeezenet, not of vgg"):
        perceptual_term("vgg", weights, CPU)
    state = {f"features.{name}": value for name, value in seeded_vgg().state_dict().items()}
    torch.save(state, hub)
    assert perceptual_term("auto", weights, CPU).name == "squeezenet"
    assert perceptual_term("auto", None, CPU).name == ("lpips" if find_spec("lpips") else "vgg")
    torch.save({name: value for name, value in state.items() if "28" not in name}, hub)
    with pytest.raises(ValueError, match=r"holds no VGG16: features.28.weight and .* None], not .*512, 512, 3, 3"):
        perceptual_term("vgg", None, CPU)
    hub.write_bytes(b"interrupted")
    with pytest.raises(ValueError, match=f"{VGG_FILE} cannot be read"):
        perceptual_term("vgg", None, CPU)


def test_a_training_tells_which(trained: Trained, hub: Path, tmp_path: Path,
                                capsys: pytest.CaptureFixture[str]) -> None:
    torch.save({f"features.{name}": value for name, value in seeded_vgg().state_dict().items()}, hub)
    words = [*trained.tokenizer_command, "--out", str(tmp_path / "run"), "--steps", "2", "--pixel-start", "0",
             "--perceptual", "0.1", "--perceptual-network", "vgg", "--clip-share", "0"]
    train_tokenizer.main(words)
    assert f"the perceptual term compares features of VGG16 of {hub}" in capsys.readouterr().err
    lines = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    assert lines[0]["perceptual_network"] == "vgg"
    assert all(line["image_perceptual"] > 0 for line in lines[1:])

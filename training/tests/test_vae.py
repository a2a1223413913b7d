from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from conftest import make_vae, picture
from torch import Tensor, nn

from latentbit_training import config, golden
from latentbit_training.data import to_unit
from latentbit_training.init import init_near_linear
from latentbit_training.vae import CausalConv3d, ResidualBlock, WanVae, fold, patchify, unpatchify


@pytest.mark.parametrize(("frames", "latent_frames"), [(1, 1), (5, 2), (9, 3)])
def test_strides_and_frame_counts(vae: WanVae, frames: int, latent_frames: int) -> None:
    stride = vae.config.strides[1]
    latent = vae.encode(golden.frames(frames, 2 * stride, 3 * stride))
    assert latent.shape == (1, vae.config.latent_channels, latent_frames, 2, 3)
    assert vae.decode(latent).shape == (1, 3, frames, 2 * stride, 3 * stride)


@pytest.mark.parametrize("changed", [1, 5, 8])
def test_the_encoder_sees_no_later_frame(vae: WanVae, changed: int) -> None:
    clip = golden.frames(9, 16, 16)
    other = clip.clone()
    other[:, :, changed:] = -other[:, :, changed:]
    before, after = vae.encode(clip), vae.encode(other)
    first = 1 + (changed - 1) // 4
    torch.testing.assert_close(before[:, :, :first], after[:, :, :first], atol=1e-6, rtol=0)
    assert all((before[:, :, t] - after[:, :, t]).abs().max() > 1e-4 for t in range(first, 3))


@pytest.mark.parametrize("changed", [1, 2])
def test_the_decoder_sees_no_later_latent_frame(vae: WanVae, changed: int) -> None:
    latent = torch.randn(1, vae.config.latent_channels, 3, 3, 3)
    other = latent.clone()
    other[:, :, changed:] = -other[:, :, changed:]
    before, after = vae.decode(latent), vae.decode(other)
    first = 1 + 4 * (changed - 1)
    torch.testing.assert_close(before[:, :, :first], after[:, :, :first], atol=1e-6, rtol=0)
    assert all((before[:, :, t] - after[:, :, t]).abs().max() > 1e-4 for t in range(first, 9))


def test_a_prefix_is_coded_as_in_the_whole_clip(vae: WanVae) -> None:
    clip = golden.frames(9, 16, 16)
    whole = vae.encode(clip)
    decoded = vae.decode(whole)
    for frames, latent_frames in ((1, 1), (5, 2)):
        part = vae.encode(clip[:, :, :frames])
        torch.testing.assert_close(part, whole[:, :, :latent_frames], atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(vae.decode(part), decoded[:, :, :frames], atol=1e-4, rtol=1e-4)


def test_samples_do_not_mix(vae: WanVae) -> None:
    a, b = golden.frames(5, 16, 16), golden.frames(5, 16, 16).flip(-1)
    both = vae.encode(torch.cat([a, b]))
    torch.testing.assert_close(both[1:], vae.encode(b), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(vae.decode(both)[:1], vae.decode(vae.encode(a)), atol=1e-4, rtol=1e-4)


def test_normalize() -> None:
    vae = make_vae("tiny")
    mean = torch.tensor(vae.config.latent_mean).view(1, -1, 1, 1, 1)
    std = torch.tensor(vae.config.latent_std).view(1, -1, 1, 1, 1)
    latent = mean + 2 * std * torch.ones(2, 4, 3, 5, 6)
    torch.testing.assert_close(vae.normalize(latent), torch.full_like(latent, 2.0))
    noise = torch.randn(2, 4, 3, 5, 6)
    torch.testing.assert_close(vae.denormalize(vae.normalize(noise)), noise)
    torch.testing.assert_close(vae.normalize(vae.denormalize(noise)), noise)


def test_patchify() -> None:
    x = torch.randn(2, 3, 8, 12)
    patches = patchify(x, 4)
    assert patches.shape == (2, 48, 2, 3)
    assert torch.equal(unpatchify(patches, 4), x)
    channel, row, column = 2, 1, 3
    assert torch.equal(patches[:, channel * 16 + column * 4 + row], x[:, channel, row::4, column::4])


def explained(vae: WanVae, video: Tensor) -> float:
    """The part of the pixels' variance that a linear map from the latent gives back."""
    latent = vae.encode(video)[:, :, 0].movedim(1, -1).flatten(0, 2).double()
    latent = F.pad(latent, (0, 1), value=1.0)
    pixels = patchify(video[:, :, 0], vae.config.strides[1]).movedim(1, -1).flatten(0, 2).double()
    rest = latent @ torch.linalg.lstsq(latent, pixels).solution - pixels
    return 1 - float(rest.square().sum() / (pixels - pixels.mean(0)).square().sum())


@torch.no_grad()
def test_init_near_linear() -> None:
    video = torch.stack([to_unit(picture(16, 16, seed)[None]) for seed in range(40)])
    vae = WanVae(config.tiny())
    before = explained(vae, video)
    init_near_linear(vae)
    assert explained(vae, video) > max(0.6, before + 0.2)
    assert 0.1 < vae.decode(vae.encode(video)).std() < 10


@torch.no_grad()
def test_fresh_residual_branches_are_small() -> None:
    vae = WanVae(config.tiny())
    init_near_linear(vae)
    for block in vae.modules():
        if isinstance(block, ResidualBlock) and isinstance(block.shortcut, nn.Identity):
            channels = block.get_parameter("residual.0.gamma").numel()
            x = torch.randn(2, channels, 16, 16)
            assert 0 < (block(x, 1) - x).std() < 0.2


@pytest.mark.parametrize(
    ("kernel", "stride", "padded"), [((3, 3, 3), 1, True), ((3, 3, 3), 2, False), ((2, 3, 3), 1, True)]
)
def test_frames_as_channels_are_the_same_convolution(
    kernel: config.Kernel, stride: int, padded: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    conv = CausalConv3d(5, 7, kernel, stride, padded)
    x = fold(torch.randn(2, 5, 7, 6, 8)).requires_grad_()
    found = conv(x, 7)
    gradient = torch.randn_like(found)
    mine = torch.autograd.grad(found, (x, conv.weight), gradient)
    with torch.no_grad():
        torch.testing.assert_close(found, conv(x, 7), atol=1e-5, rtol=1e-5)
    monkeypatch.setattr(torch, "is_grad_enabled", lambda: False)
    for a, b in zip(mine, torch.autograd.grad(conv(x, 7), (x, conv.weight), gradient), strict=True):
        torch.testing.assert_close(a, b, atol=1e-4, rtol=1e-4)

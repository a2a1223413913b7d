from __future__ import annotations

import pytest
import torch
from conftest import make_vae

from latentbit_training import golden
from latentbit_training.init import init_near_linear
from latentbit_training.shortcuts import averaged, repeated
from latentbit_training.vae import DownStage, UpStage, fold, unfold


def test_averages_are_of_neighbouring_positions() -> None:
    clip = torch.randn(2, 3, 5, 4, 6)
    # Two channels for each of three: the positions of the earlier frame of a pair, and those of the later one.
    found = unfold(averaged(fold(clip), 5, 6, space=True, halve_time=True), 3)
    assert found.shape == (2, 6, 3, 2, 3)
    for channel in range(3):
        blocks = torch.nn.functional.avg_pool3d(clip[:, channel], (1, 2, 2))
        torch.testing.assert_close(found[:, 2 * channel, 1:], blocks[:, 1::2])
        torch.testing.assert_close(found[:, 2 * channel + 1], blocks[:, 0::2])
        # Nothing comes before the first frame.
        assert not found[:, 2 * channel, 0].any()


def test_space_or_time_alone() -> None:
    clip = torch.randn(1, 4, 3, 4, 4)
    found = unfold(averaged(fold(clip), 3, 4, space=True, halve_time=False), 3)
    torch.testing.assert_close(found, torch.nn.functional.avg_pool3d(clip, (1, 2, 2)))
    assert averaged(fold(clip), 3, 4, space=False, halve_time=True).shape == (2, 4, 4, 4)
    torch.testing.assert_close(averaged(fold(clip), 3, 4, space=False, halve_time=False), fold(clip))


def test_repeats_double_all_but_the_first_frame() -> None:
    clip = torch.randn(2, 4, 3, 2, 3)
    found = unfold(repeated(fold(clip), 3, 4, space=True, double_time=True), 5)
    frames = torch.cat([clip[:, :, :1], clip[:, :, 1:].repeat_interleave(2, 2)], 2)
    assert torch.equal(found, frames.repeat_interleave(2, 3).repeat_interleave(2, 4))


def test_repeats_in_fewer_channels() -> None:
    """Two channels that become one lie beside each other: above and below, for space alone."""
    x = torch.randn(3, 4, 2, 2)
    found = repeated(x, 1, 2, space=True, double_time=False)
    assert found.shape == (3, 2, 4, 4)
    for channel in range(2):
        for row in range(2):
            expected = x[:, 2 * channel + row].repeat_interleave(2, 2)
            assert torch.equal(found[:, channel, row::2], expected)


@pytest.mark.parametrize("frames", [1, 5, 9])
def test_stages_without_branches_are_their_shortcuts(frames: int) -> None:
    vae = make_vae("tiny22")
    for parameter in vae.parameters():
        parameter.zero_()
    x, time = torch.randn(frames, 8, 8, 8), frames
    down, up = vae.encoder.downsamples[2], vae.decoder.upsamples[0]
    assert isinstance(down, DownStage)
    assert isinstance(up, UpStage)
    found = down(x, time)
    assert torch.equal(found, averaged(x, time, 16, space=True, halve_time=True))
    time = 1 + (frames - 1) // 2
    back = torch.randn(time, 24, 4, 4)
    assert torch.equal(up(back, time), repeated(back, time, 24, space=True, double_time=True))


def test_a_fresh_vae_with_shortcuts_keeps_signals_in_bounds() -> None:
    vae = make_vae("tiny22")
    init_near_linear(vae)
    with torch.no_grad():
        latent = vae.encode(golden.frames(5, 32, 48))
        frames = vae.decode(latent)
    assert 0.02 < latent.std() < 20
    assert 0.02 < frames.std() < 20

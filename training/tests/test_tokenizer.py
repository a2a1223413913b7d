from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from latentbit_training.evaluate import through_tokens
from latentbit_training.tokenizer import Tokenizer, join_chunks, patchify, split_chunks, unpatchify

Make = Callable[..., Tokenizer]


@pytest.mark.parametrize("patch", [(1, 1, 1), (2, 2, 2), (1, 2, 3), (4, 1, 2)])
@pytest.mark.parametrize("size", [(1, 5, 7), (4, 6, 6)])
def test_patchify_round_trip(patch: tuple[int, int, int], size: tuple[int, int, int]) -> None:
    latent = torch.randn(2, 3, *size)
    tokens, grid = patchify(latent, patch)
    assert grid == tuple(-(-n // k) for n, k in zip(size, patch, strict=True))
    assert tokens.shape == (2, grid[0] * grid[1] * grid[2], 3 * patch[0] * patch[1] * patch[2])
    assert torch.equal(unpatchify(tokens, grid, patch, size), latent)


def test_patchify_order_and_padding() -> None:
    latent = torch.randn(1, 3, 3, 4, 5)
    tokens, grid = patchify(latent, (2, 2, 2))
    assert grid == (2, 2, 3)
    token = (1 * 2 + 1) * 3 + 1  # patch (1, 1, 1) of the grid, the last axis fastest
    inside = tokens[0, token].view(2, 2, 2, 3)
    assert torch.equal(inside[0, 1, 0], latent[0, :, 2, 3, 2])
    assert not inside[1].any()


@pytest.mark.parametrize("quantizer", ["lfq", "bsq"])
@pytest.mark.parametrize("size", [(1, 5, 7), (4, 9, 14)])
def test_bits_and_back(make_tokenizer: Make, quantizer: str, size: tuple[int, int, int]) -> None:
    tokenizer = make_tokenizer(quantizer=quantizer)
    latent = torch.randn(2, 4, *size)
    bits, grid = tokenizer.bits(latent)
    u, _ = tokenizer.encode(latent)
    assert bits.dtype == torch.bool
    assert bits.shape == (2, grid[0] * grid[1] * grid[2], 10)
    assert torch.equal(bits, u > 0)
    decoded = tokenizer.decode_bits(bits, grid, size)
    assert decoded.shape == latent.shape
    # What training optimises is what decoding of stored bits gives.
    output, _, _ = tokenizer(latent)
    torch.testing.assert_close(decoded, output, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("quantizer", ["lfq", "bsq"])
def test_bit_planes_are_nested(make_tokenizer: Make, quantizer: str) -> None:
    tokenizer, size = make_tokenizer(quantizer=quantizer), (4, 6, 6)
    latent = torch.randn(2, 4, *size)
    bits, grid = tokenizer.bits(latent)
    assert torch.equal(tokenizer.decode_bits(bits, grid, size, 10), tokenizer.decode_bits(bits, grid, size))
    for kept in (0, 4, 9):
        decoded = tokenizer.decode_bits(bits, grid, size, kept)
        trailing = bits.clone()
        trailing[..., kept:] = ~trailing[..., kept:]
        assert torch.equal(decoded, tokenizer.decode_bits(trailing, grid, size, kept))
        assert (decoded - tokenizer.decode_bits(bits, grid, size, kept + 1)).abs().max() > 1e-4
        torch.testing.assert_close(decoded, tokenizer(latent, torch.full((2,), kept))[0], atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("shape", [(3,), (3, 9)])
def test_each_sample_has_its_own_depths(make_tokenizer: Make, shape: tuple[int, ...]) -> None:
    tokenizer, latent = make_tokenizer(), torch.randn(3, 4, 1, 6, 6)
    depths = torch.randint(1, 11, shape)
    both = tokenizer(latent, depths)[0]
    for index in range(3):
        alone = tokenizer(latent[index : index + 1], depths[index : index + 1])[0]
        torch.testing.assert_close(both[index : index + 1], alone, atol=1e-4, rtol=1e-4)


def test_a_token_keeps_the_planes_of_its_own_depth(make_tokenizer: Make) -> None:
    tokenizer, size = make_tokenizer(), (1, 6, 6)
    latent = torch.randn(1, 4, *size)
    bits, grid = tokenizer.bits(latent)
    depths = torch.tensor([[0, 10, 3, 7, 10, 1, 2, 9, 5]])
    decoded = tokenizer.decode_bits(bits, grid, size, depths)
    torch.testing.assert_close(decoded, tokenizer(latent, depths)[0], atol=1e-4, rtol=1e-4)
    beyond = torch.arange(10) >= depths[..., None]
    # What is not kept means nothing, what is kept does.
    assert torch.equal(decoded, tokenizer.decode_bits(bits ^ beyond, grid, size, depths))
    last = torch.arange(10) == depths[..., None] - 1
    for token in range(1, 9):
        changed = bits.clone()
        changed[0, token] ^= last[0, token]
        assert (decoded - tokenizer.decode_bits(changed, grid, size, depths)).abs().max() > 1e-5


def test_a_depth_head_estimates_beside_the_code(make_tokenizer: Make) -> None:
    plain, tokenizer = make_tokenizer(), make_tokenizer(depth_step=4)
    assert tokenizer.config.depths == (0, 4, 8, 10)
    latent = torch.randn(2, 4, 4, 6, 6)
    assert plain.analyse(latent)[1] is None
    u, estimates, grid = tokenizer.analyse(latent)
    assert torch.equal(u, tokenizer.encode(latent)[0])
    assert estimates is not None
    assert estimates.shape == (2, grid[0] * grid[1] * grid[2], 4)
    named = {name for name, _ in tokenizer.named_parameters()}
    assert named - {name for name, _ in plain.named_parameters()} == {"depth_head.weight", "depth_head.bias"}


def test_chunks_know_nothing_of_each_other(make_tokenizer: Make) -> None:
    tokenizer = make_tokenizer()
    latent = torch.randn(1, 4, 10, 6, 6)
    whole = through_tokens(tokenizer, latent)
    assert whole.shape == latent.shape
    for start, end in ((0, 4), (4, 8), (8, 10)):
        torch.testing.assert_close(whole[:, :, start:end], through_tokens(tokenizer, latent[:, :, start:end]))
    other = latent.clone()
    other[:, :, 4:8] = -other[:, :, 4:8]
    changed = (through_tokens(tokenizer, other) != whole).any(dim=(0, 1, 3, 4))
    assert changed.tolist() == [False] * 4 + [True] * 4 + [False] * 2


def test_kept_planes_reach_every_chunk(make_tokenizer: Make) -> None:
    tokenizer = make_tokenizer()
    latent = torch.randn(1, 4, 5, 6, 6)
    fewer = through_tokens(tokenizer, latent, 4)
    bits, grid = tokenizer.bits(latent[:, :, 4:])
    torch.testing.assert_close(fewer[:, :, 4:], tokenizer.decode_bits(bits, grid, (1, 6, 6), 4))
    assert (fewer != through_tokens(tokenizer, latent)).any(dim=(0, 1, 3, 4)).all()


def test_split_and_join_chunks() -> None:
    latent = torch.randn(2, 4, 8, 3, 3)
    chunks = split_chunks(latent, 4)
    assert chunks.shape == (4, 4, 4, 3, 3)
    assert torch.equal(chunks[1], latent[0, :, 4:])
    assert torch.equal(chunks[2], latent[1, :, :4])
    assert torch.equal(join_chunks(chunks, 2), latent)

from __future__ import annotations

import multiprocessing
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

import latentbit
from conftest import H, Tokens, W, damaged, file_bytes, tokens, without_index, write_tar
from latentbit.torch import TokenDataset, join_bits, join_factors

Folder = Callable[[dict[str, bytes]], Path]


def some_files() -> tuple[dict[str, bytes], list[Tokens]]:
    """Files with 4 + 4 + 2 steps, and the steps of each as one array."""
    whole, files = [], {}
    for number in range(5):
        parts = [tokens(10 * number), tokens(10 * number + 1), tokens(10 * number + 2, steps=2)]
        files[f"{'ab'[number % 2]}/{number}.lbit"] = file_bytes(parts, keys=(0, 2))
        whole.append(np.concatenate(parts))
    order = sorted(range(5), key=lambda number: f"{'ab'[number % 2]}/{number}.lbit")
    return files, [whole[number] for number in order]


def test_windows_of_a_folder(folder_of: Folder) -> None:
    files, whole = some_files()
    dataset = TokenDataset(folder_of(files), window=3, stride=2)
    # Of 10 steps, those that begin at 0, 2, 4 and 6.
    assert len(dataset) == 5 * 4
    for index in np.random.default_rng(0).permutation(len(dataset)):
        sample = dataset[int(index)]
        file, at = divmod(int(index), 4)
        assert sample["tokens"].dtype == torch.int64
        np.testing.assert_array_equal(sample["tokens"].numpy().view(np.uint64), whole[file][2 * at : 2 * at + 3])
        assert sample["key"].tolist() == [step in (0, 8) for step in range(2 * at, 2 * at + 3)]
        assert sample["segment"] == file
        assert sample["first_frame"] == (0, 5, 13, 21)[at]
        assert sample["name"] == sorted(files)[file].split("/")[1]
    assert dataset[-1]["first_frame"] == dataset[19]["first_frame"]
    with pytest.raises(IndexError):
        dataset[20]


def test_chunks_are_samples_without_a_window(folder_of: Folder) -> None:
    files, whole = some_files()
    dataset = TokenDataset(folder_of(files))
    assert len(dataset) == 15
    assert [len(dataset[index]["tokens"]) for index in range(3)] == [4, 4, 2]
    np.testing.assert_array_equal(dataset[5]["tokens"].numpy().view(np.uint64), whole[1][8:])


def test_a_frame_of_each_step(folder_of: Folder) -> None:
    dataset = TokenDataset(folder_of({"a.lbit": file_bytes([tokens(0), tokens(1)])}), window=1)
    assert [dataset[step]["first_frame"] for step in range(8)] == [0, 1, 5, 9, 13, 17, 21, 25]


def test_groups_segments_and_lost_chunks_end_windows(folder_of: Folder) -> None:
    parts = [tokens(seed) for seed in range(6)]
    whole = np.concatenate(parts)

    def starts(data: bytes, **options: Any) -> list[int]:
        dataset = TokenDataset(folder_of({"a.lbit": data}), window=4, stride=1, **options)
        found = []
        for index in range(len(dataset)):
            values = dataset[index]["tokens"].numpy().view(np.uint64)
            at = next(at for at in range(21) if np.array_equal(values, whole[at : at + 4]))
            found.append(at)
        return found

    plain = file_bytes(parts, keys=(0, 3))
    assert starts(plain) == list(range(21))
    assert starts(plain, groups=True) == [*range(9), *range(12, 21)]
    joined = file_bytes(parts, keys=(0, 2), segments=(0, 0, 1, 1, 1, 1))
    assert starts(joined) == [*range(5), *range(8, 21)]
    lost = without_index(damaged(damaged(plain, 1), 4))
    with pytest.warns(latentbit.LossWarning, match="2 chunks in 1 files are lost"):
        assert starts(lost) == [0, 8, 9, 10, 11, 12, 20]
    # An index does not know of damage: the sample says so, and only that one.
    dataset = TokenDataset(folder_of({"a.lbit": damaged(plain, 1)}), window=4)
    with pytest.raises(latentbit.FormatError, match=r"a\.lbit.*chunk 1"):
        dataset[1]
    assert len(dataset[2]["tokens"]) == 4


def test_segments_have_numbers_of_their_own(folder_of: Folder) -> None:
    parts = [tokens(seed) for seed in range(3)]
    files = {
        "a.lbit": file_bytes(parts, keys=(0, 1), segments=(0, 1, 1)),
        "b.lbit": file_bytes(parts, keys=(0, 1, 2), segments=(0, 1, 2)),
    }
    dataset = TokenDataset(folder_of(files), window=4)
    assert [dataset[index]["segment"] for index in range(6)] == [0, 1, 1, 2, 3, 4]


def test_targets(folder_of: Folder) -> None:
    place = folder_of({"a.lbit": file_bytes([tokens(0)])})
    values = tokens(0)
    bits = TokenDataset(place, window=2, target="bits")[0]["bits"]
    assert bits.dtype == torch.uint8
    assert bits.shape == (2, H, W, 36)
    np.testing.assert_array_equal(bits.numpy(), latentbit.open(place / "a.lbit")[0].bits[:2])
    np.testing.assert_array_equal(join_bits(bits.numpy()), values[:2])
    factors = TokenDataset(place, window=2, target="factors", factors=(9, 12, 15))[0]["factors"]
    assert factors.dtype == torch.int64
    np.testing.assert_array_equal(factors[..., 0].numpy(), values[:2] & np.uint64(511))
    np.testing.assert_array_equal(factors[..., 1].numpy(), values[:2] >> np.uint64(9) & np.uint64(4095))
    np.testing.assert_array_equal(factors[..., 2].numpy(), values[:2] >> np.uint64(21))
    np.testing.assert_array_equal(join_factors(factors.numpy(), (9, 12, 15)), values[:2])
    fewer = TokenDataset(place, window=2, target="factors", bits=18, factors=(9, 9))[0]["factors"]
    np.testing.assert_array_equal(join_factors(fewer.numpy(), (9, 9)), values[:2] & np.uint64(2**18 - 1))
    # Tensors give tensors, whose numbers have a sign and the same bits.
    all_joined = [join_bits(given) for given in (bits, bits.bool(), bits.float())]
    for joined in (*all_joined, join_factors(factors, (9, 12, 15))):
        assert joined.dtype == torch.int64
        np.testing.assert_array_equal(joined.numpy().view(np.uint64), values[:2])
    ones = torch.ones(3, 64, dtype=torch.uint8)
    assert join_bits(ones).tolist() == [-1] * 3
    halves = torch.tensor([[2**32 - 1, 2**32 - 1]])
    assert join_factors(halves, (32, 32)).tolist() == [-1]
    for wrong in (bits.float() * 0.3, bits.int() * 2 - 1, torch.zeros(()), np.zeros((2, 65), np.uint8)):
        with pytest.raises(ValueError, match="bits: expected"):
            join_bits(wrong)
    for wrong in (factors - 600, factors[..., :2], torch.zeros((), dtype=torch.int64)):
        with pytest.raises(ValueError, match="factors: expected"):
            join_factors(wrong, (9, 12, 15))
    with pytest.raises(TypeError, match="integers"):
        join_factors(factors.float(), (9, 12, 15))
    with pytest.raises(ValueError, match="sum of 36"):
        TokenDataset(place, target="factors", factors=(9, 9))
    with pytest.raises(ValueError, match=r"1 to 36.*a\.lbit"):
        TokenDataset(place, bits=37)
    with pytest.raises(ValueError, match="tokens, bits, factors"):
        TokenDataset(place, target="words")
    with pytest.raises(ValueError, match="numbers below 512"):
        join_factors(np.array([512]), (9,))


def test_64_bits_survive(folder_of: Folder) -> None:
    values = tokens(3, bits=64)
    values[0, 0, 0] = np.uint64(2**64 - 1)
    place = folder_of({"a.lbit": file_bytes([values], bits=64)})
    np.testing.assert_array_equal(TokenDataset(place)[0]["tokens"].numpy().view(np.uint64), values)
    np.testing.assert_array_equal(join_bits(TokenDataset(place, target="bits")[0]["bits"].numpy()), values)


def test_the_fewest_bits_count(folder_of: Folder) -> None:
    place = folder_of(
        {"a.lbit": file_bytes([tokens(0)]), "b.lbit": file_bytes([tokens(1, bits=20)], bits=20)}
    )
    dataset = TokenDataset(place)
    assert dataset.bits == 20
    np.testing.assert_array_equal(dataset[0]["tokens"], (tokens(0) & np.uint64(2**20 - 1)).view(np.int64))


def test_files_of_two_models_do_not_mix(folder_of: Folder, tmp_path: Path) -> None:
    place = folder_of({"a.lbit": file_bytes([tokens(0)])})
    from conftest import video

    with latentbit.Writer(place / "b.lbit", video(bundle_sha256="cd" * 32)) as writer:
        writer.write(tokens(0), key=True)
    with pytest.raises(latentbit.BundleError, match=r"b\.lbit.*a\.lbit"):
        TokenDataset(place)


def test_shards_are_read_in_place(tmp_path: Path) -> None:
    files, whole = some_files()
    for shard in range(2):
        inside = {name: data for at, (name, data) in enumerate(sorted(files.items())) if at % 2 == shard}
        with_json = {}
        for name, data in inside.items():
            with_json[name] = data
            with_json[name.replace(".lbit", ".json")] = b"{}"
        write_tar(tmp_path / f"shard-{shard}.tar", with_json)
    dataset = TokenDataset(str(tmp_path / "shard-*.tar"), window=10)
    expected = [whole[at] for at in (0, 2, 4, 1, 3)]
    assert len(dataset) == 5
    for sample, values in zip((dataset[index] for index in range(5)), expected, strict=True):
        np.testing.assert_array_equal(sample["tokens"].numpy().view(np.uint64), values)
    assert dataset[0]["name"] == "a/0.lbit"
    (tmp_path / "empty.tar").write_bytes(bytes(10240))
    with pytest.raises(FileNotFoundError, match="in these shards"):
        TokenDataset(tmp_path / "empty.tar")
    (tmp_path / "none.tar").write_bytes(b"\x1f\x8b" + bytes(600))
    with pytest.raises(latentbit.FormatError, match="not compressed"):
        TokenDataset(tmp_path / "none.tar")
    with pytest.raises(FileNotFoundError, match="matches"):
        TokenDataset(str(tmp_path / "x*.tar"))


@pytest.mark.parametrize("beside", [True, False])
def test_what_is_known_of_a_shard_is_kept(tmp_path: Path, beside: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    shard = tmp_path / "shard.tar"
    write_tar(shard, {"a.lbit": file_bytes([tokens(0)])})
    cache = True if beside else tmp_path / "cache"
    first = TokenDataset(shard, window=4, cache=cache)
    kept = list((tmp_path if beside else tmp_path / "cache").glob("*.npz"))
    assert len(kept) == 1

    def fail(path: Path) -> None:
        raise AssertionError(f"{path} was read again")

    with monkeypatch.context() as patched:
        patched.setattr("latentbit._catalog._scan", fail)
        again = TokenDataset(shard, window=4, cache=cache)
        torch.testing.assert_close(again[0]["tokens"], first[0]["tokens"])
        # Another shard of that name is another shard.
        write_tar(shard, {"a.lbit": file_bytes([tokens(1), tokens(2)])})
        with pytest.raises(AssertionError, match="read again"):
            TokenDataset(shard, window=4, cache=cache)
    assert len(TokenDataset(shard, window=4, cache=cache)) == 2
    # What is no list is made again, and not believed.
    kept[0].write_bytes(b"PK\x03\x04 is not all of it")
    assert len(TokenDataset(shard, window=4, cache=cache)) == 2


def test_datasets_can_be_pickled(folder_of: Folder) -> None:
    dataset = TokenDataset(folder_of(some_files()[0]), window=3)
    expected = dataset[4]["tokens"]
    again = pickle.loads(pickle.dumps(dataset))
    torch.testing.assert_close(again[4]["tokens"], expected)
    assert len(pickle.dumps(dataset)) < 20_000


def test_forked_workers_read_everything_once(folder_of: Folder) -> None:
    dataset = TokenDataset(folder_of(some_files()[0]), window=2)
    # Files are open before the workers are forked.
    expected = torch.stack([dataset[index]["tokens"] for index in range(len(dataset))])
    context = multiprocessing.get_context("fork")
    loader = DataLoader(dataset, batch_size=4, num_workers=2, multiprocessing_context=context)
    torch.testing.assert_close(torch.cat([batch["tokens"] for batch in loader]), expected)
    stream = DataLoader(
        dataset.iterable(shuffle=True), batch_size=None, num_workers=2, multiprocessing_context=context
    )
    found = sorted(sample["tokens"].flatten().tolist() for sample in stream)
    assert found == sorted(values.flatten().tolist() for values in expected)


def test_ranks_share_without_overlap(folder_of: Folder) -> None:
    dataset = TokenDataset(folder_of(some_files()[0]), window=3, stride=1)
    assert len(dataset) == 40

    def read(shuffle: bool, even: bool, epoch: int = 0, seed: int = 0) -> list[list[tuple[str, int]]]:
        ranks = []
        for rank in range(3):
            stream = dataset.iterable(shuffle=shuffle, seed=seed, rank=rank, world_size=3, even=even)
            stream.set_epoch(epoch)
            samples = [(sample["name"], sample["first_frame"]) for sample in stream]
            assert len(samples) == len(stream)
            ranks.append(samples)
        everything = [sample for samples in ranks for sample in samples]
        assert len(set(everything)) == len(everything)
        return ranks

    for shuffle in (True, False):
        assert [len(rank) for rank in read(shuffle, even=True)] == [13, 13, 13]
        assert sum(len(rank) for rank in read(shuffle, even=False)) == 40
    assert read(True, True) == read(True, True)
    assert read(True, True) != read(True, True, epoch=1)
    assert read(True, True) != read(True, True, seed=1)
    first = read(False, False)[0]
    assert first == [(dataset[index]["name"], dataset[index]["first_frame"]) for index in range(13)]
    with pytest.raises(ValueError, match="0 to 2"):
        dataset.iterable(rank=3, world_size=3)


def test_epochs_reach_workers_that_live_on(folder_of: Folder) -> None:
    stream = TokenDataset(folder_of(some_files()[0]), window=2).iterable()
    loader = DataLoader(stream, batch_size=None, num_workers=1, persistent_workers=True)
    orders = []
    for epoch in range(2):
        stream.set_epoch(epoch)
        orders.append([(sample["name"], sample["first_frame"]) for sample in loader])
    assert orders[0] != orders[1]
    assert sorted(orders[0]) == sorted(orders[1])


def test_ranks_come_from_torch_distributed(folder_of: Folder, tmp_path: Path) -> None:
    place = folder_of(some_files()[0])
    import torch.distributed as dist

    dist.init_process_group("gloo", init_method=f"file://{tmp_path}/meeting", rank=0, world_size=1)
    try:
        stream = TokenDataset(place, window=5).iterable(shuffle=False)
        assert (stream._rank, stream._world_size) == (0, 1)
        assert len(list(stream)) == 10
    finally:
        dist.destroy_process_group()


def test_samples_can_be_transformed(folder_of: Folder) -> None:
    dataset = TokenDataset(folder_of(some_files()[0]), window=2, transform=lambda sample: sample["tokens"].sum())
    assert dataset[0].ndim == 0


def test_a_small_generator_learns(folder_of: Folder) -> None:
    """Predicts each step from the one before, in factors; the pattern is one that a chance guess does not find."""
    step = np.arange(64, dtype=np.uint64)
    y, x = np.ogrid[:H, :W]
    values = (step[:, None, None] * np.uint64(3) + (y * W + x).astype(np.uint64)) % np.uint64(16)
    values |= (values ^ np.uint64(5)) << np.uint64(4)
    parts = [values[at : at + 4] for at in range(0, 64, 4)]
    place = folder_of({"a.lbit": file_bytes(parts, bits=8), "b.lbit": file_bytes(parts[8:], bits=8)})
    dataset = TokenDataset(place, window=4, stride=1, target="factors", factors=(4, 4))
    loader = DataLoader(dataset, batch_size=16, shuffle=True, generator=torch.Generator().manual_seed(0))
    torch.manual_seed(0)
    torch.set_num_threads(1)
    embed = torch.nn.Embedding(32, 16)
    head = torch.nn.Sequential(torch.nn.Linear(32, 64), torch.nn.GELU(), torch.nn.Linear(64, 32))
    optimizer = torch.optim.Adam([*embed.parameters(), *head.parameters()], lr=1e-2)
    offsets = torch.tensor([0, 16])
    losses = []
    for _ in range(6):
        for batch in loader:
            factors = batch["factors"]
            inputs = embed(factors[:, :-1] + offsets).flatten(-2)
            logits = head(inputs).unflatten(-1, (2, 16))
            loss = torch.nn.functional.cross_entropy(logits.flatten(0, -2), factors[:, 1:].flatten())
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
    assert losses[0] > 2.5
    assert losses[-1] < 0.3

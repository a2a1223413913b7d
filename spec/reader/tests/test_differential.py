"""Both readers on files that nobody made by hand: the conformance files and those of releases, mutated by chance.

The first reader speaks through `cargo run -p latentbit-container --example verdicts`; `LATENTBIT_VERDICTS` names the
built program, and without it the tests are skipped. `LATENTBIT_MUTATIONS` says how many mutations are tried (200), and
`LATENTBIT_SEED` where chance begins (1). Files that the readers disagree on are kept in a folder, which the failure
names.
"""

from __future__ import annotations

import json
import os
import random
import struct
import subprocess
import tempfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lbit import read
from test_conformance import FILES, FOLDER, differences

VERDICTS = os.environ.get("LATENTBIT_VERDICTS")
MUTATIONS = int(os.environ.get("LATENTBIT_MUTATIONS", "200"))
SEED = int(os.environ.get("LATENTBIT_SEED", "1"))

MAGIC = 8
HEADER = 28
# Kinds of faults that end a recovering reading, too. Of several faults each reader names another one first, so what
# comes after such a one is not compared.
FATAL = {"unsupported", "limits"}


def split(data: bytes) -> list[bytes]:
    """The magic and the records of an intact file; of another one, what can be told apart."""
    parts, at = [data[:MAGIC]], MAGIC
    while at + HEADER + 4 <= len(data):
        end = at + HEADER + struct.unpack_from("<I", data, at + 12)[0] + 4
        if end > len(data):
            break
        parts.append(data[at:end])
        at = end
    return [*parts, data[at:]]


def records(parts: list[bytes]) -> list[int]:
    """The places of parts that are records."""
    return [at for at, part in enumerate(parts) if at > 0 and len(part) >= HEADER + 4]


def sealed(record: bytearray) -> bytes:
    """A record with right checksums and a length that is true, whatever else it holds."""
    payload = record[HEADER:-4]
    record[12:16] = struct.pack("<I", len(payload))
    record[24:28] = struct.pack("<I", zlib.crc32(record[:24]))
    return bytes(record[:HEADER] + payload) + struct.pack("<I", zlib.crc32(payload))


def altered(chance: random.Random, data: bytearray, first: int = 0) -> None:
    """Some bytes become others, are doubled or go."""
    if len(data) <= first:
        return
    at = chance.randrange(first, len(data))
    match chance.randrange(6):
        case 0:
            data[at] ^= 1 << chance.randrange(8)
        case 1:
            data[at] = chance.choice((0, 1, 0x7F, 0x80, 0xFF))
        case 2:
            data[at : at + 8] = chance.randbytes(len(data[at : at + 8]))
        case 3:
            del data[at : at + chance.randrange(1, 9)]
        case 4:
            data[at:at] = data[at : at + chance.randrange(1, 9)]
        case 5:
            number = struct.pack("<I", chance.choice((0, 1, 2**16, 2**31, 2**32 - 1)))
            data[at : at + 4] = number[: len(data[at : at + 4])]


def payload_of_a_record(chance: random.Random, parts: list[bytes]) -> None:
    """A payload is wrong, and its checksum right: what a hostile writer makes."""
    at = chance.choice(records(parts))
    record = bytearray(parts[at])
    payload = record[HEADER:-4]
    for _ in range(chance.choice((1, 1, 1, 2, 4))):
        altered(chance, payload)
    parts[at] = sealed(record[:HEADER] + payload + record[-4:])


def header_of_a_record(chance: random.Random, parts: list[bytes]) -> None:
    """Type, version, flags, stream or sequence are wrong, and checksums right."""
    at = chance.choice(records(parts))
    record = bytearray(parts[at])
    field = chance.choice((4, 5, 8, 9, 10, 11, 16, 17, 23))
    record[field] = chance.choice((record[field] ^ 0x20, 0, 1, 2, 0xFF, ord("x"), ord("X")))
    parts[at] = sealed(record)


def order_of_records(chance: random.Random, parts: list[bytes]) -> None:
    """Records are gone, there twice, or somewhere else."""
    at, other = chance.choice(records(parts)), chance.choice(records(parts))
    match chance.randrange(3):
        case 0:
            del parts[at]
        case 1:
            parts.insert(other, parts[at])
        case 2:
            parts[at], parts[other] = parts[other], parts[at]


def bytes_anywhere(chance: random.Random, parts: list[bytes]) -> None:
    """Damage, as disks and lines have it."""
    data = bytearray(b"".join(parts))
    for _ in range(chance.choice((1, 1, 2, 8))):
        altered(chance, data)
    parts[:] = split(bytes(data))


def end_of_file(chance: random.Random, parts: list[bytes]) -> None:
    data = b"".join(parts)
    parts[:] = split(data[: chance.randrange(len(data) + 1)])


KINDS: list[Callable[[random.Random, list[bytes]], None]] = [
    payload_of_a_record, payload_of_a_record, payload_of_a_record, header_of_a_record, order_of_records,
    bytes_anywhere, bytes_anywhere, end_of_file,
]  # fmt: skip


def mutated(chance: random.Random) -> tuple[str, bytes]:
    """A file, and how it came about."""
    name = chance.choice(FILES)
    parts = split((FOLDER / name).with_suffix(".lbit").read_bytes())
    kinds = []
    for _ in range(chance.choice((1, 1, 1, 2, 3))):
        kind = chance.choice(KINDS)
        if records(parts):
            kinds.append(kind.__name__)
            kind(chance, parts)
    return f"{name}: {', '.join(kinds)}", b"".join(parts)


def disagreement(data: bytes, theirs: dict[str, Any]) -> object:
    """What the readers disagree on where the text leaves no choice."""
    strict, whole = read(data), read(data, recover=True)
    mine = strict.error
    # The first reader looks at the index only where it can seek, as `verify` does; the second one always.
    index = {offset for offset in places(data) if data[offset + 4 : offset + 8] == b"indx"}
    if mine and mine.offset in index and not theirs["strict"]:
        return None if theirs["problems"] else f"the index: {mine}"
    if whole.header is None and not theirs["recover"]["streams"] and theirs["strict"]:
        # Without any header each names another of the faults that there are.
        return None
    ended = theirs["recover"]["error"]
    if mine and ended and ended["kind"] in FATAL:
        return None
    if whole.error and whole.error.kind in FATAL and (theirs["strict"] or theirs["problems"]):
        return None
    kinds = {mine and mine.kind, theirs["strict"] and theirs["strict"]["kind"]}
    if None not in kinds and len(kinds) == 2 and kinds & FATAL:
        return None
    different = differences(data, theirs)
    if kinds == {"format", "truncated"} and theirs["recover"]["error"] == {"kind": "truncated"}:
        # A number may be looked at before the rest of a record that is cut off, or after.
        del different["strict"]
    if different and "zstd: " in str(mine) and theirs["problems"]:
        # Decoders may take frames that break RFC 8878; the digest tells, and does here.
        return None
    if "lost" in different:
        ours, others = (stretches(side, index) for side in different["lost"])
        if ours == others:
            del different["lost"]
    return different


def stretches(lost: list[Any], index: set[int]) -> list[list[int]]:
    """What was passed over before the index, where one stretch begins after another as one."""
    joined: list[list[int]] = []
    first = min(index, default=None)
    for offset, size, _ in lost:
        if first is not None and offset >= first:
            continue
        if joined and joined[-1][1] == offset:
            joined[-1][1] = offset + size
        else:
            joined.append([offset, offset + size])
    return joined


def places(data: bytes) -> list[int]:
    """Where sync words are."""
    found, at = [], data.find(b"\xa7LB\n")
    while at >= 0:
        found.append(at)
        at = data.find(b"\xa7LB\n", at + 1)
    return found


@pytest.mark.skipif(VERDICTS is None, reason="LATENTBIT_VERDICTS names no program")
def test_both_readers_agree_on_mutations() -> None:
    assert VERDICTS
    chance = random.Random(SEED)
    folder = Path(tempfile.mkdtemp(prefix="latentbit-differential-"))
    disagreed = []
    with subprocess.Popen([VERDICTS], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as first:
        assert first.stdin and first.stdout
        for number in range(MUTATIONS):
            how, data = mutated(chance)
            path = folder / f"{number}.lbit"
            path.write_bytes(data)
            first.stdin.write(f"{path}\n")
            first.stdin.flush()
            answer = first.stdout.readline()
            assert answer, f"{path}: the first reader ended: {how}"
            try:
                different = disagreement(data, json.loads(answer))
            except Exception as error:  # A reader that fails on any bytes is what is looked for.
                different = repr(error)
            if different:
                disagreed.append(f"{path} ({how}): {str(different)[:600]}; {json.loads(answer)['problems'][:2]}")
            else:
                path.unlink()
        first.stdin.close()
    if not disagreed:
        folder.rmdir()
    assert not disagreed, "\n".join([f"{len(disagreed)} of {MUTATIONS}, seed {SEED}", *disagreed[:20]])


def test_mutations_are_of_every_kind() -> None:
    chance = random.Random(2)
    made = [mutated(chance)[0] for _ in range(300)]
    for kind in KINDS:
        assert any(kind.__name__ in how for how in made)

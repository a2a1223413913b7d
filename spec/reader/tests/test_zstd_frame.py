"""Frames of the zstd program, frames made by hand for what the program seldom writes, and damaged frames.

`FRAMES` were made with `zstd -c OPTIONS FILE` (1.5.4) from what the formulas give; `COVERED` lists what they use.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import zstd_frame
from zstd_frame import Content, ZstdError, decompress, xxh64


def numbers(seed: int, count: int) -> Iterator[int]:
    value = seed
    for _ in range(count):
        value = (value * 1103515245 + 12345) % 2**31
        yield value >> 16


def noise(seed: int, size: int) -> bytes:
    return bytes(number & 255 for number in numbers(seed, size))


def letters(seed: int, size: int, kinds: int = 16) -> bytes:
    return bytes(97 + min(number % kinds, number // 7 % kinds) for number in numbers(seed, size))


def words(seed: int, size: int) -> bytes:
    lengths = [2 + number % 7 for number in numbers(seed, 40)]
    lexicon = [letters(seed + index, length) for index, length in enumerate(lengths)]
    return b" ".join(lexicon[number % 40] for number in numbers(seed, size))[:size]


def runs(seed: int, size: int) -> bytes:
    return b"".join(bytes([number & 3]) * (number // 4 % 50) for number in numbers(seed, size))[:size]


def cut(seed: int, size: int) -> bytes:
    """Noise, and the same without a byte in the middle."""
    start = noise(seed, size)
    return start + start[: size // 2] + start[size // 2 + 1 :]


def pieces(seed: int) -> bytes:
    """A block of letters, and one of copies of its parts with an x between."""
    start = letters(seed, 1024, 8)
    return start + b"".join(start[at : at + 12] + b"x" for at in range(100, 400, 15))


FRAMES: dict[str, tuple[bytes, str]] = {
    "nothing": (
        b"",  # -3 --no-check
        "KLUv/SAAAQAA",
    ),
    "raw": (
        noise(1, 20),  # -3 --no-check
        "KLUv/SAUoQAAxn6Ba0v74vtU9r3ffBzhhwG/Md4=",
    ),
    "raw with checksum": (
        noise(2, 45),  # -3 --check
        "KLUv/SQtaQEAjCH/cu3XGNlOE5UT3Btj/JMG9r+c5QbgbbAKBZ/ydYeONLO8syviAsChUYyAzsvp7w==",
    ),
    "rle": (
        b"x" * 1500,  # -19 --no-check --zstd=wlog=10
        "KLUv/UAA3AREAAAIeAEA/CsgBOMOAHg=",
    ),
    "rle codes": (
        runs(1, 90),  # -19 --no-check
        "KLUv/SBaXQAAGAIBAwNQAQBHSBQ=",
    ),
    "checksum": (
        runs(1, 90),  # -1 --check --zstd=wlog=10
        "KLUv/SRabQAAIAICAQMDEACHhHcTC+5bVI4=",
    ),
    "direct weights": (
        runs(2, 500),  # -19 --no-check
        "KLUv/WD0AF0BAKKBAoITEFcKQMtoegQPoBDAVhuArdthgCU7lcicJKYKy6ZBGUwFEdTbBic=",
    ),
    "coded weights": (
        letters(1, 90, 6),  # -3 --no-check
        "KLUv/SBabQEA4kQIB+DpWyYGqDqRepagC5JqGBQ43Zt8CgEGf6QkUnmwUlg6AwQBS3F6gSlH",
    ),
    "shorter offset": (
        cut(1, 40),  # -19 --no-check
        "KLUv/SBPlQEAhALGfoFrS/vi+1T2vd98HOGHAb8x3lZyD0dnZodZqog8WepWE3vShaHYAgBvArBoVQY=",
    ),
    "rle literals": (
        pieces(3),  # -19 --no-check --zstd=wlog=10
        "KLUv/UAABAT0CwAKQOQFCtClA2RLKRkAwEVYAFsAWgA5kzRdA2zAl6MkuzigHXhUkxg6cg6oHj6wMPPwJvuqLDGMqIZyomzpGQc4NPXx/IWK"
        "aSXqdHZNAxqXCY8HyEz+ZYxLBNViT8T+RUwnStxv5sqnPrBwMyoFxtl55mulBgg4DSwUcOPIAK71LRab7Ws+17ddJAMyISBQybTr/6CuyQgB"
        "kLe0RJpbp0CZEjI8wfwCiEaFwtCLLk684Gh8iwMK5JGhWi4jx0CAINSA9PZMeFxHDCAUs+BkA5ayASBG8jSCRbryuu9zXLRMPGYSHopPqiKa"
        "h0hYKAg2kyzh3dUTXqTvsY21hb+RKBVO8MoRSxArEAJAtSyJafNtSTTGJfP4TAlvmVL2xN1KZmwG/GbFCKapiADPdyMB7wJUcCL1sxdBg2iw"
        "pY6Gem4ZhhIEKAwdrAxGlAToWavBgjNprSv0Ppk3UA9aPrHKF6YqgL+NqGzTvAVmJCS+KmfKEgARrwesLw0FNEkkHgQABQEAoXgUlDA+CQl5"
        "9/b9G3hw4cOJF2v8OPLkypczb+7Mn28=",
    ),
    "repeated tables": (
        words(2, 2500),  # -19 --no-check --zstd=wlog=10
        "KLUv/UAAxAi8CgBmECYQsCVtjUwuWVrZm84kqUymIiAAIQAhAPbch5WzdHGUiGB10KBgrIide1OxCtdBkE259blvVDEDFkcbsf5nRuQLeRNp"
        "3Z+RFKC75sTkq3jAMYnOAVx3opgBTSwa8gWVhJlVsd7IXd2kyEJRMN9DLqFDr7lliI5RRHMP94WDiMdshIt5c1P3A/HnZlpGpyyr2V15nijm"
        "ICYj8FyokQqakZGCNHvMASBEQJix7AEQECU4SleLAaP6wCzs4rW1GHJcFiqYn+Neamzl4UjJi+KNLdXHdbZhSM5c242PzLL6YGrCFvoi6ixw"
        "B9x86p2XlY94YTKx1p57gMT6EFkuMwpnszciIEFHvrcPAumXJVUnEFO7wFgkpXkNccK62OgqK5KwkMUKMqroGmBC9XOfEXiu2woJIPbFSOgx"
        "ZQMsPyJz2t9pJf0h2q+UkR/DQhQaD+VInFMVIoQq1AcAI4MGgd8kXpAbu7khAhFzEOEm3txUxUGynhWImFh4uJBVHREwOAE0XQUxDGPhCfaH"
        "+4GSL0ZixfxWlLRebylNHJVjEVGngJtYr4UK4cBoWaNmWuZofKUHFQdQ5pm9bram2HZa+DpaboH9RBkuZEO1/ZLFMgNLOdhN1Ps2UijJGqzV"
        "jbBs+6N1LkMRcluthRWqLBBGcK7i5Y4IeSzySQyBDbOFfRMWA4hQlGXsJbIfbwQ1D3k0OhYAJzu/XSpHhJQbb03mSrYJvtLXt4OULh/WURJa"
        "yF3WQt108EaR+DJ3iK0zJCyQBwFOg2/vZ6LUhMNIgruQX/+OOI7EAYUDAJhuYmdsa2diZmxiYWpsZGVmbGtiM/wwBP6kUglAQDZT7kloSTj+"
        "9/n2aZ4O1RxEtJYlFfBTICIZ/1CISOnikNpx0cmIz78ygZL1i8ZqRh6iMoAzCmKUg6COntqH31tiZwcIYUKCasBTmSwvLj8I0w4=",
    ),
    "repeated tree": (
        letters(1, 2500, 6),  # -19 --no-check --zstd=wlog=10
        "KLUv/UAAxAhsCgAKQCAFB+DpWyYGqDpPAE0ATgBdHNlWJ+cV2S5rsIEr5iVjMQoNTLEB9QdWsGDQkoARk0NgZDofsmBtS3qBkCUcmp1nLTlS"
        "z04TdEFQkmoYFDjdm3wKAQZ/pCRSebDCSmHpuQIhR0BmpsraDAC+JnPTbGvaqgxOHKWFUaPi1KC+TCOcNmjXdXKzqYswIUpl28cYmgLJWN9d"
        "PUJSroKxm3/kshi7LbA4dBwV8xiMxxBJLgmA49kE6a43Sd2h2TMbIGehEKO6MfKAYq4BVoaYkkKr5ft/mQ66qqmJefVVtwCW5+L7ZQrjY8rq"
        "7Rk9a6KKFQRQIQS+gzAFsG0CiAaRsR0o08JZBANByn0xPwZqpXxqULWG9KkCeQ01/CUTendnOmvlqQIGVH0xBx+pByAIynCfGsRJ4HUghdHZ"
        "CEzwVVAQ9WEIhZp8I7bSQDBzAQAkCgALQPwETwBOAFEA/5srrVD2Vw8qZs4rIZyUAKWMsSDaW8d4HmGAkgvahKLHfUkndloi3WA8AEve7O1J"
        "dYoinB+i9GP2WEHgDVnHAXkGtoLBAugIoASFtmPnAcnQWI9lIaktlsLJUhl44LXVZWnryAoZDB2BxgBoIK72ClcWgRXqf02JrsBQWtQ6SJfA"
        "UEL6z+gDFEpP0N1OBAtzREJ/0pWqREsuo2JvYufyAJh0wUoRADY5wlwxENAUdB1WJagw5gDqgoqHauUMukNMOmtqIMgMLKZBPIrwtOwCFMFA"
        "IQ2wUI4pwG+rcqqZA0lnkFJpFVjgpwB/zDhgCV1av1zqpcWAaLcyrVPspkeXIWaZmdu9R6AbqcI4iQSpZVdKKVHXdqIOx4+6dQnOE5RBqhdW"
        "Lx0QpcWp8tBs9P+kR7MEQ8ik+T26YwDFBABHHCUkACQAIwCBYIEkmehR0Js/vE2KYg6upD8vmwNAjIA76YJtgC1Mg2e3Y+AxSnmdRJ0QwIaJ"
        "tCAog2MGoIT8UUXRFJSBV5kjo6+cS+qYdAUa1fSfmcBx42iEBP4suadXBE1RpYAMpgJpxY+CPkCdTpQA9pAKhIcoCHaQlAJErY0nWSaSnVxj"
        "Wm6myNYqCDO+jBAlDvOaAA==",
    ),
}

COVERED = {
    *("raw block", "RLE block", "compressed block"),
    *("content size in 1 byte", "content size in 2 bytes", "single segment", "window", "checksum", "no checksum"),
    *("raw literals, 5 bits", "raw literals, 12 bits", "RLE literals, 5 bits"),
    *("compressed literals, 1 stream", "compressed literals, 4 streams"),
    *("treeless literals, 1 stream", "treeless literals, 4 streams", "direct weights", "FSE weights"),
    *(f"{mode} {code}" for mode in ("predefined", "RLE", "FSE", "repeat") for code in ("literals", "offset", "match")),
    *("repeat 1", "repeat 2", "repeat 3", "repeat 2 for 1", "repeat 3 for 2", "repeat 1 - 1 for 3"),
}


def frame(name: str) -> bytes:
    return base64.b64decode(FRAMES[name][1])


@pytest.mark.parametrize("name", FRAMES)
def test_frame_of_the_program(name: str) -> None:
    content = FRAMES[name][0]
    assert decompress(frame(name), max_size=len(content)) == content


def test_coverage(monkeypatch: pytest.MonkeyPatch) -> None:
    """The frames of the program together use all that COVERED names."""
    seen: set[str] = set()

    def watch(owner: Any, name: str, note: Callable[..., str]) -> None:
        original = getattr(owner, name)

        def watched(*given: Any) -> Any:
            seen.add(note(*given))
            return original(*given)

        monkeypatch.setattr(owner, name, watched)

    def next_byte(reader: zstd_frame.ByteReader) -> int:
        return reader.data[reader.position]

    def literals(block: zstd_frame.ByteReader) -> str:
        kind, size_format = next_byte(block) & 3, next_byte(block) >> 2 & 3
        if kind < 2:
            return f"{('raw', 'RLE')[kind]} literals, {12 if size_format & 1 else 5} bits"
        return f"{('compressed', 'treeless')[kind - 2]} literals, {'4 streams' if size_format else '1 stream'}"

    def weights(reader: zstd_frame.ByteReader) -> str:
        return "FSE weights" if next_byte(reader) < 128 else "direct weights"

    def offset(content: Content, value: int, literals_length: int) -> str:
        shifted = {1: "repeat 2 for 1", 2: "repeat 3 for 2", 3: "repeat 1 - 1 for 3"}
        return "" if value > 3 else f"repeat {value}" if literals_length else shifted[value]

    def block(content: Content, reader: zstd_frame.ByteReader) -> str:
        return f"{('raw', 'RLE', 'compressed')[next_byte(reader) >> 1 & 3]} block"

    def table(content: Content, reader: zstd_frame.ByteReader, code: zstd_frame.Code, mode: int) -> str:
        return f"{('predefined', 'RLE', 'FSE', 'repeat')[mode]} {code.name.split()[0]}"

    watch(zstd_frame, "read_literals_header", literals)
    watch(zstd_frame, "read_huffman_tree", weights)
    watch(Content, "offset", offset)
    watch(Content, "read_block", block)
    watch(Content, "read_table", table)
    for name in FRAMES:
        data = frame(name)
        decompress(data, max_size=10000)
        seen.add("content size in 2 bytes" if data[4] >> 6 else "content size in 1 byte")
        seen.add("single segment" if data[4] & 32 else "window")
        seen.add("checksum" if data[4] & 4 else "no checksum")
    assert seen - {""} == COVERED


# --- By hand ---

RAW, RLE, COMPRESSED = 0, 1, 2
MAGIC = bytes.fromhex("28b52ffd")


def little(number: int, size: int) -> bytes:
    return number.to_bytes(size, "little")


def block(kind: int, content: bytes, *, size: int | None = None, last: bool = True) -> bytes:
    return little(last | kind << 1 | (len(content) if size is None else size) << 3, 3) + content


def frame_of(content_size: int, *blocks: bytes) -> bytes:
    """A frame with a single segment and a content size of 8 bytes."""
    return MAGIC + b"\xe0" + little(content_size, 8) + b"".join(blocks)


def frame_with_window(content_size: int, *blocks: bytes) -> bytes:
    """A frame with a window of 1 KiB and a content size of 4 bytes."""
    return MAGIC + b"\x80\x00" + little(content_size, 4) + b"".join(blocks)


def stream(bits: str) -> bytes:
    """A bitstream from whose end these bits are read."""
    return little(int("1" + bits, 2), (len(bits) + 8) // 8)


def one_sequence(literals: bytes, codes: tuple[int, int, int], bits: str) -> bytes:
    """A block with one sequence: codes of literals length, offset and match length, and all that is added to them."""
    return block(COMPRESSED, little(len(literals) << 3, 1) + literals + b"\x01\x54" + bytes(codes) + stream(bits))


@pytest.mark.parametrize("size_format", [0, 1, 2, 3])
@pytest.mark.parametrize("rle", [False, True])
def test_literals_in_all_sizes(size_format: int, rle: bool) -> None:
    size = (31, 4095, 31, 70000)[size_format]
    header = rle | size_format << 2 | size << (4 if size_format & 1 else 3)
    content = b"x" * size if rle else noise(3, size)
    stored = little(header, (1, 2, 1, 3)[size_format]) + (b"x" if rle else content) + b"\x00"
    # A block must not be larger than what its frame holds.
    data = frame_of(size + 9, block(COMPRESSED, stored, last=False), block(RLE, b"y", size=9))
    assert decompress(data, max_size=size + 9) == content + b"y" * 9


@pytest.mark.parametrize(("size_format", "size"), [(0, 999), (1, 6), (1, 9), (1, 1000), (2, 16001), (3, 100002)])
def test_huffman_literals_in_all_sizes(size_format: int, size: int) -> None:
    symbols = "".join(str(number * number >> 7 & 1) for number in range(size))
    share = size if size_format == 0 else (size + 3) // 4
    streams = [stream(symbols[at : at + share]) for at in range(0, size, share)] if share else []
    streams += [stream("")] * (4 - len(streams) if size_format else 0)
    jumps = b"".join(little(len(part), 2) for part in streams[:3]) if size_format else b""
    coded = b"\x80\x10" + jumps + b"".join(streams)  # one direct weight: two symbols of one bit
    width = (10, 10, 14, 18)[size_format]
    header = little(2 | size_format << 2 | size << 4 | len(coded) << (4 + width), (3, 3, 4, 5)[size_format])
    data = frame_of(size + 30, block(COMPRESSED, header + coded + b"\x00", last=False), block(RLE, b"y", size=30))
    assert decompress(data, max_size=size + 30) == bytes(map(int, symbols)) + b"y" * 30


@pytest.mark.parametrize("count", [1, 127, 128, 0x7EFF, 0x7F00, 0x7F00 + 7000])
def test_numbers_of_sequences(count: int) -> None:
    if count < 128:
        header = little(count, 1)
    elif count < 0x7F00:
        header = bytes([128 + (count >> 8), count & 255])
    else:
        header = b"\xff" + little(count - 0x7F00, 2)
    # No literals, and three bytes from offsets 4 and 1 by turns.
    repeats = block(COMPRESSED, b"\x00" + header + b"\x54\x00\x00\x00" + stream(""))
    size = 20 + 3 * count
    assert decompress(frame_of(size, block(RLE, b"x", size=20, last=False), repeats), max_size=size) == b"x" * size


def test_dictionary_zero_is_none() -> None:
    data = MAGIC + b"\x23" + little(0, 4) + b"\x02" + block(RAW, b"ab")
    assert decompress(data, max_size=2) == b"ab"


def test_window_and_offset() -> None:
    start = [block(RAW, noise(number, 1000), last=False) for number in (1, 2)]
    content = noise(1, 1000) + noise(2, 1000)
    within = one_sequence(b"ab", (2, 10, 0), f"{1024 + 3 - 1024:010b}")
    assert decompress(frame_with_window(2005, *start, within), max_size=2005) == content + b"ab" + content[978:981]
    beyond = one_sequence(b"ab", (2, 10, 0), f"{1025 + 3 - 1024:010b}")
    with pytest.raises(ZstdError, match="offset 1025, with 1024 bytes in reach"):
        decompress(frame_with_window(2005, *start, beyond), max_size=2005)
    assert decompress(frame_of(2005, *start, beyond), max_size=2005) == content + b"ab" + content[977:980]


def test_predefined_tables() -> None:
    """Some rows of Appendix A of the RFC."""
    literals, offset, match = (code.predefined.cells for code in zstd_frame.CODES)
    assert [literals[state] for state in (0, 10, 38, 59, 63)] == [
        (0, 4, 0), (14, 6, 0), (25, 4, 0), (24, 5, 32), (32, 6, 0)
    ]  # fmt: skip
    assert [match[state] for state in (0, 23, 44, 57)] == [(0, 6, 0), (2, 4, 0), (1, 4, 48), (52, 6, 0)]
    assert [offset[state] for state in (0, 1, 9, 15)] == [(0, 5, 0), (6, 4, 0), (23, 5, 0), (7, 4, 16)]


def test_xxh64() -> None:
    assert xxh64(b"") == 0xEF46DB3751D8E999


# --- Damage ---

AB = block(RAW, b"ab")
MALFORMED = {
    "nothing": (b"", "4 bytes expected, 0 left"),
    "another magic number": (b"\x50\x2a\x4d\x18" + little(0, 4), "magic number 0x184d2a50"),
    "reserved bit of the frame": (MAGIC + b"\x28\x02" + AB, "the reserved bit of the frame header"),
    "a dictionary": (MAGIC + b"\x21\x07\x02" + AB, "needs dictionary 7"),
    "no content size": (MAGIC + b"\x00\x00" + AB, "does not declare its content size"),
    "a large content": (frame_of(10001, AB), "content of 10001 bytes, at most 10000"),
    "a huge content": (frame_of(2**64 - 1, AB), "content of 18446744073709551615 bytes"),
    "too little content": (frame_of(3, AB), "2 bytes of content, 3 declared"),
    "too much content": (frame_of(3, block(RAW, b"ab", last=False), AB), "more content than its frame"),
    "no last block": (frame_of(4, block(RAW, b"ab", last=False)), "3 bytes expected, 0 left"),
    "two frames": (frame_of(2, AB) * 2, "18 bytes after the frame"),
    "a wrong checksum": (MAGIC + b"\x24\x02" + AB + little(0, 4), "the checksum does not match"),
    "no checksum": (MAGIC + b"\x24\x02" + AB, "4 bytes expected, 0 left"),
    "a reserved type of block": (frame_of(2, block(3, b"ab")), "reserved type 3"),
    "a large raw block": (frame_of(2, block(RAW, b"abc")), "a block of 3 bytes, at most 2"),
    "a large RLE block": (frame_with_window(1025, block(RLE, b"a", size=1025)), "a block of 1025 bytes, at most 1024"),
    "an empty compressed block": (frame_of(2, block(COMPRESSED, b"")), "an empty compressed block"),
    "many literals": (frame_of(9, block(COMPRESSED, b"\x51x\x00")), "10 literals in a block of at most 9 bytes"),
    "literals cut off": (frame_of(9, block(COMPRESSED, b"\x40x\x00")), "8 bytes expected, 2 left"),
    "no tree": (frame_of(9, block(COMPRESSED, b"\x13\x40\x00\x01\x00")), "literals without a Huffman tree"),
    "a deep tree": (frame_of(9, block(COMPRESSED, b"\x12\xc0\x00\x80\xc0\x01\x00")), "a depth of 12"),
    "a tree of nothing": (frame_of(9, block(COMPRESSED, b"\x12\xc0\x00\x80\x00\x01\x00")), "a depth of 0"),
    "a tree without leaves": (frame_of(9, block(COMPRESSED, b"\x12\xc0\x00\x80\x20\x02\x00")), "of weight 1"),
    "weights that leave gaps": (frame_of(9, block(COMPRESSED, b"\x12\x00\x01\x82\x41\x10\x02\x00")), "no last weight"),
    "too few symbols": (frame_of(9, block(COMPRESSED, b"\x22\xc0\x00\x80\x10\x02\x00")), "not 2 symbols"),
    "too many symbols": (frame_of(9, block(COMPRESSED, b"\x22\xc0\x00\x80\x10\x08\x00")), "not 2 symbols"),
    "no end mark": (frame_of(9, block(COMPRESSED, b"\x22\xc0\x00\x80\x10\x00\x00")), "without end mark"),
    "4 streams of 5": (frame_of(99, block(COMPRESSED, b"\x56\x00\x03\x80\x10" + bytes(10) + b"\x00")), "at least 6"),
    "bytes after no sequences": (frame_of(9, block(COMPRESSED, b"\x09x\x00\x00")), "1 bytes after a block without"),
    "reserved bits of the modes": (frame_of(9, block(COMPRESSED, b"\x09x\x01\x01\x01")), "reserved bits of the comp"),
    "nothing to repeat": (frame_of(9, block(COMPRESSED, b"\x09x\x01\xfc\x01")), "no literals length table to repeat"),
    "a literals length code": (frame_of(99, one_sequence(b"ab", (36, 0, 0), "")), "literals length code 36, less"),
    "an offset code": (frame_of(99, one_sequence(b"ab", (2, 32, 0), "")), "offset code 32, less than 32"),
    "a match length code": (frame_of(99, one_sequence(b"ab", (2, 0, 53), "")), "match length code 53, less than 53"),
    "many literals copied": (frame_of(99, one_sequence(b"ab", (3, 0, 0), "")), "3 bytes expected, 2 left"),
    "an offset of 3": (frame_of(99, one_sequence(b"ab", (2, 2, 0), "10")), "offset 3, with 2 bytes in reach"),
    "an offset of 0": (
        frame_of(99, block(RAW, b"ab", last=False), one_sequence(b"ab", (0, 1, 0), "1")),
        "offset 0, with 2 bytes in reach",
    ),
    "a long match": (frame_of(40, one_sequence(b"ab", (2, 0, 43), "0" * 7)), "more content than its frame"),
    "bits missing": (frame_of(99, one_sequence(b"ab", (2, 2, 0), "0")), "ends too early"),
    "bits left": (frame_of(99, one_sequence(b"ab", (2, 2, 0), "010")), "1 bits after the last sequence"),
    "accuracy log 10": (frame_of(99, block(COMPRESSED, b"\x09x\x01\x80\x05\x00\x01")), "accuracy log 10, at most 9"),
    "36 FSE symbols": (
        frame_of(99, block(COMPRESSED, b"\x09x\x01\x80\x10\xfe" + b"\xff" * 50)),
        "an FSE table with more than 36 symbols",
    ),
    "one FSE symbol": (frame_of(99, block(COMPRESSED, b"\x09x\x01\x80\xf0\x03\x01")), "fewer than 2 symbols"),
    "an FSE table cut off": (frame_of(99, block(COMPRESSED, b"\x09x\x01\x80\x10")), "bytes expected, 1 left"),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_malformed_frame(name: str) -> None:
    data, message = MALFORMED[name]
    with pytest.raises(ZstdError, match=message):
        decompress(data, max_size=10000)


@pytest.mark.parametrize("name", FRAMES)
def test_truncated_frame(name: str) -> None:
    data = frame(name)
    for size in range(0, len(data), 1 + len(data) // 60):
        with pytest.raises(ZstdError):
            decompress(data[:size], max_size=10000)


@pytest.mark.parametrize("name", FRAMES)
def test_flipped_bits(name: str) -> None:
    """Whatever a damaged frame holds, it is content of at most the size allowed, or a ZstdError."""
    data = frame(name)
    for bit in range(0, 8 * len(data), 1 + len(data) // 12):
        damaged = bytearray(data)
        damaged[bit // 8] ^= 1 << bit % 8
        try:
            assert len(decompress(bytes(damaged), max_size=5000)) <= 5000
        except ZstdError:
            continue

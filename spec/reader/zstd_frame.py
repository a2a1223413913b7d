"""Decompresses one Zstandard frame, for planes that a .lbit file stores with coder 1 (lbit-1, section 6.1).

Written from RFC 8878, whose sections and names are cited; standard library only. What lbit-1 does not allow is
refused: dictionaries, frames that do not declare their content size, and more or less than one frame.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

__all__ = ["ZstdError", "decompress", "xxh64"]

MAGIC = 0xFD2FB528
BLOCK_LIMIT = 128 * 1024
HUFFMAN_MAX_BITS = 11
HUFFMAN_WEIGHT_LOG = 6


class ZstdError(ValueError):
    """The data is not exactly one sound frame, or one that is too large."""


def require(condition: bool, message: str) -> None:
    """Raise ZstdError with the message unless the condition holds."""
    if not condition:
        raise ZstdError(f"zstd: {message}")


def decompress(data: bytes, *, max_size: int) -> bytes:
    """Return the content of the one frame that data holds, which may declare at most max_size bytes (3.1.1)."""
    reader = ByteReader(data)
    size, window_size, has_checksum = read_frame_header(reader)
    require(size <= max_size, f"content of {size} bytes, at most {max_size} expected")
    content = Content(size, window_size)
    while not content.read_block(reader):
        pass
    out = bytes(content.out)
    require(len(out) == size, f"{len(out)} bytes of content, {size} declared")
    if has_checksum:
        require(reader.number(4) == xxh64(out) & 0xFFFFFFFF, "the checksum does not match the content")
    require(reader.left == 0, f"{reader.left} bytes after the frame")
    return out


# --- Bytes and bits ---


class ByteReader:
    """Reads bytes forwards."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.position = 0

    @property
    def left(self) -> int:
        """How many bytes are not read yet."""
        return len(self.data) - self.position

    def take(self, count: int) -> bytes:
        """Read count bytes."""
        require(count <= self.left, f"{count} bytes expected, {self.left} left")
        self.position += count
        return self.data[self.position - count : self.position]

    def number(self, count: int) -> int:
        """Read a little-endian number of count bytes."""
        return int.from_bytes(self.take(count), "little")


class BitReader:
    """Reads values of given widths from the end of a bitstream (4.1, 4.2.2).

    The highest bit that is set in the last byte marks the end and is no part of the stream. In the number that the
    bytes make, bits to read first stand higher, and so do the higher bits of each value: its digits are the stream.
    """

    def __init__(self, data: bytes) -> None:
        require(len(data) > 0 and data[-1] != 0, "a bitstream without end mark")
        self.bits = bin(int.from_bytes(data, "little"))[len("0b1") :]
        self.position = 0

    @property
    def left(self) -> int:
        """How many bits are not read yet."""
        return len(self.bits) - self.position

    def read(self, width: int) -> int:
        """Read one value."""
        require(width <= self.left, "a bitstream that ends too early")
        self.position += width
        return int("0" + self.bits[self.position - width : self.position], 2)


# --- FSE, section 4.1 ---


@dataclass(frozen=True)
class FseTable:
    """A decoding table: for each state its symbol, and the width and the base of the next state."""

    log: int
    cells: list[tuple[int, int, int]]


def fse_table(log: int, probabilities: list[int]) -> FseTable:
    """Build the decoding table of a distribution, in which -1 stands for "less than 1" (4.1.1)."""
    size = 1 << log
    rare = [symbol for symbol, probability in enumerate(probabilities) if probability == -1]
    spread = [symbol for symbol, probability in enumerate(probabilities) for _ in range(probability)]
    step = (size >> 1) + (size >> 3) + 3
    positions = [position for i in range(size) if (position := i * step % size) < len(spread)]
    symbols = spread + rare[::-1]
    for position, symbol in zip(positions, spread, strict=True):
        symbols[position] = symbol
    # The states of a symbol with probability p are numbered p, p + 1, ... 2p - 1: each leads to a share of all states.
    numbers = [abs(probability) for probability in probabilities]
    cells = []
    for symbol in symbols:
        width = log + 1 - numbers[symbol].bit_length()
        cells.append((symbol, width, (numbers[symbol] << width) - size))
        numbers[symbol] += 1
    return FseTable(log, cells)


def read_fse_table(reader: ByteReader, max_log: int, symbol_count: int) -> FseTable:
    """Read the description of a distribution for at most symbol_count symbols (4.1.1)."""
    # At most 12 bits a symbol, so 100 bytes hold any table. Bits past the end of the data are 0; take() refuses them.
    bits = int.from_bytes(reader.data[reader.position : reader.position + 100], "little")
    log = (bits & 15) + 5
    require(log <= max_log, f"an FSE table with accuracy log {log}, at most {max_log} expected")
    position = 4
    left = 1 << log
    probabilities: list[int] = []
    while left > 0:
        value, width = fse_value(bits >> position, left + 1)
        position += width
        probabilities.append(value - 1)
        left -= abs(value - 1)
        repeat = 3 if value == 1 else 0
        while repeat == 3 and len(probabilities) <= symbol_count:
            repeat = bits >> position & 3
            position += 2
            probabilities += [0] * repeat
        require(len(probabilities) <= symbol_count, f"an FSE table with more than {symbol_count} symbols")
    require(sum(map(bool, probabilities)) >= 2, "an FSE table with fewer than 2 symbols")
    reader.take((position + 7) // 8)
    return fse_table(log, probabilities)


def fse_value(bits: int, largest: int) -> tuple[int, int]:
    """Return the value from 0 to largest that starts the bits, and its width: small ones take 1 bit less (4.1.1)."""
    width = largest.bit_length()
    small = (1 << width) - 1 - largest
    half = 1 << (width - 1)
    low = bits & (half - 1)
    if low < small:
        return low, width - 1
    return (low + half - small if bits & half else low), width


# --- Huffman, section 4.2 ---


class HuffmanTree:
    """A prefix code of at most 11 bits."""

    def __init__(self, weights: list[int]) -> None:
        """Complete the weights with that of the last symbol and give out the codes (4.2.1, 4.2.1.3)."""
        total = sum(1 << weight >> 1 for weight in weights)
        self.width = total.bit_length()
        require(0 < self.width <= HUFFMAN_MAX_BITS, f"a Huffman tree with a depth of {self.width}")
        missing = (1 << self.width) - total
        require(missing & (missing - 1) == 0, "Huffman weights that no last weight completes")
        weights = [*weights, missing.bit_length()]
        require(1 in weights, "a Huffman tree without a symbol of weight 1")
        symbols: list[tuple[int, int]] = []
        for weight in range(1, self.width + 1):
            for symbol in range(len(weights)):
                if weights[symbol] == weight:
                    symbols += [(symbol, self.width + 1 - weight)] * (1 << weight >> 1)
        # All strings of width bits, with the symbol whose code they start with and that code's length.
        self.table = {f"{bits:0{self.width}b}": entry for bits, entry in enumerate(symbols)}

    def decode(self, data: bytes, count: int) -> bytes:
        """Return the count symbols that make up a stream (4.2.2)."""
        bits = BitReader(data).bits
        size = len(bits)
        bits += "0" * self.width
        out = bytearray()
        position = 0
        while position < size:
            symbol, length = self.table[bits[position : position + self.width]]
            out.append(symbol)
            position += length
        require(position == size and len(out) == count, f"a Huffman stream that is not {count} symbols long")
        return bytes(out)


def read_huffman_tree(reader: ByteReader) -> HuffmanTree:
    """Read the weights of all symbols but the last one (4.2.1.1)."""
    header = reader.number(1)
    if header < 128:
        return HuffmanTree(fse_weights(ByteReader(reader.take(header))))
    count = header - 127
    pairs = reader.take((count + 1) // 2)
    return HuffmanTree([weight for pair in pairs for weight in (pair >> 4, pair & 15)][:count])


def fse_weights(reader: ByteReader) -> list[int]:
    """Decode weights with two states that take turns, until the bits do not suffice for a next one (4.2.1.2)."""
    table = read_fse_table(reader, HUFFMAN_WEIGHT_LOG, HUFFMAN_MAX_BITS + 1)
    bits = BitReader(reader.take(reader.left))
    state, other = bits.read(table.log), bits.read(table.log)
    weights: list[int] = []
    while True:
        symbol, width, base = table.cells[state]
        weights.append(symbol)
        require(len(weights) < 255, "more than 255 Huffman weights")
        if width > bits.left:
            return [*weights, table.cells[other][0]]
        state, other = other, base + bits.read(width)


# --- The frame, sections 3.1.1.1 and 3.1.1.2 ---


def read_frame_header(reader: ByteReader) -> tuple[int, int, bool]:
    """Return the content size, the window size and whether there is a checksum (3.1.1, 3.1.1.1)."""
    magic = reader.number(4)
    require(magic == MAGIC, f"magic number {magic:#010x}, {MAGIC:#010x} expected")
    descriptor = reader.number(1)
    require(descriptor & 8 == 0, "the reserved bit of the frame header is set")
    single_segment = descriptor & 32 != 0
    window = 0 if single_segment else reader.number(1)
    window_size = (8 + (window & 7)) << (7 + (window >> 3))
    dictionary = reader.number((0, 1, 2, 4)[descriptor & 3])
    require(dictionary == 0, f"the frame needs dictionary {dictionary}")
    size_width = (1 if single_segment else 0, 2, 4, 8)[descriptor >> 6]
    require(size_width > 0, "the frame does not declare its content size")
    content_size = reader.number(size_width) + (256 if size_width == 2 else 0)
    return content_size, content_size if single_segment else window_size, descriptor & 4 != 0


class Content:
    """The content of a frame as far as it is decoded, and what one block hands on to the next (3.1.1.3)."""

    def __init__(self, size: int, window_size: int) -> None:
        self.out = bytearray()
        self.size = size
        self.window_size = window_size
        self.block_limit = min(window_size, BLOCK_LIMIT)
        self.end = 0
        self.tree: HuffmanTree | None = None
        self.tables: dict[str, FseTable] = {}
        self.repeats = [1, 4, 8]

    def read_block(self, reader: ByteReader) -> bool:
        """Decode one block; return whether it is the last one (3.1.1.2)."""
        header = reader.number(3)
        kind, size = header >> 1 & 3, header >> 3
        require(size <= self.block_limit, f"a block of {size} bytes, at most {self.block_limit} expected")
        self.end = min(len(self.out) + self.block_limit, self.size)
        if kind == 0:
            self.append(reader.take(size))
        elif kind == 1:
            self.append(reader.take(1) * size)
        else:
            require(kind == 2, "a block of reserved type 3")
            self.decode_block(ByteReader(reader.take(size)))
        return header & 1 == 1

    def append(self, data: bytes | bytearray) -> None:
        """Append bytes to the content, within the limits of the block and of the frame."""
        require(len(self.out) + len(data) <= self.end, "a block with more content than its frame declares or allows")
        self.out += data

    def decode_block(self, block: ByteReader) -> None:
        """Decode a Compressed_Block: its literals, with copies of earlier content between them (3.1.1.3, 3.1.1.4)."""
        literals = ByteReader(self.read_literals(block))
        for literals_length, offset_value, match_length in self.read_sequences(block):
            self.append(literals.take(literals_length))
            self.copy(self.offset(offset_value, literals_length), match_length)
        self.append(literals.take(literals.left))

    def copy(self, offset: int, length: int) -> None:
        """Append length bytes from offset bytes back, which may run into what is being appended (3.1.1.4)."""
        limit = min(len(self.out), self.window_size)
        require(0 < offset <= limit, f"a match at offset {offset}, with {limit} bytes in reach")
        start = len(self.out) - offset
        source = self.out[start : start + length]
        self.append((source * (length // offset + 1))[:length])

    def offset(self, value: int, literals_length: int) -> int:
        """Return the offset that an Offset_Value stands for, and keep the last three (3.1.1.5)."""
        index = value - 1 if literals_length > 0 else value
        if value > 3:
            offset = value - 3
        elif index == 3:
            offset = self.repeats[0] - 1
        else:
            offset = self.repeats.pop(index)
        self.repeats = [offset, *self.repeats][:3]
        return offset

    def read_literals(self, block: ByteReader) -> bytes:
        """Read the literals of a block, stored in one of four ways (3.1.1.3.1)."""
        kind, size, compressed_size, stream_count = read_literals_header(block)
        require(size <= self.block_limit, f"{size} literals in a block of at most {self.block_limit} bytes")
        if kind == 0:
            return block.take(size)
        if kind == 1:
            return block.take(1) * size
        streams = ByteReader(block.take(compressed_size))
        if kind == 2:
            self.tree = read_huffman_tree(streams)
        if self.tree is None:
            raise ZstdError("zstd: literals without a Huffman tree before them")
        return huffman_literals(self.tree, streams, size, stream_count)

    def read_sequences(self, block: ByteReader) -> Iterator[tuple[int, int, int]]:
        """Read the sequences of a block: literals length, Offset_Value, match length (3.1.1.3.2.1)."""
        count = block.number(1)
        if count == 255:
            count = block.number(2) + 0x7F00
        elif count >= 128:
            count = (count - 128 << 8) + block.number(1)
        if count == 0:
            require(block.left == 0, f"{block.left} bytes after a block without sequences")
            return
        header = block.number(1)
        require(header & 3 == 0, "reserved bits of the compression modes are set")
        modes = [header >> shift & 3 for shift in (6, 4, 2)]
        tables = [self.read_table(block, code, mode) for code, mode in zip(CODES, modes, strict=True)]
        yield from decode_sequences(tables, BitReader(block.take(block.left)), count)

    def read_table(self, block: ByteReader, code: Code, mode: int) -> FseTable:
        """Read the decoding table of one kind of code, or take that of an earlier block (3.1.1.3.2.1)."""
        if mode == 0:
            self.tables[code.name] = code.predefined
        elif mode == 1:
            symbol = block.number(1)
            require(symbol < len(code.values), f"{code.name} code {symbol}, less than {len(code.values)} expected")
            self.tables[code.name] = FseTable(0, [(symbol, 0, 0)])
        elif mode == 2:
            self.tables[code.name] = read_fse_table(block, code.max_log, len(code.values))
        require(code.name in self.tables, f"no {code.name} table to repeat")
        return self.tables[code.name]


def read_literals_header(block: ByteReader) -> tuple[int, int, int, int]:
    """Return Literals_Block_Type, Regenerated_Size, Compressed_Size and the number of streams (3.1.1.3.1.1)."""
    require(block.left > 0, "an empty compressed block")
    kind, size_format = block.data[0] & 3, block.data[0] >> 2 & 3
    if kind < 2:
        header = block.number((1, 2, 1, 3)[size_format])
        return kind, header >> (4 if size_format & 1 else 3), 0, 0
    header = block.number((3, 3, 4, 5)[size_format])
    width = (10, 10, 14, 18)[size_format]
    return kind, header >> 4 & ((1 << width) - 1), header >> (4 + width), 1 if size_format == 0 else 4


def huffman_literals(tree: HuffmanTree, streams: ByteReader, size: int, stream_count: int) -> bytes:
    """Decode literals from one stream, or from four with a jump table (3.1.1.3.1.6)."""
    if stream_count == 1:
        return tree.decode(streams.take(streams.left), size)
    require(size >= 6, f"{size} literals in 4 streams, at least 6 expected")
    lengths = [streams.number(2) for _ in range(3)]
    share = (size + 3) // 4
    parts = [tree.decode(streams.take(length), share) for length in lengths]
    return b"".join([*parts, tree.decode(streams.take(streams.left), size - 3 * share)])


def decode_sequences(tables: list[FseTable], bits: BitReader, count: int) -> Iterator[tuple[int, int, int]]:
    """Decode count sequences, with tables in the order of CODES (3.1.1.3.2.1.2)."""
    literals, offsets, matches = (table.cells for table in tables)
    literals_state, offset_state, match_state = (bits.read(table.log) for table in tables)
    for number in range(count):
        symbol, literals_width, literals_state_base = literals[literals_state]
        literals_base, literals_extra = LITERALS_LENGTH.values[symbol]
        symbol, offset_width, offset_state_base = offsets[offset_state]
        offset_base, offset_extra = OFFSET.values[symbol]
        symbol, match_width, match_state_base = matches[match_state]
        match_base, match_extra = MATCH_LENGTH.values[symbol]
        offset_value = offset_base + bits.read(offset_extra)
        match_length = match_base + bits.read(match_extra)
        yield literals_base + bits.read(literals_extra), offset_value, match_length
        if number < count - 1:
            literals_state = literals_state_base + bits.read(literals_width)
            match_state = match_state_base + bits.read(match_width)
            offset_state = offset_state_base + bits.read(offset_width)
    require(bits.left == 0, f"{bits.left} bits after the last sequence")


class Code:
    """One kind of code of a sequence: what its symbols mean and how they are coded."""

    def __init__(self, name: str, max_log: int, widths: list[int], first: int) -> None:
        """Give each symbol the first of its values and the width of what is added: the values have no gaps."""
        self.name = name
        self.max_log = max_log
        self.values: list[tuple[int, int]] = []
        for width in widths:
            self.values.append((first, width))
            first += 1 << width
        self.predefined = fse_table(*PREDEFINED[name])


# Default distributions and their accuracy logs, 3.1.1.3.2.2.
PREDEFINED = {
    "literals length": (6, [4, 3, *[2] * 11, 1, 1, 1, *[2] * 9, 3, 2, *[1] * 5, *[-1] * 4]),
    "match length": (6, [1, 4, 3, *[2] * 6, *[1] * 37, *[-1] * 7]),
    "offset": (5, [*[1] * 6, 2, 2, 2, *[1] * 15, *[-1] * 5]),
}
# 3.1.1.3.2.1.1, in the order in which tables and first states are stored.
LITERALS_LENGTH = Code("literals length", 9, [*[0] * 16, 1, 1, 1, 1, 2, 2, 3, 3, 4, *range(6, 17)], 0)
OFFSET = Code("offset", 8, [*range(32)], 1)
MATCH_LENGTH = Code("match length", 9, [*[0] * 32, 1, 1, 1, 1, 2, 2, 3, 3, 4, 4, 5, *range(7, 17)], 3)
CODES = (LITERALS_LENGTH, OFFSET, MATCH_LENGTH)


# --- Content_Checksum, section 3.1.1 ---

MASK = (1 << 64) - 1
PRIME_1 = 0x9E3779B185EBCA87
PRIME_2 = 0xC2B2AE3D27D4EB4F
PRIME_3 = 0x165667B19E3779F9
PRIME_4 = 0x85EBCA77C2B2AE63
PRIME_5 = 0x27D4EB2F165667C5


def rotate(value: int, count: int) -> int:
    """Rotate the low 64 bits of a value to the left."""
    value &= MASK
    return (value << count | value >> (64 - count)) & MASK


def xxh64_round(lane: int, word: int) -> int:
    """Mix a word into a lane."""
    return rotate(lane + word * PRIME_2, 31) * PRIME_1 & MASK


def xxh64_lanes(reader: ByteReader) -> int:
    """Hash all whole stripes of 32 bytes in four lanes, and merge these."""
    lanes = [PRIME_1 + PRIME_2, PRIME_2, 0, -PRIME_1]
    while reader.left >= 32:
        lanes = [xxh64_round(lane, reader.number(8)) for lane in lanes]
    result = sum(rotate(lane, count) for lane, count in zip(lanes, (1, 7, 12, 18), strict=True))
    for lane in lanes:
        result = (result ^ xxh64_round(0, lane)) * PRIME_1 + PRIME_4 & MASK
    return result


def xxh64(data: bytes) -> int:
    """Return the XXH64 of data with seed 0, the low half of which is the Content_Checksum (3.1.1)."""
    reader = ByteReader(data)
    result = (xxh64_lanes(reader) if len(data) >= 32 else PRIME_5) + len(data)
    while reader.left >= 8:
        result = rotate(result ^ xxh64_round(0, reader.number(8)), 27) * PRIME_1 + PRIME_4 & MASK
    if reader.left >= 4:
        result = rotate(result ^ reader.number(4) * PRIME_1, 23) * PRIME_2 + PRIME_3 & MASK
    while reader.left > 0:
        result = rotate(result ^ reader.number(1) * PRIME_5, 11) * PRIME_1 & MASK
    result = (result ^ result >> 33) * PRIME_2 & MASK
    result = (result ^ result >> 29) * PRIME_3 & MASK
    return result ^ result >> 32

"""The payload coder `cm` (LBIT 6.2), in plain Python: written from the text, to check it."""

from __future__ import annotations

SIDE_LIMITS = (62, 80)
TIME_LIMITS = (60, 75, 90)
NONE = 2

FIRST = (
    *(236, 342, 497, 720, 1042, 1506, 2168, 3108, 4427, 6249, 8714, 11955, 16062, 21025, 26695, 32768),
    *(38841, 44511, 49474, 53581, 56822, 59287, 61109, 62428, 63368, 64030, 64494, 64816, 65039, 65194, 65300),
)


class CmError(ValueError):
    """A plane that the coder cannot have made."""


def _unexpected() -> list[int]:
    table = [32768]
    while len(table) < 64:
        table.append(table[-1] - table[-1] // 16)
    return table


def _next_states() -> list[tuple[int, int]]:
    """The states after a 0 and after a 1, for each state."""
    unexpected = _unexpected()
    states = [(0, 0)] * 128
    for k, q in enumerate(unexpected):
        surer = min(k + 1, 63)
        up = q + (65536 - q) // 16
        turned = up > 32768
        target = 65536 - up if turned else up
        nearest = min(range(64), key=lambda i: (abs(unexpected[i] - target), i))
        after = 63 - nearest if turned else 64 + nearest
        states[64 + k] = (after, 64 + surer)
        states[63 - k] = (63 - surer, 127 - after)
    return states


NEXT = _next_states()


def _level(limits: tuple[int, ...], agreeing: int, planes: int) -> int:
    return sum(planes > 0 and agreeing >= -(-limit * planes // 100) for limit in limits)


class _Range:
    """The range decoder."""

    def __init__(self, data: bytes) -> None:
        if not data or (len(data) > 1 and data[-1] == 0):
            raise CmError("a code that ends in a zero, or none")
        self.data = data
        self.at = 4
        self.code = int.from_bytes(data[:4].ljust(4, b"\0"), "big")
        self.range = 0xFFFFFFFF

    def bit(self, p: int) -> int:
        bound = (self.range >> 16) * p
        if self.code < bound:
            self.range = bound
            bit = 1
        else:
            self.code -= bound
            self.range -= bound
            bit = 0
        while self.range < 1 << 24:
            byte = self.data[self.at] if self.at < len(self.data) else 0
            self.at += 1
            self.code = self.code << 8 | byte
            self.range <<= 8
        return bit

    def finish(self) -> None:
        if self.at < len(self.data):
            raise CmError("more bytes than the bits take")


class _Model:
    """States of contexts, and what pairs of them are mixed to."""

    def __init__(self) -> None:
        self.near = [64] * 1024
        self.past = [64] * (64 * 32)
        self.mixed = [FIRST[i // 16 + i % 16] for i in range(256)]

    def pair(self, near: int, past: int) -> int:
        return self.near[near] // 8 * 16 + self.past[past] // 8

    def predict(self, near: int, past: int) -> int:
        return self.mixed[self.pair(near, past)]

    def learn(self, near: int, past: int, bit: int) -> None:
        pair = self.pair(near, past)
        self.mixed[pair] += 1023 * bit - self.mixed[pair] // 64
        self.near[near] = NEXT[self.near[near]][bit]
        self.past[past] = NEXT[self.past[past]][bit]


class LayerDecoder:
    """Reads the layers of one chunk with depths, in order (6.3)."""

    def __init__(self, t: int, h: int, w: int) -> None:
        self.sides = (t, h, w)
        tokens = t * h * w
        self.layer = 0
        self.plane = 0
        self.layers = [0] * tokens
        self.bits: list[int] = [NONE] * tokens
        self.history = [0] * tokens
        self.agree = [[0] * tokens for _ in range(3)]
        self.depth_model, self.bit_model = _Model(), _Model()

    def _at(self, token: int, dt: int, dy: int, dx: int) -> int | None:
        """The number of the token that is so far away."""
        t, h, w = self.sides
        time, y, x = token // (w * h) + dt, token // w % h + dy, token % w + dx
        return (time * h + y) * w + x if 0 <= time < t and 0 <= y < h and 0 <= x < w else None

    def read(
        self, tokens: list[int], planes: int, coded: bytes | None, known: list[list[int]] | None
    ) -> list[list[int]]:
        """Whether each of `tokens` has the layer, then the bits of each plane: out of a code, or `known` itself."""
        decoder = None if coded is None else _Range(coded)
        has = []
        for i, token in enumerate(tokens):
            bit = self._code(
                self.depth_model, *self._depth_contexts(token), decoder, known[0][i] if known else 0
            )
            has.append(bit)
            self.layers[token] += bit
            if not bit:
                self.bits[token] = NONE
        self.layer += 1
        here = [token for token, bit in zip(tokens, has, strict=True) if bit]
        result = [has]
        for number in range(planes):
            for i, token in enumerate(here):
                self.bits[token] = self._code(
                    self.bit_model, *self._bit_contexts(token), decoder, known[number + 1][i] if known else 0
                )
            for token in here:
                bit = self.bits[token]
                for agree, other in zip(self.agree, self._near(token), strict=True):
                    agree[token] += other == bit
                self.history[token] = (self.history[token] << 1 | bit) & 31
            self.plane += 1
            result.append([self.bits[token] for token in here])
        if decoder is not None:
            decoder.finish()
        return result

    @staticmethod
    def _code(model: _Model, near: int, past: int, decoder: _Range | None, known: int) -> int:
        bit = known if decoder is None else decoder.bit(model.predict(near, past))
        model.learn(near, past, bit)
        return bit

    def _near(self, token: int) -> list[int]:
        places = (self._at(token, *away) for away in ((0, 0, -1), (0, -1, 0), (-1, 0, 0)))
        return [NONE if place is None else self.bits[place] for place in places]

    def _bit_contexts(self, token: int) -> tuple[int, int]:
        left, above, before = self._near(token)
        agree_left, agree_above, agree_before = (agree[token] for agree in self.agree)
        level = _level(TIME_LIMITS, agree_before, self.plane)
        level = level * 3 + _level(SIDE_LIMITS, agree_left, self.plane)
        level = level * 3 + _level(SIDE_LIMITS, agree_above, self.plane)
        return ((level * 3 + before) * 3 + above) * 3 + left, min(self.plane, 63) * 32 + self.history[token]

    def _depth_contexts(self, token: int) -> tuple[int, int]:
        k = self.layer

        def state(dt: int, dy: int, dx: int) -> int:
            place = self._at(token, dt, dy, dx)
            if place is None:
                return 3
            return 2 if self.layers[place] > k else int(self.layers[place] == k)

        def opened(dt: int, dy: int, dx: int) -> bool:
            place = self._at(token, dt, dy, dx)
            return place is not None and self.layers[place] == k

        near = ((opened(0, 0, 1) * 2 + opened(0, 1, 0)) * 4 + state(-1, 0, 0)) * 4 + state(0, -1, 0)
        on = [state(*away) == 2 for away in ((-1, 0, 1), (-1, 1, 0), (0, -1, -1), (0, -1, 1))]
        return near * 4 + state(0, 0, -1), min(k, 63) * 32 + sum(bit << 3 - i for i, bit in enumerate(on))


class Decoder:
    """Reads the planes of one chunk, in order."""

    def __init__(self, t: int, h: int, w: int) -> None:
        self.sides = (t, h, w)
        tokens = t * h * w
        self.planes = 0
        self.history = [0] * tokens
        self.agree_left = [0] * tokens
        self.agree_above = [0] * tokens
        self.agree_before = [0] * tokens
        self.near = [64] * (36 * 27)
        self.past = [64] * (64 * 32)
        self.mixed = [FIRST[i // 16 + i % 16] for i in range(256)]

    def plane(self, coded: bytes | None, packed: bytes | None = None) -> bytes:
        """The next plane, packed: out of its code, or, if it was stored as it is, `packed` itself."""
        t, h, w = self.sides
        tokens = t * h * w
        decoder = None if coded is None else _Range(coded)
        source = packed or b""
        bits = [0] * tokens
        for time in range(t):
            for first in range(0, h, 4):
                rows = min(4, h - first)
                for step in range(w + rows - 1):
                    self._step(bits, time, first, rows, step, decoder, source)
        if decoder is not None:
            decoder.finish()
        for i, bit in enumerate(bits):
            x, y, time = i % w, i // w % h, i // (w * h)
            self.agree_left[i] += x > 0 and bits[i - 1] == bit
            self.agree_above[i] += y > 0 and bits[i - w] == bit
            self.agree_before[i] += time > 0 and bits[i - w * h] == bit
            self.history[i] = (self.history[i] << 1 | bit) & 31
        self.planes += 1
        return sum(bit << i for i, bit in enumerate(bits)).to_bytes((tokens + 7) // 8, "little")

    def _step(
        self, bits: list[int], time: int, first: int, rows: int, step: int, decoder: _Range | None, source: bytes
    ) -> None:
        _, h, w = self.sides
        made = []
        for row in range(rows):
            x, y = step - row, first + row
            if 0 <= x < w:
                i = (time * h + y) * w + x
                near, past = self._contexts(bits, i, x, y, time)
                made.append((i, near, past, self.mixed[self._pair(near, past)]))
        for i, _, _, p in made:
            bits[i] = decoder.bit(p) if decoder is not None else source[i >> 3] >> (i & 7) & 1
        for i, near, past, _ in made:
            pair, bit = self._pair(near, past), bits[i]
            self.mixed[pair] += 1023 * bit - self.mixed[pair] // 64
            self.near[near] = NEXT[self.near[near]][bit]
            self.past[past] = NEXT[self.past[past]][bit]

    def _pair(self, near: int, past: int) -> int:
        return self.near[near] // 8 * 16 + self.past[past] // 8

    def _contexts(self, bits: list[int], i: int, x: int, y: int, time: int) -> tuple[int, int]:
        _, h, w = self.sides
        left = bits[i - 1] if x > 0 else NONE
        above = bits[i - w] if y > 0 else NONE
        before = bits[i - w * h] if time > 0 else NONE
        level = _level(TIME_LIMITS, self.agree_before[i], self.planes)
        level = level * 3 + _level(SIDE_LIMITS, self.agree_left[i], self.planes)
        level = level * 3 + _level(SIDE_LIMITS, self.agree_above[i], self.planes)
        near = ((level * 3 + before) * 3 + above) * 3 + left
        return near, min(self.planes, 63) * 32 + self.history[i]

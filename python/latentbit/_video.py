"""What a file says of its video."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from fractions import Fraction
from typing import Any

Pair = tuple[int, int]
Triple = tuple[int, int, int]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Video:
    """The description of a stream of tokens; fields are those of the JSON that ``latentbit tokens`` writes.

    Pairs are numerator and denominator; ``frame_rate`` and ``pixel_aspect`` are unknown where the numerator is 0.
    """

    width: int
    """Of a frame, in pixels."""
    height: int
    """Of a frame, in pixels."""
    bundle: str
    """Name of the model that made the tokens, for people."""
    bundle_sha256: str
    """Its hash, for programs: 64 hexadecimal digits."""
    bits: int
    """Most bits of a token in this stream, 1 to ``bundle_bits``."""
    bundle_bits: int
    """Bits per token of the model, 1 to 64."""
    patch: Triple
    """Latent positions per token: time, height, width."""
    strides: Triple
    """Frames and pixels per latent position: time, height, width."""
    chunk_latent_frames: int
    """Latent frames in a full chunk."""
    frames: int | None = None
    """In the whole video, if that was known when the file began."""
    frame_rate: Pair = (0, 1)
    """Frames per second."""
    time_base: Pair = (1, 1)
    """Seconds per tick."""
    frame_duration: int = 1
    """Ticks that a frame is shown, where its chunk does not say otherwise."""
    pixel_aspect: Pair = (0, 1)
    """Width over height of a pixel."""
    color: Triple = (2, 2, 2)
    """Primaries, transfer and matrix of the source, in code points of H.273."""
    range: str = "unspecified"
    """Of the source's samples: unspecified, limited or full."""
    chroma: str = "rgb"
    """Of the source: 4:2:0, 4:2:2, 4:4:4, gray or rgb."""
    chroma_location: int = 0
    """Where its chroma samples lie."""
    bit_depth: int = 8
    """Bits per sample of the source."""
    depth_step: int | None = None
    """Bits from one depth to the next, if the stream is elastic: its tokens have a depth each."""

    @classmethod
    def from_fields(cls, fields: Mapping[str, Any]) -> Video:
        """From a mapping with these names, such as ``video`` of a sidecar; lists count as tuples."""
        known = {field.name for field in dataclasses.fields(cls)}
        strange = set(fields) - known
        if strange:
            raise ValueError(f"Video: expected the fields {sorted(known)}, found {sorted(strange)} as well")
        values: dict[str, Any] = {n: tuple(v) if isinstance(v, list) else v for n, v in fields.items()}
        return cls(**values)

    def to_fields(self) -> dict[str, Any]:
        """As a mapping."""
        return {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}

    @property
    def tick(self) -> Fraction:
        """Seconds per tick."""
        return Fraction(*self.time_base)

    def steps(self, latent_frames: int) -> int:
        """Steps of tokens that so many latent frames of a chunk take."""
        return -(-latent_frames // self.patch[0])

    def step_of(self, frame: int, *, key: bool) -> int:
        """The step that holds frame ``frame`` of a chunk, counted from the chunk's start."""
        stride = self.strides[0]
        latent = (frame - 1) // stride + 1 if key else frame // stride
        return latent // self.patch[0]

    def frame_of(self, step: int, *, key: bool) -> int:
        """The first frame of a step of a chunk, both counted from the chunk's start."""
        latent = step * self.patch[0]
        stride = self.strides[0]
        if key:
            return 0 if latent == 0 else 1 + (latent - 1) * stride
        return latent * stride


def rate(given: int | float | Fraction | Pair | None) -> Pair:
    """A frame rate as numerator and denominator."""
    if given is None:
        return (0, 1)
    if isinstance(given, tuple):
        return given
    exact = Fraction(given)
    # 29.97 stands for 30000/1001: what broadcast calls it, to more digits than anybody writes.
    for whole in (24, 30, 48, 60, 120):
        ntsc = Fraction(whole * 1000, 1001)
        if isinstance(given, float) and abs(exact - ntsc) < Fraction(1, 200):
            return (ntsc.numerator, ntsc.denominator)
    near = exact.limit_denominator(1001)
    return (near.numerator, near.denominator)

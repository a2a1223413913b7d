"""The cases of `make bench`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

SIZES = ((128, 128), (256, 256), (832, 480))
DTYPES = ("bf16", "f32")
EAGER, COMPILE = PEERS = ("torch-eager", "torch-compile")


@dataclass(frozen=True)
class Clip:
    """Width, height and number of frames."""

    width: int
    height: int
    frames: int

    @property
    def size(self) -> str:
        """Height by width, as in papers. (Options of programs have width by height, as in ffmpeg.)"""
        return f"{self.height}x{self.width}"

    def __str__(self) -> str:
        return f"{self.frames}x{self.size}"


@dataclass(frozen=True)
class Case:
    """One task of one model on one clip in one number type, and the peers that do it too."""

    bundle: Path
    task: str
    clip: Clip
    dtype: str
    peers: tuple[str, ...] = PEERS
    weight: int = 1
    """Work per pixel relative to the shipped bundle, about."""

    @property
    def label(self) -> str:
        return f"{self.bundle.stem} {self.task} {self.clip} {self.dtype}"

    @property
    def words(self) -> set[str]:
        """The text that words select it by."""
        return {*self.label.split(), self.clip.size}

    @property
    def repeats(self) -> int:
        """Runs per turn: many if a run is short."""
        pixels = self.clip.width * self.clip.height * self.clip.frames
        return max(1, min(10, round(5e5 / pixels / self.weight)))


def whole_models(bundle: Path) -> Iterator[Case]:
    """Pictures and videos through a whole bundle."""
    for width, height in SIZES:
        # Large clips are short: they show the effect of size.
        for frames in (1, 17 if width < 512 else 5):
            for dtype in DTYPES:
                for task in ("encode", "decode"):
                    yield Case(bundle, task, Clip(width, height, frames), dtype)


def large_vae(bundle: Path) -> Iterator[Case]:
    """A full-size VAE: a run is as much work as minutes of small video."""
    for frames in (1, 5):
        for dtype in DTYPES:
            for task in ("vae-encode", "vae-decode"):
                yield Case(bundle, task, Clip(128, 128, frames), dtype, (EAGER,), weight=20)


def official_vae(folder: Path) -> Iterator[Case]:
    """The official VAE and that of diffusers."""
    for width, height, frames in ((128, 128, 17), (832, 480, 5)):
        for dtype in ("f32", "bf16"):
            for task in ("vae-encode", "vae-decode"):
                yield Case(folder, task, Clip(width, height, frames), dtype, weight=20)


def select(cases: list[Case], words: list[str], peers: tuple[str, ...]) -> list[Case]:
    """The cases that match all words, with only these peers."""
    chosen = [case for case in cases if case.words.issuperset(words)]
    return [replace(case, peers=tuple(peer for peer in case.peers if peer in peers)) for case in chosen]


def shorter(cases: list[Case], frames: int) -> list[Case]:
    """The cases with clips of at most `frames` frames, without duplicates."""
    clips = [replace(case.clip, frames=min(case.clip.frames, frames)) for case in cases]
    return list(dict.fromkeys(replace(case, clip=clip) for case, clip in zip(cases, clips, strict=True)))

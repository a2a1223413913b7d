"""The measured cases: the shipped bundle with all its networks, and the official VAE at its full size."""

from __future__ import annotations

from dataclasses import dataclass

PEERS = ("torch-compile", "torch-eager")
OURS = "latentbit"


@dataclass(frozen=True)
class Case:
    """One task of one model on one clip."""

    model: str
    task: str
    width: int
    height: int
    frames: int
    dtype: str = "bf16"
    pace: int = 0
    """Latent frames per step of PyTorch's VAE; 0 for the whole clip."""
    repeats: int = 5
    clips: int = 1
    """Number of clips in parallel."""

    @property
    def size(self) -> str:
        """Width by height, as in command-line options."""
        return f"{self.width}x{self.height}"

    @property
    def label(self) -> str:
        """Height by width, as in papers."""
        many = f"{self.clips} of " if self.clips > 1 else ""
        return f"{self.model} {self.task} {many}{self.frames}x{self.height}x{self.width} {self.dtype}"

    @property
    def length(self) -> str:
        """Frames, and the number of clips."""
        return f"{self.clips} × {self.frames}" if self.clips > 1 else str(self.frames)

    @property
    def large(self) -> bool:
        """Whether it takes minutes to compile or to run."""
        return self.model == "wan" or self.width * self.height > 1e6


def shipped() -> list[Case]:
    """VAE and tokenizer. Small frames are measured in longer clips and with many clips in parallel."""
    sizes = ((1920, 1080, 33), (832, 480, 33), (256, 256, 65), (128, 128, 65))
    single = [Case("shipped", task, *size) for size in sizes for task in ("encode", "decode")]
    small = ((256, 256, 33, 16), (128, 128, 33, 32))
    return single + [
        Case("shipped", task, width, height, frames, clips=clips)
        for width, height, frames, clips in small for task in ("encode", "decode")
    ]


def wan() -> list[Case]:
    """The VAE alone. PyTorch works in steps of one latent frame, as the official code does."""
    sizes = ((832, 480, 81), (1280, 720, 81))
    return [Case("wan", task, *size, pace=1, repeats=3) for size in sizes for task in ("vae-encode", "vae-decode")]


def rehearsed() -> dict[str, list[Case]]:
    """Tiny cases, for a machine without a GPU."""
    return {
        "shipped": [
            Case("shipped", task, 48, 32, 9, "f32", repeats=2, clips=clips)
            for clips in (1, 2) for task in ("encode", "decode")
        ],
        "wan": [Case("wan", task, 48, 32, 9, "f32", pace=1, repeats=2) for task in ("vae-encode", "vae-decode")],
    }


def cases(rehearse: bool) -> dict[str, list[Case]]:
    """The cases by part."""
    return rehearsed() if rehearse else {"shipped": shipped(), "wan": wan()}

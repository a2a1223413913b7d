"""What a person sees of a run: TensorBoard, and a progress bar on a terminal. Its log of JSON lines is in `loop.py`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

FOLDER = "tensorboard"


def _writer(folder: Path, step: int) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise ValueError("--tensorboard needs a package: pip install 'latentbit-training[log]'") from error
    # What an interrupted run wrote after its last checkpoint is of steps that come again.
    return SummaryWriter(str(folder / FOLDER), purge_step=step)


def _bar() -> Any:
    if not sys.stderr.isatty():
        return None
    try:
        from tqdm import tqdm
    except ImportError:
        return None
    return tqdm(total=100, unit="%", leave=False, dynamic_ncols=True, bar_format="{percentage:3.0f}% {bar} {postfix}")


class Seeing:
    """TensorBoard in the folder of a run if it is wanted, and a bar if there is a terminal."""

    def __init__(self, folder: Path, tensorboard: bool, step: int) -> None:
        self._board = _writer(folder, step) if tensorboard else None
        self._bar = _bar()

    def scalars(self, step: int, values: dict[str, Any]) -> None:
        """The numbers of a line of the log."""
        if self._board is None:
            return
        if torch.cuda.is_available():
            values = values | {"gpu_gigabytes": torch.cuda.max_memory_allocated() / 1e9}
        for name, value in values.items():
            if isinstance(value, (int, float)):
                # Grouped as TensorBoard does it, by what comes first.
                self._board.add_scalar(name.replace("_", "/", 1) if name.startswith("val_") else name, value, step)
        self._board.flush()

    def histogram(self, step: int, name: str, values: Tensor) -> None:
        """How values are spread."""
        if self._board is not None:
            self._board.add_histogram(name, values.detach().float().cpu(), step)

    @property
    def pictured(self) -> bool:
        """Whether pictures are wanted."""
        return self._board is not None

    def pictures(self, step: int, name: str, frames: list[Tensor]) -> None:
        """Pictures (3, H, W) in -1…1 side by side."""
        if self._board is not None:
            row = torch.cat([frame.detach().float().cpu().clamp(-1, 1) for frame in frames], dim=-1)
            self._board.add_image(name, (row + 1) / 2, step)

    def advance(self, progress: float, step: int, told: str) -> None:
        """Moves the bar."""
        if self._bar is not None:
            self._bar.n = 100 * progress
            self._bar.set_postfix_str(f"step {step} {told}", refresh=False)
            self._bar.update(0)

    def close(self) -> None:
        """Ends both."""
        if self._board is not None:
            self._board.close()
        if self._bar is not None:
            self._bar.close()

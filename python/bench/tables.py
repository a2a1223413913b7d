"""The figures as tables of Markdown."""

from __future__ import annotations

import textwrap
from typing import Any

from archiving import Figure
from reading import BATCH, ORDERS, WORKERS
from table import figure, in_table


def archiving(figures: list[Figure]) -> str:
    """Clips and frames per second of each program."""
    head = ["clips", "program", "clips/s", "frames/s", "ratio", "equal bits"]
    lines = []
    for found in figures:
        bits = NOTHING if found.equal_bits is None else f"{found.equal_bits:.3f} %"
        rates = [figure(found.clips_per_second), figure(found.frames_per_second)]
        lines.append([found.case, found.program, *rates, f"{found.ratio:.2f}", bits])
    return in_table(head, lines, text=2)


def reading(figures: list[dict[str, Any]]) -> str:
    """Bytes and samples per second of each form."""
    columns = [(order, workers) for order in ORDERS for workers in WORKERS]
    head = ["form", "bytes", *(f"{order}, {workers} worker{'s' * (workers > 1)}" for order, workers in columns)]
    lines = []
    for found in figures:
        rates = [found[f"{order}, {workers}"] for order, workers in columns]
        cells = [NOTHING if rate is None else f"{rate:,.0f}" for rate in rates]
        lines.append([found["form"], f"{found['bytes']:,}", *cells])
    return in_table(head, lines, text=1)


def report(about: dict[str, Any], rounds: int, archived: list[Figure], read: dict[str, Any] | None) -> str:
    """The report for the document."""
    parts = [
        f"{about['cpu']}, {about['threads']} threads ({about['instructions']}); LatentBit {about['latentbit']}, "
        f"PyTorch {about['torch']}, Python {about['python']}; {about['date']}."
    ]
    if archived:
        parts += ["### Archiving against PyTorch", f"{ARCHIVING} Figures are medians of {rounds} runs, in turn."]
        parts.append(archiving(archived))
    if read:
        parts += ["### Reading", f"{_samples(read)} {READING}", reading(read["figures"])]
    return "\n\n".join(part if part[0] in "#|" else textwrap.fill(part, 120) for part in parts)


def _samples(read: dict[str, Any]) -> str:
    return (
        f"Samples per second: windows of {read['window']} latent frames as int64, of {read['clips']} clips with "
        f"{read['steps']} steps of tokens, {read['bits']} bits each, of {read['size']} pixels. Workers make batches of "
        f"{BATCH}."
    )


NOTHING = "-"
ARCHIVING = (
    "Each program turns the same clips (H.264, in RGB, so that colour conversion is not compared) into arrays of "
    "tokens, in f32 and with the same weights; loading the model is not counted. `latentbit archive` also makes "
    "`.lbit` files, digests and a manifest. The package and the script decode with ffmpeg in parallel; the script "
    "uses the modules that the bundle was trained with. The ratio is a program's time over that of `latentbit "
    "archive`; equal bits are compared with its tokens."
)
READING = (
    "`TokenDataset` reads `.lbit` files and shards; the other formats have no index, so each window opens its file. A "
    "shard of npy has no random access. Files are in the system's cache."
)

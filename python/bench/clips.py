"""Clips to archive: cut out of a video, or of a pattern that is made here."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

STEP = 5
"""Frames from the beginning of a clip to that of the next one."""


@dataclass(frozen=True)
class Case:
    """Clips of one kind."""

    clips: int
    frames: int
    """Of each clip: one more than a multiple of four, so that no latent frame holds a copy."""
    size: int
    """Side of a frame in pixels."""

    def __str__(self) -> str:
        return f"{self.clips} clips of {self.frames} frames, {self.size}x{self.size}"

    @property
    def all_frames(self) -> int:
        """Frames of all clips."""
        return self.clips * self.frames


def make(case: Case, folder: Path, video: Path | None) -> tuple[Path, Path]:
    """Writes the clips into a folder, and all of them as one; gives the folder and the one."""
    clips, whole = folder / "clips", folder / "whole.mp4"
    clips.mkdir(parents=True)
    for number in range(case.clips):
        _write(case, clips / f"{number:04}.mp4", number, video)
    listed = folder / "list.txt"
    listed.write_text("".join(f"file '{path.resolve()}'\n" for path in sorted(clips.iterdir())))
    _ffmpeg("-f", "concat", "-safe", "0", "-i", listed, "-c", "copy", whole)
    return clips, whole


def _write(case: Case, path: Path, number: int, video: Path | None) -> None:
    # Another place and another time for each clip, so that no two have the same contents.
    window = 2 * case.size
    crop = f"crop={case.size}:{case.size}:mod({37 * number}\\,iw-{case.size}):mod({23 * number}\\,ih-{case.size})"
    if video is None:
        moving = f"testsrc2=size={2 * window}x{2 * window}:rate=25,hue=h={13 * number}"
        source = ["-f", "lavfi", "-i", f"{moving},scale={window}:{window}"]
    else:
        source = ["-stream_loop", "-1", "-i", str(video)]
        crop = f"scale=-2:{window},{crop}"
    cut = f"{crop},trim=start_frame={STEP * number},setpts=PTS-STARTPTS"
    # RGB, because programs convert colour in different ways, and then tokens would differ.
    coder = ["-c:v", "libx264rgb", "-preset", "veryfast", "-crf", "16", "-threads", "1"]
    _ffmpeg(*source, "-vf", cut, "-frames:v", case.frames, "-r", 25, "-an", *coder, path)


def _ffmpeg(*words: object) -> None:
    subprocess.run(["ffmpeg", "-v", "error", "-y", *map(str, words)], check=True)

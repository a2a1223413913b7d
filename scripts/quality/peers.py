"""Other codecs at several qualities: their output for a photo or a clip, and its size in bytes.

Photos: JPEG (optimized) and AVIF (libaom, speed 6), whole files. Clips: x264 and x265 (preset medium) and SVT-AV1
(preset 6), their elementary streams: parameter sets count, a container does not, and neither does the text in which
x264 and x265 list their options (690 bytes of x264's, more than the pictures of a small clip). All halve chroma in both
directions, as is usual. The settings span the rates of our own curve.
"""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

from PIL import Image
from samples import FPS, Sample


@dataclass(frozen=True)
class Coded:
    """A file for `latentbit eval`, and its coded size in bytes."""

    path: Path
    bytes: int


IMAGE_PEERS = {"JPEG": (2, 5, 8, 12, 18, 25), "AVIF": (1, 10, 20, 30, 40, 50)}
VIDEO_PEERS = {"x264": (27, 32, 37, 42, 47, 51), "x265": (27, 32, 37, 42, 47, 51), "SVT-AV1": (35, 43, 51, 57, 60, 63)}

_OPTIONS = {
    # Stream type (for ffmpeg and the file name), then encoder and options. Type 6 is SEI in H.264.
    "x264": ("h264", "libx264", "-preset", "medium", "-bsf:v", "filter_units=remove_types=6"),
    "x265": ("hevc", "libx265", "-preset", "medium", "-x265-params", "log-level=none:info=0"),
    "SVT-AV1": ("obu", "libsvtav1", "-preset", "6"),
}


def code_image(peer: str, quality: int, sample: Sample, work: Path) -> Coded:
    """A photo through JPEG or AVIF."""
    source = Image.open(sample.path).convert("RGB")
    # Pixels only: Pillow would keep the source's colour profile, larger than a small picture.
    image = Image.frombytes("RGB", source.size, source.tobytes())
    if peer == "JPEG":
        coded = work / "peer.jpg"
        image.save(coded, quality=quality, optimize=True, subsampling="4:2:0")
    else:
        coded = work / "peer.avif"
        image.save(coded, quality=quality, speed=6, subsampling="4:2:0", codec="aom", max_threads=1)
    back = work / "peer.png"
    Image.open(coded).convert("RGB").save(back)
    return Coded(back, coded.stat().st_size)


def code_video(peer: str, quality: int, sample: Sample, size: int, work: Path) -> Coded:
    """A raw clip of `size` pixels a side through a video codec; the file declares its colours."""
    kind, codec, *options = _OPTIONS[peer]
    coded = work / f"peer.{kind}"
    colors = ["-colorspace", "bt709", "-color_primaries", "bt709", "-color_trc", "bt709", "-color_range", "tv"]
    command = ["ffmpeg", "-v", "error", "-y", "-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{size}x{size}"]
    command += ["-r", str(FPS), "-i", str(sample.path)]
    command += ["-vf", "scale=out_color_matrix=bt709:out_range=tv:flags=accurate_rnd+full_chroma_int,format=yuv420p"]
    command += ["-c:v", codec, *options, "-crf", str(quality), *colors, "-f", kind, str(coded)]
    subprocess.run(command, check=True, capture_output=True)
    return Coded(coded, coded.stat().st_size)

"""Other codecs at several qualities: what they make of a photo or a clip, and how many bytes it takes.

Photos: JPEG (optimized) and AVIF (libaom, speed 6), whole files. Clips: x264 and x265 (preset medium) and SVT-AV1
(preset 6), the bytes of their packets without a container. All with chroma halved both ways, as they are used.
"""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

from PIL import Image
from samples import FPS, Sample


@dataclass(frozen=True)
class Coded:
    """A file that `latentbit eval` reads, and the bytes that the codec needs for it."""

    path: Path
    bytes: int


IMAGE_PEERS = {"JPEG": (4, 10, 20, 35, 55, 75), "AVIF": (8, 20, 35, 50, 65, 80)}
VIDEO_PEERS = {"x264": (22, 27, 32, 37, 42, 47), "x265": (22, 27, 32, 37, 42, 47), "SVT-AV1": (25, 35, 43, 51, 57, 63)}

_OPTIONS = {
    "x264": ("libx264", "-preset", "medium"),
    "x265": ("libx265", "-preset", "medium", "-x265-params", "log-level=none"),
    "SVT-AV1": ("libsvtav1", "-preset", "6"),
}


def code_image(peer: str, quality: int, sample: Sample, work: Path) -> Coded:
    """A photo through JPEG or AVIF."""
    image = Image.open(sample.path).convert("RGB")
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
    """A raw clip of `size` pixels a side through a video codec; the colours are said in the file."""
    coded = work / "peer.mp4"
    codec, *options = _OPTIONS[peer]
    colors = ["-colorspace", "bt709", "-color_primaries", "bt709", "-color_trc", "bt709", "-color_range", "tv"]
    command = ["ffmpeg", "-v", "error", "-y", "-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{size}x{size}"]
    command += ["-r", str(FPS), "-i", str(sample.path)]
    command += ["-vf", "scale=out_color_matrix=bt709:out_range=tv:flags=accurate_rnd+full_chroma_int,format=yuv420p"]
    command += ["-c:v", codec, *options, "-crf", str(quality), *colors, str(coded)]
    subprocess.run(command, check=True, capture_output=True)
    probe = ["ffprobe", "-v", "error", "-select_streams", "v:0", "-show_entries", "packet=size", "-of", "csv=p=0"]
    sizes = subprocess.run([*probe, str(coded)], check=True, capture_output=True, text=True).stdout
    return Coded(coded, sum(int(line.strip(",")) for line in sizes.split()))

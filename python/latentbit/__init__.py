"""Video as tokens: reads, writes, encodes and decodes ``.lbit`` files.

``latentbit.open`` gives a file, a sequence of chunks whose tokens are numpy arrays; it needs no model.
``Encoder`` and ``Decoder`` turn frames into tokens and back. ``latentbit.torch``, ``latentbit.webdataset``,
``latentbit.ray`` and ``latentbit.onnx`` are for those libraries, and only they import them.
"""

import mimetypes

from ._bundle import Bundle
from ._codec import Decoder, Encoder
from ._file import Attachment, Clip, File, open
from ._latentbit import (
    BundleError,
    Chunk,
    FormatError,
    LatentBitError,
    LimitsError,
    LostChunkError,
    TruncatedError,
    UnsupportedError,
    __version__,
)
from ._loss import FrameIterator, Frames, LossWarning
from ._seeing import View, show
from ._vae import Vae
from ._video import Video
from ._writer import Summary, Writer

__all__ = [
    "Attachment",
    "Bundle",
    "BundleError",
    "Chunk",
    "Clip",
    "Decoder",
    "Encoder",
    "File",
    "FormatError",
    "FrameIterator",
    "Frames",
    "LatentBitError",
    "LimitsError",
    "LossWarning",
    "LostChunkError",
    "Summary",
    "TruncatedError",
    "UnsupportedError",
    "Vae",
    "Video",
    "View",
    "Writer",
    "__version__",
    "open",
    "show",
]

mimetypes.add_type("video/vnd.latentbit", ".lbit")

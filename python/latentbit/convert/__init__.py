"""Token files as data sets of other libraries, and back.

Each module has ``write`` and ``read``: ``mds`` (MosaicML Streaming), ``litdata``, ``zarr`` and ``datasets`` (Hugging
Face). ``lerobot`` reads and writes the videos of LeRobot v3 data sets. What is written is read by that
library alone, without this package. ``python -m latentbit.convert`` does it from a shell.
"""

from ._records import ABOUT, FORMS, Record, records_of, write_files

__all__ = ["ABOUT", "FORMS", "Record", "records_of", "write_files"]

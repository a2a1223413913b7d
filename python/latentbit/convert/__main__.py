"""``python -m latentbit.convert``."""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Sequence

from .._latentbit import LatentBitError
from ._records import FORMS, records_of, write_files

LIBRARIES = ("datasets", "litdata", "mds", "zarr")


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    parser = argparse.ArgumentParser(
        "python -m latentbit.convert",
        description="Turns .lbit files and shards into data sets of other libraries, and back.",
    )
    ways = parser.add_subparsers(dest="way", required=True)
    to = ways.add_parser("to", help="make a data set of files")
    to.add_argument("library", choices=LIBRARIES)
    to.add_argument("sources", nargs="+", help="files, folders, shards, patterns or addresses")
    to.add_argument("-o", "--output", required=True, help="folder of the data set")
    to.add_argument("--form", choices=FORMS, default="tokens", help="arrays of tokens, or whole files")
    to.add_argument("--columns", nargs="*", help="columns of the manifest; all, if none is named")
    to.add_argument("--manifest", help="table with a column key, instead of the archive's manifest.parquet")
    back = ways.add_parser("from", help="make files of a data set")
    back.add_argument("library", choices=LIBRARIES)
    back.add_argument("source", help="folder of the data set")
    back.add_argument("-o", "--output", required=True, help="folder for the files")
    given = parser.parse_args(arguments)
    module = importlib.import_module(f"{__package__}.{given.library}")
    try:
        if given.way == "to":
            columns = given.columns if given.columns is None else (given.columns or True)
            records = records_of(given.sources, form=given.form, columns=columns or False, manifest=given.manifest)
            count = module.write(records, given.output)
        else:
            count = write_files(module.read(given.source), given.output)
    except (LatentBitError, OSError, ValueError) as error:
        print(f"latentbit.convert: {error}", file=sys.stderr)
        return 1
    print(f"{given.output}: {count} clips")
    return 0


if __name__ == "__main__":
    sys.exit(main())

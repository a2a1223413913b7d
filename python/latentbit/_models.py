"""Models by path and by name: which ones the command keeps on this machine, and which ones have a name on the hub."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from ._latentbit import BundleError

BUILT_IN = "built-in"
# As the command has them: cli/src/models/name.rs.
KNOWN = {
    "wan2.1-vae": ("Wan-AI/Wan2.1-T2V-1.3B", ("Wan2.1_VAE.pth",)),
    "wan2.1-vae-diffusers": (
        "Wan-AI/Wan2.1-T2V-1.3B-Diffusers",
        ("vae/config.json", "vae/diffusion_pytorch_model.safetensors"),
    ),
    "wan2.2-vae": ("Wan-AI/Wan2.2-TI2V-5B", ("Wan2.2_VAE.pth",)),
}


def models_folder() -> Path:
    """Where the command keeps models: the folder of ``LATENTBIT_MODELS``, else the one that is usual here."""
    given = os.environ.get("LATENTBIT_MODELS")
    if given:
        return Path(given)
    if sys.platform == "darwin":
        caches = Path.home() / "Library/Caches"
    elif sys.platform == "win32":
        caches = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData/Local")
    else:
        given = os.environ.get("XDG_CACHE_HOME")
        # What is not absolute does not count, says the specification.
        caches = Path(given) if given and Path(given).is_absolute() else Path.home() / ".cache"
    return caches / "latentbit/models"


def resolve(model: str | os.PathLike[str]) -> Path | None:
    """The path of a model: a path if that exists, else a name, as for the command's ``--model``; none is built in."""
    path = Path(model)
    if path.exists():
        return path
    name = os.fspath(model)
    if name == BUILT_IN:
        return None
    folder = models_folder()
    kept = folder / name
    if _is_name(name) and (kept / "model.json").is_file():
        return _of_record(kept)
    names = sorted(found.parent.name for found in folder.glob("*/model.json")) if folder.is_dir() else []
    advice = ""
    if name in KNOWN:
        advice = f"; get it with `latentbit models pull {name}`, or with Bundle.from_pretrained({name!r})"
    elif isinstance(model, str) and name.count("/") == 1 and not name.startswith((".", "/")):
        advice = f"; a repository of the hub is read by Bundle.from_pretrained({name!r})"
    raise FileNotFoundError(
        f"{name}: there is no such file, and it is no model in {folder}; there are: "
        f"{', '.join([BUILT_IN, *names])}{advice}"
    )


def _is_name(name: str) -> bool:
    return bool(name) and not name.startswith(".") and os.sep not in name and "/" not in name


def _of_record(folder: Path) -> Path:
    record = folder / "model.json"
    try:
        files = [str(file["name"]) for file in json.loads(record.read_text("utf-8"))["files"]]
    except (ValueError, KeyError, TypeError) as error:
        raise BundleError(
            f"{record}: not the record of a model ({error}); add or pull the model again with -y"
        ) from error
    if any(not _is_name(file) for file in files):
        raise BundleError(f"{record}: names a file outside its folder")
    return folder / files[0] if len(files) == 1 else folder

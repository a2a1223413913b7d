"""Models, by path, by name, or from the hub."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import _latentbit

if TYPE_CHECKING:
    from typing_extensions import Self

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
        raise _latentbit.BundleError(
            f"{record}: not the record of a model ({error}); add or pull the model again with -y"
        ) from error
    if any(not _is_name(file) for file in files):
        raise _latentbit.BundleError(f"{record}: names a file outside its folder")
    return folder / files[0] if len(files) == 1 else folder


class Bundle(_latentbit.Bundle):
    """A model that several encoders and decoders share. It never changes, so threads may share it as well."""

    path: Path | None
    """Where it was read from; none if it is the built-in one."""

    def __new__(
        cls, model: str | os.PathLike[str] | None = None, *, dtype: str = "auto", device: str = "auto"
    ) -> Self:
        """Read a model.

        ``model`` is a path (a bundle, official weights of Wan, or a folder of diffusers), the name of one that
        ``latentbit models`` keeps, or nothing for the built-in one. ``dtype`` is ``bf16``, ``f32``, ``f16`` (GPUs
        only), or ``auto`` for the fastest on the device; ``device`` is ``cpu``, ``cuda``, ``cuda:N``, or ``auto``.
        """
        path = None if model is None else resolve(model)
        made = super().__new__(cls, path, dtype=dtype, device=device)
        made.path = path
        made._options = {"dtype": dtype, "device": device}
        return made

    _options: dict[str, str]

    def __reduce__(self) -> tuple[Callable[..., Bundle], tuple[Any, ...]]:
        return _reopen, (self.path, self._options)

    @classmethod
    def from_pretrained(
        cls,
        repo: str | os.PathLike[str],
        *,
        filename: str | None = None,
        revision: str | None = None,
        token: str | bool | None = None,
        cache_dir: str | os.PathLike[str] | None = None,
        local_files_only: bool = False,
        endpoint: str | None = None,
        dtype: str = "auto",
        device: str = "auto",
    ) -> Bundle:
        """Read a model of the Hugging Face hub, by ``huggingface_hub`` and through its cache.

        ``repo`` is ``"user/name"``, a name such as ``"wan2.1-vae"``, or a local folder or name of a kept model.
        ``filename`` is needed where the repository has several files that can be the model. The other arguments are
        those of ``huggingface_hub.hf_hub_download``.
        """
        from ._hub import fetch

        path = fetch(
            repo, filename=filename, revision=revision, token=token, cache_dir=cache_dir,
            local_files_only=local_files_only, endpoint=endpoint,
        )
        return cls(path, dtype=dtype, device=device)

    def push_to_hub(
        self,
        repo: str,
        *,
        private: bool | None = None,
        token: str | bool | None = None,
        revision: str | None = None,
        message: str = "Add a LatentBit model",
        card: str | None = None,
        endpoint: str | None = None,
    ) -> str:
        """Put the model into a repository of the hub, which is made if there is none, with a model card.

        ``card`` is the text of the card; one that says what the model is and how it is used is written by default,
        unless the repository has one. Returns the address of the commit.
        """
        from ._hub import push

        return push(
            self, repo, private=private, token=token, revision=revision, message=message, card=card, endpoint=endpoint
        )


def _reopen(path: Path | None, options: dict[str, str]) -> Bundle:
    return Bundle(path, **options)

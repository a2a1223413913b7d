"""Models, by path, by name, or from the hub."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import _hub, _latentbit
from ._models import resolve

if TYPE_CHECKING:
    from typing_extensions import Self


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
        path = _hub.fetch(
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
        if self.path is None:
            raise ValueError("the built-in model is in every installation of latentbit; give a model of your own")
        return _hub.push(
            self, self.path, repo, private=private, token=token, revision=revision, message=message, card=card,
            endpoint=endpoint,
        )


def _reopen(path: Path | None, options: dict[str, str]) -> Bundle:
    return Bundle(path, **options)

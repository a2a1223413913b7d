"""Predictors on disk: a safetensors file of its own, which names the bundle whose tokens it predicts.

It is no part of the bundle, because the bundle's hash says what tokens mean: a better predictor must not make files
undecodable.
"""

from __future__ import annotations

from pathlib import Path

from safetensors import safe_open
from safetensors.torch import save_file

from .bundle import restored, stored
from .config import PredictorFileConfig
from .maskgit import Predictor


def save(path: Path, config: PredictorFileConfig, model: Predictor, storage: str) -> None:
    """Writes a predictor; `storage` as for a bundle."""
    save_file(stored("predictor", model.vit, storage), str(path), metadata={"config": config.to_json()})


def load(path: Path) -> tuple[PredictorFileConfig, Predictor]:
    """Reads a predictor into an f32 module."""
    with safe_open(str(path), "pt") as file:
        config = PredictorFileConfig.from_json((file.metadata() or {}).get("config", "{}"))
        raw = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (the file is no mapping)
    model = Predictor(config.predictor)
    model.vit.load_state_dict({name.removeprefix("predictor."): value for name, value in restored(raw).items()})
    return config, model.eval()

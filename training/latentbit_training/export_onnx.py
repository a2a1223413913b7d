"""A bundle as ONNX, for ONNX Runtime and its builds for browsers, OpenVINO and TensorRT.

    latentbit-train export-onnx models/default.safetensors onnx/
    latentbit-train export-onnx models/default.safetensors onnx-web/ --storage int8

Four networks (the VAE's encoder and decoder for steps of a group, the tokenizer's encoder and decoder for a chunk) and
`networks.json`, which tells of all their inputs and outputs. See docs/onnx.md.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import onnx

from . import bundle, onnx_vae, onnx_vit
from .config import BundleConfig
from .onnx_graph import OPSET, Graph, Weights
from .options import Parser

FORMAT = "latentbit.onnx/1"
MANIFEST = "networks.json"
DTYPES = ("f32", "f16")
LARGEST_FILE = 2_000_000_000
"""Bytes of weights that a file can hold (a message of protobuf is below 2 GiB); more of them lie beside it."""
Built = list[onnx_vae.State] | None


def digest(path: Path) -> str:
    """SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def about(path: Path, config: BundleConfig, dtype: str, storage: str) -> dict[str, Any]:
    """What a program must know of the bundle to run its networks."""
    raw = json.loads(config.to_json())
    # A past as long as the weights is nobody's business who runs them.
    raw.pop("training")
    return {
        "format": FORMAT,
        "bundle": {"name": config.name, "sha256": digest(path)},
        "dtype": dtype,
        "storage": storage,
        "opset": OPSET,
        "strides": list(config.vae.strides),
        "latent_mean": list(config.vae.latent_mean),
        "latent_std": list(config.vae.latent_std),
        "config": raw,
    }


def networks(config: BundleConfig, weights: Weights) -> dict[str, Callable[[Graph], Built]]:
    """What builds each network of a bundle."""
    found: dict[str, Callable[[Graph], Built]] = {
        "vae-encoder": partial(onnx_vae.encoder, weights=weights, config=config.vae),
        "vae-decoder": partial(onnx_vae.decoder, weights=weights, config=config.vae),
    }
    if config.tokenizer:
        found["tokenizer-encoder"] = partial(onnx_vit.encoder, weights=weights, config=config.tokenizer)
        found["tokenizer-decoder"] = partial(onnx_vit.decoder, weights=weights, config=config.tokenizer)
    return found


def _save(model: onnx.ModelProto, path: Path) -> list[Path]:
    """Writes a network; its files."""
    beside = path.with_name(path.name + ".data")
    # onnx would append to what is there.
    beside.unlink(missing_ok=True)
    # The size of the message itself cannot be asked for where it is too large.
    if sum(len(tensor.raw_data) for tensor in model.graph.initializer) <= LARGEST_FILE:
        onnx.save_model(model, str(path))
        return [path]
    onnx.save_model(model, str(path), save_as_external_data=True, location=beside.name)
    # onnx keeps it to its owner.
    beside.chmod(path.stat().st_mode)
    return [path, beside]


def export(path: Path, out: Path, dtype: str = "f32", storage: str | None = None) -> dict[str, Any]:
    """Writes the networks of a bundle into a folder; what `networks.json` then says.

    `dtype` is one of `DTYPES`; `storage` is that too by default, or `int8` for a bundle that is stored so.
    """
    storage = storage or dtype
    config, weights = bundle.config_of(path), Weights(path)
    if storage not in (dtype, "int8"):
        raise ValueError(f"weights can be stored as {dtype}, in which networks compute, or as int8, not as {storage}")
    if storage == "int8" and not weights.are_int8:
        raise ValueError(f"{path} is not stored as int8, and rounding it would make other networks of it; "
                         f"make an int8 bundle first: latentbit-train export --storage int8")
    out.mkdir(parents=True, exist_ok=True)
    told = about(path, config, dtype, storage)
    manifest = {**told, "networks": {}}
    for name, build in networks(config, weights).items():
        graph = Graph(name, dtype, storage == "int8")
        states = build(graph)
        sides: dict[str, Any] = graph.sides()
        if states is not None:
            sides["states"] = [asdict(state) for state in states]
        files = _save(graph.model({"latentbit": json.dumps({**told, "network": name, **sides})}), out / f"{name}.onnx")
        onnx.checker.check_model(str(files[0]))
        manifest["networks"][name] = {
            "files": [{"name": file.name, "bytes": file.stat().st_size, "sha256": digest(file)} for file in files],
            **sides,
        }
    (out / MANIFEST).write_text(json.dumps(manifest, indent=1) + "\n")
    return manifest


def main(argv: list[str] | None = None) -> None:
    """Command line."""
    p = Parser("export-onnx", __doc__)
    p.add_argument("bundle", type=Path, help="a bundle, such as models/default.safetensors")
    p.add_argument("out", type=Path, help="folder for the networks")
    p.add_argument("--dtype", choices=DTYPES, default="f32", help="what networks compute in")
    p.add_argument("--storage", choices=(*DTYPES, "int8"), help="how files hold weights: int8 keeps those of an int8 "
                   "bundle as they are, a quarter of f32, and runtimes widen them on loading (not TensorRT); "
                   "that of --dtype by default")
    args = p.parse_args(argv)
    manifest = export(args.bundle, args.out, args.dtype, args.storage)
    total = 0
    for name, network in manifest["networks"].items():
        size = sum(file["bytes"] for file in network["files"])
        total += size
        print(f"{name:<18} {size / 1e6:8.2f} MB  {len(network.get('states', []))} states")
    print(f"{'in all':<18} {total / 1e6:8.2f} MB  {args.out / MANIFEST}")

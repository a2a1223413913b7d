"""Models of the Hugging Face hub, by ``huggingface_hub`` and through its cache."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from ._latentbit import Bundle
from ._models import KNOWN, models_folder, resolve

CONFIG, WEIGHTS = "config.json", "diffusion_pytorch_model.safetensors"
BUNDLE = "latentbit.safetensors"
CARD = "README.md"


def _library() -> Any:
    try:
        import huggingface_hub

        # Some versions load it only when it is asked for.
        import huggingface_hub.constants
    except ImportError as error:
        raise ImportError("the hub needs huggingface_hub: pip install 'latentbit[hub]'") from error
    return huggingface_hub


def fetch(
    repo: str | os.PathLike[str],
    *,
    filename: str | None,
    revision: str | None,
    token: str | bool | None,
    cache_dir: str | os.PathLike[str] | None,
    local_files_only: bool,
    endpoint: str | None,
) -> Path | None:
    """The path of a model of the hub on this machine; none if it is the built-in one."""
    name = os.fspath(repo)
    if filename is None and (Path(repo).exists() or (models_folder() / name / "model.json").is_file()):
        return resolve(repo)
    hub = _library()
    offline = local_files_only or hub.constants.HF_HUB_OFFLINE
    files: tuple[str, ...] = (filename,) if filename else ()
    if name in KNOWN:
        name, files = KNOWN[name]
    elif name.count("/") != 1:
        raise ValueError(
            f"{name}: expected a repository of the hub, as in user/name, a path, or one of {', '.join(KNOWN)}"
        )
    common = {"revision": revision, "token": token, "cache_dir": cache_dir, "endpoint": endpoint}
    if not files:
        if offline:
            common_here = {key: value for key, value in common.items() if key != "endpoint"}
            folder = Path(hub.snapshot_download(name, local_files_only=True, **common_here))
            there = [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()]
        else:
            about = hub.HfApi(endpoint=endpoint, token=token).model_info(name, revision=revision)
            there = [sibling.rfilename for sibling in about.siblings or []]
        files = choose(there, f"{name}: ")
    paths = [Path(hub.hf_hub_download(name, file, local_files_only=local_files_only, **common)) for file in files]
    if len(paths) == 1:
        return paths[0]
    if len({path.parent for path in paths}) > 1:
        raise FileNotFoundError(f"{name}: the repository changed while it was read; try again")
    return paths[0].parent


def choose(files: list[str], place: str = "") -> tuple[str, ...]:
    """The files of the model in a repository: a VAE of diffusers, else the only bundle or VAE at the top."""
    for folder in ("", "vae/"):
        wanted = (folder + CONFIG, folder + WEIGHTS)
        if all(file in files for file in wanted):
            return wanted
    top = sorted(file for file in files if "/" not in file)
    if BUNDLE in top:
        return (BUNDLE,)
    vaes = [file for file in top if file.endswith(".pth") and "vae" in file.lower()]
    bundles = [file for file in top if file.endswith(".safetensors")]
    if len(vaes) == 1:
        return (vaes[0],)
    if not vaes and len(bundles) == 1:
        return (bundles[0],)
    found = ", ".join([*vaes, *bundles])
    raise FileNotFoundError(
        f"{place}{f'several files could be the model: {found}' if found else 'no file in it looks like a model'}; "
        "name one with filename="
    )


def push(
    bundle: Bundle,
    path: Path,
    repo: str,
    *,
    private: bool | None,
    token: str | bool | None,
    revision: str | None,
    message: str,
    card: str | None,
    endpoint: str | None,
) -> str:
    """Puts a model, which was read from ``path``, into a repository; returns the address of the commit."""
    hub = _library()
    api = hub.HfApi(endpoint=endpoint, token=token)
    name = api.create_repo(repo, private=private, exist_ok=True, repo_type="model").repo_id
    files = {BUNDLE if bundle.has_tokenizer else path.name: path}
    if path.is_dir():
        # As a pipeline has it, or as a VAE alone.
        folder = path if (path / CONFIG).is_file() else path / "vae"
        files = {file: folder / file for file in (CONFIG, WEIGHTS)}
    add = hub.CommitOperationAdd
    operations = [add(path_in_repo=file, path_or_fileobj=str(place)) for file, place in files.items()]
    if card is not None or not api.file_exists(name, CARD, revision=revision):
        text = model_card(bundle, name) if card is None else card
        operations.append(add(path_in_repo=CARD, path_or_fileobj=text.encode()))
    made = api.create_commit(name, operations, commit_message=message, revision=revision)
    return str(made.commit_url)


def model_card(bundle: Bundle, repo: str) -> str:
    """A model card: what the model is, and how it is used."""
    time, height, width = bundle.strides
    facts = [f"| name | {bundle.name} |", f"| SHA-256 | `{bundle.sha256}` |"]
    facts.append(f"| a latent position holds | {time} frames of {height}x{width} pixels (the first one 1 frame) |")
    facts.append(f"| channels of a latent | {bundle.latent_channels} |")
    if bundle.has_tokenizer:
        patch = "x".join(map(str, bundle.patch))
        facts.append(f"| a token | {bundle.bits} bits for {patch} latent positions (time, height, width) |")
        use = (
            f'encoder = latentbit.Encoder(latentbit.Bundle.from_pretrained("{repo}"))\n'
            'encoder.write(frames, "clip.lbit", frame_rate=25)       # frames, height, width, 3; uint8'
        )
        tags = "tags:\n- latentbit\n- video-tokenizer\n- video-compression"
        what = "A video tokenizer"
    else:
        use = (
            f'vae = latentbit.Vae(latentbit.Bundle.from_pretrained("{repo}"))\n'
            "latents = vae.encode(frames)                            # channels, latent frames, height, width"
        )
        tags = "tags:\n- latentbit\n- video-vae"
        what = "A video VAE"
    table = "\n".join(["| | |", "|---|---|", *facts])
    return (
        f"---\nlibrary_name: latentbit\n{tags}\n---\n\n# {repo}\n\n{what} for LatentBit.\n\n{table}\n\n"
        f"```python\nimport latentbit\n\n{use}\n```\n"
    )

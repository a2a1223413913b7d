"""Bundles on the Hugging Face hub, by `huggingface_hub`: with its tokens, its cache and its mirrors (`HF_ENDPOINT`).

    latentbit-train push models/wan21-small.safetensors YOU/wan21-small --card models/wan21-small.md
    latentbit-train pull YOU/wan21-small
    latentbit-train pull Wan-AI/Wan2.1-T2V-14B --file Wan2.1_VAE.pth

`pull` prints the path of the file in the cache, for `--vae`, `--tokenizer`, `--init` and `--bundle`. `latentbit models
pull` and Python's `Bundle.from_pretrained` take what `push` made.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import Any

from . import bundle
from .card import card
from .options import Parser

BUNDLE, CARD = "latentbit.safetensors", "README.md"
"""Names in a repository."""


def library() -> Any:
    """`huggingface_hub`."""
    try:
        import huggingface_hub
    except ImportError as error:
        raise ValueError("the hub needs a package: pip install 'latentbit-training[hub]'") from error
    return huggingface_hub


def repository(text: str) -> str:
    """An argument USER/NAME."""
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", text):
        raise ValueError(text)
    return text


def push(argv: list[str] | None = None) -> str:
    """Command line; the address of the commit."""
    p = Parser("push", __doc__)
    p.add_argument("bundle", type=Path, help="the bundle that export made")
    p.add_argument("repository", type=repository, help="USER/NAME, which is made if it is not there")
    p.add_argument("--card", type=Path, help="model card that export made; without one, what is there stays, and where "
                   "there is none one of the configuration alone is made")
    p.add_argument("--private", action="store_true", help="a repository that is made is for its owners alone")
    p.add_argument("--message", help="of the commit")
    args = p.parse_args(argv)
    # What is no bundle is refused before anything is sent.
    config = bundle.config_of(args.bundle)
    digest = hashlib.sha256(args.bundle.read_bytes()).hexdigest()
    told = args.card.read_text() if args.card else None
    if told is not None and digest not in told:
        raise ValueError(f"{args.card} is the card of another bundle: {args.bundle} has the SHA-256 {digest}")
    hub = library()
    api = hub.HfApi()
    name = api.create_repo(args.repository, private=args.private or None, exist_ok=True).repo_id
    if told is None and not api.file_exists(name, CARD):
        told = card(config, args.bundle, digest, {})
    add = hub.CommitOperationAdd
    operations = [add(path_in_repo=BUNDLE, path_or_fileobj=str(args.bundle))]
    if told is not None:
        operations.append(add(path_in_repo=CARD, path_or_fileobj=told.encode()))
    made = api.create_commit(name, operations, commit_message=args.message or f"Upload {config.name}")
    print(made.commit_url)
    return str(made.commit_url)


def pull(argv: list[str] | None = None) -> Path:
    """Command line; where the file is."""
    p = Parser("pull", __doc__)
    p.add_argument("repository", type=repository, help="USER/NAME")
    p.add_argument("--file", default=BUNDLE, help=f"which one, instead of {BUNDLE}")
    p.add_argument("--revision", help="branch, tag or commit, instead of the newest one")
    args = p.parse_args(argv)
    hub = library()
    try:
        path = Path(hub.hf_hub_download(args.repository, args.file, revision=args.revision))
    except hub.errors.EntryNotFoundError as error:
        raise ValueError(f"{args.repository} has no {args.file}: name a file of it with --file") from error
    if path.suffix == ".safetensors" and args.file == BUNDLE:
        bundle.config_of(path)
    print(path)
    return path

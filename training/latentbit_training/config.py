"""Model configurations, as they are stored in a bundle's metadata."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, replace
from typing import Any

BUNDLE_FORMAT = "latentbit.bundle/1"

Kernel = tuple[int, int, int]
FULL: Kernel = (3, 3, 3)
SPATIAL: Kernel = (1, 3, 3)


@dataclass(frozen=True)
class StageConfig:
    """One resolution of the VAE.

    `kernels` holds the (time, height, width) extent of the two convolutions of each residual block.
    `down_space` and `down_time` say what is halved between this stage and the next one.
    """

    channels: int
    encoder_blocks: int
    decoder_blocks: int
    kernels: tuple[Kernel, Kernel] = (FULL, FULL)
    down_space: bool = False
    down_time: bool = False


@dataclass(frozen=True)
class VaeConfig:
    """A member of the Wan VAE family."""

    stages: tuple[StageConfig, ...]
    patch: int = 1
    latent_channels: int = 16
    moments: bool = True
    """The encoder's head gives mean and log-variance (Wan) instead of the mean alone."""
    io_kernel: Kernel = FULL
    """Extent of the first and last convolution of the encoder and the decoder."""
    mid_blocks: int = 2
    mid_attention: bool = True
    latent_mean: tuple[float, ...] = ()
    latent_std: tuple[float, ...] = ()

    @property
    def strides(self) -> tuple[int, int, int]:
        """Pixels per latent position along (time, height, width)."""
        time = 2 ** sum(s.down_time for s in self.stages)
        space = self.patch * 2 ** sum(s.down_space for s in self.stages)
        return time, space, space


@dataclass(frozen=True)
class TokenizerConfig:
    """The ViT on the VAE's latent and its binary quantizer."""

    bits: int = 36
    patch: Kernel = (1, 1, 1)
    latent_channels: int = 16
    width: int = 256
    heads: int = 4
    encoder_layers: int = 4
    decoder_layers: int = 4
    mlp_ratio: int = 4
    window: Kernel | None = (4, 8, 8)
    """Attention window in tokens; none: every token of the chunk sees every other one."""
    shift: Kernel = (0, 4, 4)
    """By how much the windows of odd layers are shifted, in tokens."""
    rope_theta: float = 100.0
    quantizer: str = "lfq"
    chunk_latent_frames: int = 4


@dataclass(frozen=True)
class BundleConfig:
    """All that a bundle's metadata says."""

    name: str
    vae: VaeConfig
    tokenizer: TokenizerConfig | None = None
    training: dict[str, Any] = field(default_factory=dict)
    format: str = BUNDLE_FORMAT

    def to_json(self) -> str:
        """The text stored under the metadata key `config`."""
        return json.dumps(asdict(self), sort_keys=True)

    @staticmethod
    def from_json(text: str) -> BundleConfig:
        """Reads what `to_json` wrote."""
        raw = json.loads(text)
        if raw.get("format") != BUNDLE_FORMAT:
            raise ValueError(f"bundle format {raw.get('format')!r} is not {BUNDLE_FORMAT!r}")
        tokenizer = raw.get("tokenizer")
        return BundleConfig(
            name=raw["name"],
            vae=vae_config(raw["vae"]),
            tokenizer=tokenizer_config(tokenizer) if tokenizer else None,
            training=raw.get("training", {}),
        )


def _tuples(value: Any) -> Any:
    return tuple(_tuples(v) for v in value) if isinstance(value, list) else value


def vae_config(raw: dict[str, Any]) -> VaeConfig:
    """A `VaeConfig` from parsed JSON."""
    stages = tuple(StageConfig(**{k: _tuples(v) for k, v in stage.items()}) for stage in raw["stages"])
    return VaeConfig(stages=stages, **{k: _tuples(v) for k, v in raw.items() if k != "stages"})


def tokenizer_config(raw: dict[str, Any]) -> TokenizerConfig:
    """A `TokenizerConfig` from parsed JSON."""
    return TokenizerConfig(**{k: _tuples(v) for k, v in raw.items()})


def wan21() -> VaeConfig:
    """The architecture of the official Wan 2.1 VAE."""
    dim = 96
    return VaeConfig(
        stages=(
            StageConfig(dim, 2, 3, down_space=True),
            StageConfig(dim * 2, 2, 3, down_space=True, down_time=True),
            StageConfig(dim * 4, 2, 3, down_space=True, down_time=True),
            StageConfig(dim * 4, 2, 3),
        )
    )


def compact() -> VaeConfig:
    """The VAE of the first shipped bundle: patches of 4x4 pixels, one spatial and two temporal halvings."""
    spatial = (SPATIAL, SPATIAL)
    return VaeConfig(
        patch=4,
        moments=False,
        io_kernel=SPATIAL,
        mid_blocks=0,
        mid_attention=False,
        stages=(
            StageConfig(96, 2, 3, spatial, down_space=True, down_time=True),
            StageConfig(192, 1, 2, spatial, down_time=True),
            StageConfig(192, 1, 2, (FULL, SPATIAL)),
        ),
    )


def tiny() -> VaeConfig:
    """A VAE for tests: every mechanism of the family, a few thousand weights."""
    return replace(
        compact(),
        patch=2,
        latent_channels=4,
        moments=True,
        io_kernel=FULL,
        mid_blocks=2,
        mid_attention=True,
        stages=(
            StageConfig(8, 1, 1, (FULL, SPATIAL), down_space=True, down_time=True),
            StageConfig(16, 1, 1, down_time=True),
            StageConfig(16, 1, 2, ((3, 1, 1), SPATIAL)),
        ),
    )


VAE_PRESETS = {"wan21": wan21, "compact": compact, "tiny": tiny}

TOKENIZER_PRESETS = {
    "compact": lambda: TokenizerConfig(),
    "small": lambda: TokenizerConfig(width=448, heads=7, encoder_layers=6, decoder_layers=6),
    "large": lambda: TokenizerConfig(width=1152, heads=18, encoder_layers=9, decoder_layers=10),
    "tiny": lambda: TokenizerConfig(
        bits=10, patch=(2, 2, 2), latent_channels=4, width=32, heads=2, encoder_layers=2, decoder_layers=2,
        mlp_ratio=2, window=(2, 3, 3), shift=(1, 1, 1),
    ),
}

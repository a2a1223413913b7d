"""Model configurations, as they are stored in a bundle's metadata."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from typing import Any

BUNDLE_FORMAT = "latentbit.bundle/1"
PREDICTOR_FORMAT = "latentbit.predictor/1"

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
    decoder_channels: int | None = None
    """Channels of the decoder, where they are not those of the encoder."""

    @property
    def channels_up(self) -> int:
        """Channels of the decoder."""
        return self.channels if self.decoder_channels is None else self.decoder_channels


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
    shortcuts: bool = False
    """Parameter-free shortcuts around each stage (Wan 2.2): averages on the way down, repeats on the way up."""

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
    depth_step: int = 0
    """Planes between the depths whose error the encoder estimates for each token; 0: it has no such head."""

    @property
    def depths(self) -> tuple[int, ...]:
        """The numbers of leading planes that a token may keep: multiples of `depth_step`, and all."""
        return (*range(0, self.bits, self.depth_step or 1), self.bits)


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
        tokenizer = tokenizer_json(self.tokenizer) if self.tokenizer else None
        return json.dumps({**asdict(self), "vae": vae_json(self.vae), "tokenizer": tokenizer}, sort_keys=True)

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


@dataclass(frozen=True)
class PredictorConfig:
    """The bitwise MaskGIT predictor: a transformer over the tokens of some chunks in a row."""

    bits: int = 36
    width: int = 160
    heads: int = 5
    layers: int = 6
    mlp_ratio: int = 4
    window: Kernel | None = (16, 4, 4)
    """Attention window in tokens; time is covered whole, so that both neighbours of a lost chunk are seen."""
    shift: Kernel = (0, 2, 2)
    rope_theta: float = 100.0
    steps: int = 12
    """How many tokens in a row in time it was trained on, at most."""


@dataclass(frozen=True)
class PredictorFileConfig:
    """All that the metadata of a predictor's file says."""

    name: str
    bundle: str
    """SHA-256 of the bundle whose tokens it predicts."""
    predictor: PredictorConfig
    training: dict[str, Any] = field(default_factory=dict)
    format: str = PREDICTOR_FORMAT

    def to_json(self) -> str:
        """The text stored under the metadata key `config`."""
        return json.dumps(asdict(self), sort_keys=True)

    @staticmethod
    def from_json(text: str) -> PredictorFileConfig:
        """Reads what `to_json` wrote."""
        raw = json.loads(text)
        if raw.get("format") != PREDICTOR_FORMAT:
            raise ValueError(f"predictor format {raw.get('format')!r} is not {PREDICTOR_FORMAT!r}")
        predictor = PredictorConfig(**{k: _tuples(v) for k, v in raw["predictor"].items()})
        return PredictorFileConfig(raw["name"], raw["bundle"], predictor, raw.get("training", {}))


def _tuples(value: Any) -> Any:
    return tuple(_tuples(v) for v in value) if isinstance(value, list) else value


def vae_json(config: VaeConfig) -> dict[str, Any]:
    """What `vae_config` reads.

    Fields that came later are left out where they say nothing, so that bundles from before keep their bytes and older
    readers can read what they understand.
    """
    raw = asdict(config)
    if not raw["shortcuts"]:
        del raw["shortcuts"]
    for stage in raw["stages"]:
        if stage["decoder_channels"] is None:
            del stage["decoder_channels"]
    return raw


def vae_config(raw: dict[str, Any]) -> VaeConfig:
    """A `VaeConfig` from parsed JSON."""
    stages = tuple(StageConfig(**{k: _tuples(v) for k, v in stage.items()}) for stage in raw["stages"])
    return VaeConfig(stages=stages, **{k: _tuples(v) for k, v in raw.items() if k != "stages"})


def tokenizer_json(config: TokenizerConfig) -> dict[str, Any]:
    """What `tokenizer_config` reads; as `vae_json` it leaves out later fields that say nothing."""
    raw = asdict(config)
    if not raw["depth_step"]:
        del raw["depth_step"]
    return raw


def tokenizer_config(raw: dict[str, Any]) -> TokenizerConfig:
    """A `TokenizerConfig` from parsed JSON."""
    return TokenizerConfig(**{k: _tuples(v) for k, v in raw.items()})


def wan(
    base: int,
    decoder_base: int | None = None,
    latent_channels: int = 16,
    *,
    multiples: tuple[int, ...] = (1, 2, 4, 4),
    blocks: int = 2,
    halve_time: tuple[bool, ...] = (False, True, True),
    patch: int = 1,
    shortcuts: bool = False,
) -> VaeConfig:
    """The family's common form: all kernels of full extent, space halved between all stages.

    The encoder has `blocks` residual blocks in each stage, the decoder one more; `base` and `decoder_base` are the
    channels that `multiples` multiply.
    """
    last = len(multiples) - 1
    stages = tuple(
        StageConfig(
            base * multiple, blocks, blocks + 1, down_space=index < last, down_time=index < last and halve_time[index],
            decoder_channels=None if decoder_base in (None, base) else decoder_base * multiple,
        )
        for index, multiple in enumerate(multiples)
    )
    return VaeConfig(stages, patch, latent_channels, shortcuts=shortcuts)


# Facts of the official configurations: mean and deviation of each latent channel.
WAN21_MEAN = (
    -0.7571, -0.7089, -0.9113, 0.1075, -0.1745, 0.9653, -0.1517, 1.5508, 0.4134, -0.0715, 0.5517, -0.3632,
    -0.1922, -0.9497, 0.2503, -0.2921,
)
WAN21_STD = (
    2.8184, 1.4541, 2.3275, 2.6558, 1.2196, 1.7708, 2.6052, 2.0743, 3.2687, 2.1526, 2.8652, 1.5579,
    1.6382, 1.1253, 2.8251, 1.9160,
)
WAN22_MEAN = (
    -0.2289, -0.0052, -0.1323, -0.2339, -0.2799, 0.0174, 0.1838, 0.1557, -0.1382, 0.0542, 0.2813, 0.0891,
    0.1570, -0.0098, 0.0375, -0.1825, -0.2246, -0.1207, -0.0698, 0.5109, 0.2665, -0.2108, -0.2158, 0.2502,
    -0.2055, -0.0322, 0.1109, 0.1567, -0.0729, 0.0899, -0.2799, -0.1230, -0.0313, -0.1649, 0.0117, 0.0723,
    -0.2839, -0.2083, -0.0520, 0.3748, 0.0152, 0.1957, 0.1433, -0.2944, 0.3573, -0.0548, -0.1681, -0.0667,
)
WAN22_STD = (
    0.4765, 1.0364, 0.4514, 1.1677, 0.5313, 0.4990, 0.4818, 0.5013, 0.8158, 1.0344, 0.5894, 1.0901,
    0.6885, 0.6165, 0.8454, 0.4978, 0.5759, 0.3523, 0.7135, 0.6804, 0.5833, 1.4146, 0.8986, 0.5659,
    0.7069, 0.5338, 0.4889, 0.4917, 0.4069, 0.4999, 0.6866, 0.4093, 0.5709, 0.6065, 0.6415, 0.4944,
    0.5726, 1.2042, 0.5458, 1.6887, 0.3971, 1.0600, 0.3943, 0.5537, 0.5444, 0.4089, 0.7468, 0.7744,
)


def wan21() -> VaeConfig:
    """The official Wan 2.1 VAE."""
    return replace(wan(96), latent_mean=WAN21_MEAN, latent_std=WAN21_STD)


def wan22() -> VaeConfig:
    """The official Wan 2.2 VAE: 16 pixels to a latent position, 48 channels."""
    config = wan(160, 256, 48, patch=2, shortcuts=True)
    return replace(config, latent_mean=WAN22_MEAN, latent_std=WAN22_STD)


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


def tiny22() -> VaeConfig:
    """Wan 2.2 for tests: all of it but its width and depth."""
    config = wan(4, 6, 5, patch=2, shortcuts=True)
    return replace(config, stages=tuple(replace(s, encoder_blocks=1, decoder_blocks=1) for s in config.stages))


VAE_PRESETS: dict[str, Callable[[], VaeConfig]] = {
    "wan21": wan21, "wan22": wan22, "compact": compact, "tiny": tiny, "tiny22": tiny22,
}

TOKENIZER_PRESETS = {
    "compact": lambda: TokenizerConfig(),
    "small": lambda: TokenizerConfig(width=448, heads=7, encoder_layers=6, decoder_layers=6),
    "large": lambda: TokenizerConfig(width=1152, heads=18, encoder_layers=9, decoder_layers=10),
    "tiny": lambda: TokenizerConfig(
        bits=10, patch=(2, 2, 2), latent_channels=4, width=32, heads=2, encoder_layers=2, decoder_layers=2,
        mlp_ratio=2, window=(2, 3, 3), shift=(1, 1, 1),
    ),
}

PREDICTOR_PRESETS: dict[str, Callable[[], PredictorConfig]] = {
    "compact": PredictorConfig,
    "small": lambda: PredictorConfig(width=384, heads=6, layers=8),
    "tiny": lambda: PredictorConfig(
        bits=10, width=32, heads=2, layers=2, mlp_ratio=2, window=(4, 3, 3), shift=(0, 1, 1), steps=6,
    ),
}

"""Writes the tensors that the Rust tests compare with: `latentbit-train golden OUT_DIR`.

Everything is seeded and computed in f32 on the CPU. Tensors are stored as the Rust code has them: channels last,
without a batch axis. With `--bundle PATH --image PNG` it writes the latent and the bits of a photo instead.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from . import bundle, predictors
from .config import (
    FULL,
    PREDICTOR_PRESETS,
    TOKENIZER_PRESETS,
    VAE_PRESETS,
    BundleConfig,
    PredictorFileConfig,
    StageConfig,
    TokenizerConfig,
    VaeConfig,
)
from .maskgit import Predictor, fill
from .options import Parser
from .tokenizer import Tokenizer
from .tokens import pack
from .vae import CausalConv3d, Downsample, RmsNorm, Upsample, WanVae, fold, unfold


def small_wan() -> VaeConfig:
    """Wan 2.1 in everything but its channels."""
    dim = 4
    return VaeConfig(
        latent_channels=3,
        stages=(
            StageConfig(dim, 1, 1, down_space=True),
            StageConfig(dim * 2, 1, 1, down_space=True, down_time=True),
            StageConfig(dim * 4, 1, 1, down_space=True, down_time=True),
            StageConfig(dim * 4, 1, 1),
        ),
    )


def plain(latent_channels: int) -> VaeConfig:
    """A VAE that is hardly one, for bundles that are about their tokenizer."""
    point = (1, 1, 1)
    return VaeConfig(
        latent_channels=latent_channels, moments=False, io_kernel=point, mid_blocks=0, mid_attention=False,
        stages=(StageConfig(4, 1, 1, (point, point)),),
    )


def stir(module: nn.Module) -> None:
    """Makes gains and biases anything but trivial."""
    for name, parameter in module.named_parameters():
        if name.endswith("gamma"):
            nn.init.uniform_(parameter, 0.5, 1.5)
        elif name.endswith("bias"):
            nn.init.uniform_(parameter, -0.2, 0.2)


def statistics(config: VaeConfig) -> VaeConfig:
    """The config with a mean and a deviation for each latent channel."""
    count = config.latent_channels
    return replace(
        config,
        latent_mean=tuple(round(0.1 * c - 0.15, 3) for c in range(count)),
        latent_std=tuple(round(0.4 + 0.15 * c, 3) for c in range(count)),
    )


def last(x: Tensor) -> Tensor:
    """(1, C, T, H, W) to (T, H, W, C)."""
    return x[0].permute(1, 2, 3, 0).contiguous()


def frames(count: int, height: int, width: int) -> Tensor:
    """(1, 3, T, H, W): smooth moving colours with some noise, within -1…1."""
    t, y, x = torch.meshgrid(torch.arange(count), torch.arange(height), torch.arange(width), indexing="ij")
    waves = [torch.sin(0.31 * x + 0.17 * y * (c + 1) + 0.5 * t) for c in range(3)]
    return (0.8 * torch.stack(waves) + 0.2 * (torch.rand(3, count, height, width) * 2 - 1))[None]


def vae_tensors(vae: WanVae, size: tuple[int, int], counts: tuple[int, ...]) -> dict[str, Tensor]:
    """Frames, their latents for some lengths, and what comes back."""
    clip = frames(max(counts), *size)
    tensors = {"frames": last(clip)}
    for count in counts:
        latent = vae.normalize(vae.encode(clip[:, :, :count]))
        tensors[f"latent.{count}"] = last(latent)
        tensors[f"decoded.{count}"] = last(vae.decode(vae.denormalize(latent)))
    return tensors


def tokenizer_tensors(tokenizer: Tokenizer, sizes: tuple[tuple[int, int, int], ...],
                      kept: tuple[int, ...]) -> dict[str, Tensor]:
    """Latents, the encoder's outputs, bits, and the latents of all and of some planes."""
    tensors = {}
    for size in sizes:
        key = "x".join(map(str, size))
        latent = torch.randn(1, tokenizer.config.latent_channels, *size)
        u, grid = tokenizer.encode(latent)
        bits = u > 0
        tensors[f"latent.{key}"] = last(latent)
        tensors[f"outputs.{key}"] = u[0]
        tensors[f"bits.{key}"] = bits[0].to(torch.uint8)
        for k in kept:
            tensors[f"decoded.{key}.{k}"] = last(tokenizer.decode_bits(bits, grid, size, k))
    return tensors


def depth_tensors(tokenizer: Tokenizer, sizes: tuple[tuple[int, int, int], ...]) -> dict[str, Tensor]:
    """Latents, bits, what the depth head says of them, and the latents of tokens of many depths."""
    tensors = {}
    for size in sizes:
        key = "x".join(map(str, size))
        latent = torch.randn(1, tokenizer.config.latent_channels, *size)
        u, estimates, grid = tokenizer.analyse(latent)
        assert estimates is not None
        ladder = torch.tensor(tokenizer.config.depths)
        depths = ladder[torch.randint(len(ladder), u.shape[:2])]
        tensors[f"latent.{key}"] = last(latent)
        tensors[f"outputs.{key}"] = u[0]
        tensors[f"bits.{key}"] = (u > 0)[0].to(torch.uint8)
        tensors[f"estimates.{key}"] = estimates[0]
        tensors[f"depths.{key}"] = depths[0].to(torch.uint8)
        tensors[f"decoded.{key}"] = last(tokenizer.decode_bits(u > 0, grid, size, depths))
    return tensors


def conv_tensors() -> dict[str, Tensor]:
    """A causal convolution over a clip, and a norm with and without SiLU."""
    conv = CausalConv3d(5, 19, FULL)
    stir(conv)
    x = torch.randn(1, 5, 6, 7, 9)
    whole = unfold(conv(fold(x), 6), 6)
    norm = RmsNorm(37)
    stir(norm)
    y = torch.randn(4, 37, 3, 5)
    normed = norm(y)
    return {
        "conv.weight": conv.weight, "conv.bias": conv.bias, "conv.input": last(x), "conv.output": last(whole),
        "norm.gamma": norm.gamma, "norm.input": y.permute(0, 2, 3, 1), "norm.output": normed.permute(0, 2, 3, 1),
        "norm.silu": nn.functional.silu(normed).permute(0, 2, 3, 1),
    }


RESAMPLERS = {"space": (True, False), "time": (False, True), "both": (True, True)}


def resample_tensors() -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Weights of down- and upsampling layers, named as in a bundle, and what they make of a clip."""
    weights: dict[str, Tensor] = {}
    tensors = {"input": torch.randn(9, 6, 10, 8)}
    x = tensors["input"].permute(0, 3, 1, 2)
    for name, (space, time) in RESAMPLERS.items():
        for kind, layer in (("down", Downsample(8, space, time)), ("up", Upsample(8, space, time))):
            stir(layer)
            weights |= {f"vae.{kind}.{name}.{key}": value for key, value in layer.state_dict().items()}
            tensors[f"{kind}.{name}"] = layer(x, 9).permute(0, 2, 3, 1)
            # Cloned, because a layer that changes nothing gives back its input.
            tensors[f"{kind}.{name}.first"] = layer(x[:1], 1).permute(0, 2, 3, 1).clone()
    return weights, tensors


TOKENIZERS: dict[str, TokenizerConfig] = {
    # Windows that do not divide the grids, shifts, patches, padding.
    "windows": TOKENIZER_PRESETS["tiny"](),
    "full": replace(TOKENIZER_PRESETS["tiny"](), window=None, patch=(1, 2, 2), bits=21, width=24, heads=3),
    "bsq": replace(TOKENIZER_PRESETS["tiny"](), quantizer="bsq", patch=(1, 1, 1), window=(4, 4, 4), shift=(0, 2, 2)),
}


FILLS: dict[str, dict[str, Any]] = {
    "likeliest": {"steps": 4},
    "linear": {"steps": 3, "schedule": "linear"},
    "drawn": {"steps": 3, "temperature": 0.9, "confidence_noise": 0.7, "seed": 11},
}


def predictor_tensors(model: Predictor) -> dict[str, Tensor]:
    """A window of which some tokens and some planes are not known, its logits, and what it is filled with."""
    bits, starts = model.config.bits, torch.tensor([2, 0, 1, 0, 1])
    code = torch.where(torch.rand(len(starts), 5, 4, bits) < 0.5, 1.0, -1.0)
    known = torch.ones_like(code)
    known[2:4] = 0
    known[2, 1:3, :, :3] = 1
    known[0, 0, 0] = 0
    tensors = {
        "starts": starts.to(torch.uint8), "code": (code > 0).to(torch.uint8), "known": known.to(torch.uint8),
        "logits": model(code[None], known[None], starts[None])[0],
    }
    for name, options in FILLS.items():
        filled, _ = fill(model, code, known, starts, **options)
        tensors[f"filled.{name}"] = torch.from_numpy(pack(filled > 0).astype("int64"))
    return tensors


def write(path: Path, tensors: dict[str, Tensor]) -> None:
    """Saves tensors in the type that they have."""
    save_file({k: v.detach().contiguous() for k, v in tensors.items()}, str(path))


@torch.no_grad()
def write_all(out: Path) -> None:
    """All fixtures."""
    out.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(20)
    write(out / "operators.safetensors", conv_tensors())
    models: dict[str, tuple[WanVae, VaeConfig]] = {}
    for name, config, size, counts in (
        ("tiny", VAE_PRESETS["tiny"](), (20, 28), (1, 5, 9, 17)),
        ("small-wan", small_wan(), (24, 40), (1, 5, 9)),
    ):
        config = statistics(config)
        vae = WanVae(config).eval()
        stir(vae)
        models[name] = (vae, config)
        bundle.save(out / f"vae-{name}.safetensors", BundleConfig(name, config), vae, None, "f32")
        write(out / f"vae-{name}-tensors.safetensors", vae_tensors(vae, size, counts))
    config = plain(4)
    vae = WanVae(config).eval()
    for name, tokens in TOKENIZERS.items():
        tokenizer = Tokenizer(tokens).eval()
        stir(tokenizer)
        whole = BundleConfig(name, config, tokens, {"note": "random weights"})
        bundle.save(out / f"tokenizer-{name}.safetensors", whole, vae, tokenizer, "f32")
        sizes = ((1, 5, 7), (4, 9, 14), (5, 12, 3))
        tensors = tokenizer_tensors(tokenizer, sizes, (tokens.bits, tokens.bits // 2, 0))
        write(out / f"tokenizer-{name}-tensors.safetensors", tensors)
    # The same weights in each storage; the latent is that of the weights as stored.
    vae, config = models["tiny"]
    tokenizer = Tokenizer(TOKENIZERS["windows"]).eval()
    stir(tokenizer)
    for storage in ("int8", "bf16"):
        path = out / f"storage-{storage}.safetensors"
        bundle.save(path, BundleConfig(storage, config, TOKENIZERS["windows"]), vae, tokenizer, storage)
        _, stored, stored_tokenizer = bundle.load(path)
        assert stored_tokenizer is not None
        clip = frames(1, 16, 16)
        latent = stored.normalize(stored.encode(clip))
        u, _ = stored_tokenizer.encode(latent)
        tensors = {"frames": last(clip), "latent": last(latent), "outputs": u[0]}
        write(out / f"storage-{storage}-tensors.safetensors", tensors)
    torch.manual_seed(22)
    config = statistics(VAE_PRESETS["tiny22"]())
    vae = WanVae(config).eval()
    stir(vae)
    bundle.save(out / "vae-tiny22.safetensors", BundleConfig("tiny22", config), vae, None, "f32")
    write(out / "vae-tiny22-tensors.safetensors", vae_tensors(vae, (32, 32), (1, 5, 9)))
    torch.manual_seed(23)
    model = Predictor(PREDICTOR_PRESETS["tiny"]()).eval()
    stir(model)
    path = out / "predictor-tiny.safetensors"
    # It is for the bundle with the smallest tokenizer of as many bits.
    digest = hashlib.sha256((out / "storage-int8.safetensors").read_bytes()).hexdigest()
    predictors.save(path, PredictorFileConfig("tiny", digest, model.config, {"note": "random weights"}), model, "int8")
    write(out / "predictor-tiny-tensors.safetensors", predictor_tensors(predictors.load(path)[1]))
    torch.manual_seed(24)
    # Depths of tokens, and a head that estimates what they cost.
    tokens = replace(TOKENIZERS["windows"], depth_step=5)
    tokenizer = Tokenizer(tokens)
    stir(tokenizer)
    assert tokenizer.depth_head is not None
    nn.init.normal_(tokenizer.depth_head.weight, std=0.3)
    path = out / "tokenizer-depths.safetensors"
    bundle.save(path, BundleConfig("depths", models["tiny"][1], tokens), models["tiny"][0], tokenizer, "int8")
    stored_tokenizer = bundle.load(path)[2]
    assert stored_tokenizer is not None
    write(out / "tokenizer-depths-tensors.safetensors", depth_tensors(stored_tokenizer, ((1, 5, 7), (4, 9, 6))))
    torch.manual_seed(21)
    weights, tensors = resample_tensors()
    save_file({k: v.contiguous() for k, v in weights.items()}, str(out / "resample.safetensors"), {"config": "{}"})
    write(out / "resample-tensors.safetensors", tensors)


@torch.no_grad()
def write_photo(path: Path, image: Path, out: Path) -> None:
    """What a bundle makes of a photo, cropped to whole latent positions."""
    import numpy
    from PIL import Image

    config, vae, tokenizer = bundle.load(path)
    assert tokenizer is not None, "the bundle has no tokenizer"
    stride = config.vae.strides[1]
    pixels = torch.from_numpy(numpy.array(Image.open(image).convert("RGB")))
    pixels = pixels[: pixels.shape[0] // stride * stride, : pixels.shape[1] // stride * stride]
    clip = (pixels.float() / 127.5 - 1).permute(2, 0, 1)[None, :, None]
    latent = vae.normalize(vae.encode(clip))
    u, grid = tokenizer.encode(latent)
    bits = u > 0
    t, h, w = latent.shape[2:]
    decoded = vae.decode(vae.denormalize(tokenizer.decode_bits(bits, grid, (t, h, w))))
    out.mkdir(parents=True, exist_ok=True)
    write(out / "photo.safetensors", {
        "pixels": pixels, "latent": last(latent), "bits": bits[0].to(torch.uint8),
        "decoded": last(decoded).half(),
    })


def main(argv: list[str] | None = None) -> None:
    """Command line."""
    p = Parser("golden", __doc__)
    p.add_argument("out", type=Path, help="folder for the fixtures")
    p.add_argument("--bundle", type=Path, help="bundle whose latent and bits of a photo to write")
    p.add_argument("--image", type=Path, help="the photo, a PNG of at most 128x128")
    args = p.parse_args(argv)
    torch.set_num_threads(1)
    if args.bundle and args.image:
        write_photo(args.bundle, args.image, args.out)
    elif args.bundle or args.image:
        p.error("--bundle and --image go together")
    else:
        write_all(args.out)

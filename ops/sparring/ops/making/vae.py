"""Makes the small editor's autoencoder from nothing: 64 x 64 scenes to 8 x 8 x 16 latents and back.

It must leave objects so sharp that a square is read as a square after a round trip, because every edit passes
through it and the referee compares edits with its output.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKLQwenImage
from diffusers.models.autoencoders.autoencoder_kl_qwenimage import QwenImageCausalConv3d, QwenImageResidualBlock
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field
from torch import nn

from sparring.ops.making.fidelity import resemblance
from sparring.policies.vae import for_stills, moments, picture, to_pixels, to_signal
from sparring.samples.shapes import Scene, Shapes, World, draw, render


class VaeRecipe(BaseModel):
    """How the small autoencoder is made."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    seed: int = 0
    world: World = World(bystanders=(0, 6), grounds=("plain", "graded", "striped"))
    """Scenes that it is taught."""
    unshuffle: int = Field(4, ge=1)
    """Side of the pixel blocks that are folded into channels: most of the work is then done on a small grid."""
    width: int = Field(32, ge=1)
    """Channels at the highest resolution."""
    widths: tuple[int, ...] = (1, 2)
    """Multiples of `width` per level; each level after the first halves the resolution."""
    blocks: int = Field(2, ge=1)
    """Residual blocks per level."""
    steps: int = Field(6_500, ge=1)
    batch: int = Field(32, ge=1)
    rate: float = Field(2e-3, gt=0)
    """Peak learning rate; a cosine takes it to a hundredth."""
    warm_up: int = Field(100, ge=0)
    clip: float = Field(1.0, gt=0)
    """Largest gradient norm."""
    object_weight: float = Field(4.0, ge=1)
    """Weight of the pixels in objects' boxes, beside 1 for the ground."""
    divergence: float = Field(3e-5, ge=0)
    """Weight of the Kullback-Leibler divergence from N(0, 1), per latent element."""
    every: int = Field(500, ge=1)
    """Steps between two evaluations, each of which also saves the model."""
    exam: int = Field(128, ge=1)
    """Held-out scenes per evaluation."""


@dataclass(frozen=True)
class VaeMilestone:
    """State of the making at one evaluation.

    Attributes:
        step: optimizer steps done.
        loss: mean training loss since the last milestone.
        error: mean absolute error of held-out scenes, 0 to 255.
        median: median box similarity of held-out objects to the original.
        tenth: its tenth percentile.
        rate: images learnt per second since the beginning.
        seconds: since the beginning.
    """

    step: int
    loss: float
    error: float
    median: float
    tenth: float
    rate: float
    seconds: float


def build_vae(recipe: VaeRecipe) -> AutoencoderKLQwenImage:
    """The untrained autoencoder. Residual branches start at zero; kernels' unused temporal taps are zero for ever."""
    vae = AutoencoderKLQwenImage(
        base_dim=recipe.width,
        dim_mult=list(recipe.widths),
        num_res_blocks=recipe.blocks,
        temperal_downsample=[False] * (len(recipe.widths) - 1),
        input_channels=3 * recipe.unshuffle**2,
    )
    for module in vae.modules():
        if isinstance(module, QwenImageCausalConv3d):
            nn.init.zeros_(module.weight[:, :, :-1].detach())
        if isinstance(module, QwenImageResidualBlock):
            nn.init.zeros_(module.conv2.weight)
    return for_stills(vae)


def emphasis(scenes: list[Scene], weight: float) -> torch.Tensor:
    """Weights of pixels, float32 [batch, 1, size, size]: `weight` in and one pixel around boxes, else 1."""
    mask = np.ones((len(scenes), 1, scenes[0].size, scenes[0].size), dtype=np.float32)
    for row, scene in zip(mask, scenes, strict=True):
        for item in scene.items:
            end_x, end_y = item.x + item.size + 1, item.y + item.size + 1
            row[0, max(0, item.y - 1) : end_y, max(0, item.x - 1) : end_x] = weight
    return torch.from_numpy(mask)


def vae_loss(vae: AutoencoderKLQwenImage, recipe: VaeRecipe, scenes: list[Scene]) -> torch.Tensor:
    """Weighted absolute and squared error of the round trip, and a small divergence."""
    signal = to_signal(np.stack([render(scene) for scene in scenes]))
    mean, log_variance = moments(vae, signal, recipe.unshuffle).chunk(2, dim=1)
    log_variance = log_variance.clamp(-20, 10)
    latents = mean + (log_variance / 2).exp() * torch.randn_like(mean)
    difference = picture(vae, latents, recipe.unshuffle) - signal
    weight = emphasis(scenes, recipe.object_weight)
    error = (weight * (difference.abs() + difference.square())).sum() / (weight.sum() * 3)
    divergence = (mean.square() + log_variance.exp() - 1 - log_variance).mean() / 2
    return error + recipe.divergence * divergence


@torch.no_grad()
def round_trip(vae: AutoencoderKLQwenImage, unshuffle: int, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """uint8 [batch, height, width, 3] to the same, through the posterior's mode."""
    mean = moments(vae, to_signal(pixels), unshuffle).chunk(2, dim=1)[0]
    return to_pixels(picture(vae, mean, unshuffle))


def examine_vae(vae: AutoencoderKLQwenImage, recipe: VaeRecipe) -> tuple[float, float, float]:
    """Mean absolute error, and median and tenth percentile of objects' similarity, on held-out scenes."""
    shapes = Shapes(recipe.world, recipe.seed, "eval")
    scenes = [shapes.scene(index) for index in range(recipe.exam)]
    pixels = np.stack([render(scene) for scene in scenes])
    back = round_trip(vae, recipe.unshuffle, pixels)
    found = [
        resemblance(image, other, item.box)
        for image, other, scene in zip(pixels, back, scenes, strict=True)
        for item in scene.items
    ]
    median, tenth = np.quantile(found, (0.5, 0.1))
    return float(np.abs(pixels.astype(float) - back).mean()), float(median), float(tenth)


@torch.no_grad()
def calibrate(vae: AutoencoderKLQwenImage, recipe: VaeRecipe, count: int = 512) -> None:
    """Write the mean and standard deviation of each latent channel, over scenes, into the configuration."""
    rng = np.random.default_rng([recipe.seed, 2])
    pixels = np.stack([render(draw(rng, recipe.world)) for _ in range(count)])
    mean = moments(vae, to_signal(pixels), recipe.unshuffle).chunk(2, dim=1)[0]
    vae.register_to_config(latents_mean=mean.mean(dim=(0, 2, 3)).tolist(), latents_std=mean.std(dim=(0, 2, 3)).tolist())


def cosine(step: int, steps: int, warm_up: int) -> float:
    """Learning rate as a share of its peak: linear warm-up, then a cosine to a hundredth."""
    if step < warm_up:
        return (step + 1) / warm_up
    return 0.01 + 0.99 * (1 + math.cos(math.pi * (step - warm_up) / max(1, steps - warm_up))) / 2


def make_vae(folder: Path, recipe: VaeRecipe, progress: Callable[[VaeMilestone], None]) -> None:
    """Train the small autoencoder and write it to `folder` in diffusers' layout, with `metrics.json` beside it."""
    torch.manual_seed(recipe.seed)
    vae = build_vae(recipe)
    rng = np.random.default_rng([recipe.seed, 1])
    optimizer = torch.optim.AdamW(vae.parameters(), lr=recipe.rate, betas=(0.9, 0.98), weight_decay=0)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: cosine(step, recipe.steps, recipe.warm_up))
    began = time.monotonic()
    losses: list[float] = []
    for step in range(1, recipe.steps + 1):
        loss = vae_loss(vae, recipe, [draw(rng, recipe.world) for _ in range(recipe.batch)])
        loss.backward()
        nn.utils.clip_grad_norm_(vae.parameters(), recipe.clip)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        schedule.step()
        losses.append(loss.item())
        if step % recipe.every == 0 or step == recipe.steps:
            seconds = time.monotonic() - began
            measured = examine_vae(vae, recipe)
            milestone = VaeMilestone(step, float(np.mean(losses)), *measured, step * recipe.batch / seconds, seconds)
            save_vae(folder, vae, recipe, milestone)
            progress(milestone)
            losses = []


def save_vae(folder: Path, vae: AutoencoderKLQwenImage, recipe: VaeRecipe, milestone: VaeMilestone) -> None:
    calibrate(vae, recipe)
    vae.save_pretrained(folder)
    metrics = {"recipe": recipe.model_dump(), **asdict(milestone)}
    (folder / "metrics.json").write_text(json.dumps(metrics, indent=2) + "\n")

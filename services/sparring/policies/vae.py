"""The editor's autoencoder on single images, several times faster than as a video codec, with the same numbers.

`AutoencoderKLQwenImage` is causal in time. For the first and only frame of a still image all but the last temporal
tap of every kernel meet zero padding, so each 3D convolution equals a 2D one, and no cache of frames is needed. The
weights keep their names and shapes: `save_pretrained` writes what diffusers expects.
"""

from __future__ import annotations

import math
from typing import cast

import numpy as np
import torch
from diffusers import AutoencoderKLQwenImage
from diffusers.models.autoencoders.autoencoder_kl_qwenimage import QwenImageCausalConv3d, QwenImageRMS_norm
from numpy.typing import NDArray
from torch.nn import functional

TINY = 1e-12
"""Least norm that a pixel is divided by, as in `torch.nn.functional.normalize`."""


class StillConv(QwenImageCausalConv3d):
    """The causal 3D convolution of one frame."""

    def forward(self, x: torch.Tensor, cache_x: torch.Tensor | None = None) -> torch.Tensor:
        """float [batch, channels, 1, height, width] to the same with this layer's channels and stride."""
        assert x.shape[2] == 1, "prepared for still images"
        padding = (self._padding[2], self._padding[0])
        weight = self.weight[:, :, -1]
        return functional.conv2d(x[:, :, 0], weight, self.bias, self.stride[1:], padding)[:, :, None]


class StillNorm(QwenImageRMS_norm):
    """The same norm over channels, by one reciprocal root in place of a norm, a clamp and a division."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        wide = x.float()
        root = wide.square().sum(1, keepdim=True).clamp_min(TINY**2).rsqrt() * self.scale
        return cast(torch.Tensor, (wide * root).to(x.dtype) * self.gamma + self.bias)


def for_stills(vae: AutoencoderKLQwenImage) -> AutoencoderKLQwenImage:
    """Prepare an autoencoder, in place, for images only. Exact up to the order of sums, at any size."""
    for module in vae.modules():
        if type(module) is QwenImageCausalConv3d:
            module.__class__ = StillConv
        elif type(module) is QwenImageRMS_norm and module.channel_first:
            module.__class__ = StillNorm
    return vae


class Codec:
    """Images to normalised, packed latents and back, with a frozen autoencoder.

    Args:
        vae: changed in place by `for_stills`. One with 3 u^2 input channels gets the pixels of u x u blocks folded
            into channels; the real one has u = 1.
        patch: side of the latent blocks that make a token.
    """

    def __init__(self, vae: AutoencoderKLQwenImage, patch: int) -> None:
        self.vae = for_stills(vae).eval().requires_grad_(False)
        self.unshuffle = unshuffle = math.isqrt(vae.config.input_channels // 3)
        self.patch = patch
        self.factor = unshuffle * int(vae.spatial_compression_ratio)
        """Pixels per latent along a side."""
        shape = (1, -1, 1, 1)
        self.mean = torch.tensor(vae.config.latents_mean, device=vae.device).view(shape)
        self.std = torch.tensor(vae.config.latents_std, device=vae.device).view(shape)

    @property
    def cell(self) -> int:
        """Pixels per token along a side; sides of images are multiples of it."""
        return self.factor * self.patch

    @torch.no_grad()
    def encode(self, pixels: NDArray[np.uint8]) -> torch.Tensor:
        """uint8 [batch, height, width, 3] to float32 [batch, tokens, channels], about N(0, 1); the posterior's mode."""
        image = to_signal(pixels).to(self.vae.device, self.vae.dtype)
        latents = moments(self.vae, image, self.unshuffle).chunk(2, dim=1)[0].float()
        return pack((latents - self.mean) / self.std, self.patch)

    @torch.no_grad()
    def decode(self, packed: torch.Tensor, height: int, width: int) -> NDArray[np.uint8]:
        """float32 [batch, tokens, channels] to uint8 [batch, height, width, 3]."""
        latents = unpack(packed.float(), height // self.factor, width // self.factor, self.patch)
        latents = (latents * self.std + self.mean).to(self.vae.dtype)
        return to_pixels(picture(self.vae, latents, self.unshuffle))


def to_signal(pixels: NDArray[np.uint8]) -> torch.Tensor:
    """uint8 [batch, height, width, 3] to float32 [batch, 3, height, width], -1 to 1."""
    return torch.from_numpy(pixels).permute(0, 3, 1, 2).float().div_(127.5).sub_(1)


def to_pixels(signal: torch.Tensor) -> NDArray[np.uint8]:
    """float [batch, 3, height, width], clipped to -1 to 1, to uint8 [batch, height, width, 3]."""
    scaled = signal.float().clamp(-1, 1).add(1).mul(127.5).round().to(torch.uint8)
    return cast(NDArray[np.uint8], scaled.permute(0, 2, 3, 1).contiguous().cpu().numpy())


def moments(vae: AutoencoderKLQwenImage, signal: torch.Tensor, unshuffle: int) -> torch.Tensor:
    """Mean and log-variance of the posterior, [batch, 2 x z, h, w], of a `for_stills` autoencoder."""
    folded = functional.pixel_unshuffle(signal, unshuffle)[:, :, None]
    return cast(torch.Tensor, vae.quant_conv(vae.encoder(folded))[:, :, 0])


def picture(vae: AutoencoderKLQwenImage, latents: torch.Tensor, unshuffle: int) -> torch.Tensor:
    """The unclipped image, [batch, 3, height, width], of raw latents [batch, z, h, w]."""
    folded = vae.decoder(vae.post_quant_conv(latents[:, :, None]))[:, :, 0]
    return functional.pixel_shuffle(folded, unshuffle)


def pack(latents: torch.Tensor, patch: int) -> torch.Tensor:
    """[batch, channels, h, w] to tokens [batch, h / patch x w / patch, channels x patch x patch], row by row."""
    return functional.pixel_unshuffle(latents, patch).flatten(2).transpose(1, 2)


def unpack(packed: torch.Tensor, height: int, width: int, patch: int) -> torch.Tensor:
    """The inverse of `pack`; `height` and `width` in latents."""
    grid = packed.transpose(1, 2).unflatten(2, (height // patch, width // patch))
    return functional.pixel_shuffle(grid, patch)

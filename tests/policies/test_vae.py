"""The autoencoder on stills against stock diffusers, at the real layout and at the small one."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKLQwenImage
from diffusers.pipelines.qwenimage.pipeline_qwenimage_edit_plus import QwenImageEditPlusPipeline

from sparring.policies.vae import Codec, for_stills, moments, pack, picture, to_pixels, to_signal, unpack


def real_layout() -> AutoencoderKLQwenImage:
    """Levels, temporal strides and attention as in Qwen-Image, with fewer channels."""
    torch.manual_seed(0)
    return AutoencoderKLQwenImage(base_dim=8).eval()


def folded_layout() -> AutoencoderKLQwenImage:
    torch.manual_seed(0)
    return AutoencoderKLQwenImage(base_dim=8, dim_mult=[1, 2], temperal_downsample=[False], input_channels=48).eval()


@pytest.mark.parametrize(("height", "width"), [(64, 64), (48, 80)])
@torch.no_grad()
def test_stills_are_what_the_video_codec_makes_of_one_frame(height: int, width: int) -> None:
    stock = real_layout()
    ours = for_stills(copy.deepcopy(stock))
    signal = torch.rand(2, 3, height, width, generator=torch.Generator().manual_seed(1)) * 2 - 1
    theirs = stock.encode(signal[:, :, None]).latent_dist
    mean, log_variance = moments(ours, signal, 1).chunk(2, dim=1)
    torch.testing.assert_close(mean, theirs.mean[:, :, 0], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(log_variance.clamp(-30, 20), theirs.logvar[:, :, 0], atol=1e-5, rtol=1e-5)
    decoded = stock.decode(theirs.mean).sample[:, :, 0]
    torch.testing.assert_close(picture(ours, mean, 1).clamp(-1, 1), decoded, atol=1e-5, rtol=1e-5)


def test_gradients_are_those_of_the_video_codec() -> None:
    stock = real_layout()
    ours = for_stills(copy.deepcopy(stock))
    signal = torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(1))
    stock.encode(signal[:, :, None]).latent_dist.mean.square().sum().backward()
    moments(ours, signal, 1).chunk(2, dim=1)[0].square().sum().backward()
    for (name, theirs), mine in zip(stock.encoder.named_parameters(), ours.encoder.parameters(), strict=True):
        if theirs.grad is not None:
            assert mine.grad is not None, name
            torch.testing.assert_close(mine.grad, theirs.grad, atol=1e-4, rtol=1e-3)


def test_weights_keep_their_names() -> None:
    stock = real_layout()
    assert list(for_stills(copy.deepcopy(stock)).state_dict()) == list(stock.state_dict())


def test_tokens_are_packed_as_in_the_stock_pipeline() -> None:
    latents = torch.randn(2, 16, 6, 10, generator=torch.Generator().manual_seed(0))
    theirs = QwenImageEditPlusPipeline._pack_latents(latents, 2, 16, 6, 10)
    assert torch.equal(pack(latents, 2), theirs)
    assert torch.equal(unpack(theirs, 6, 10, 2), latents)


def test_pixels_survive_the_way_to_signals_and_back() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, size=(2, 5, 7, 3)).astype(np.uint8)
    np.testing.assert_array_equal(to_pixels(to_signal(pixels)), pixels)


@pytest.mark.parametrize(("vae", "cell"), [(real_layout, 16), (folded_layout, 16)])
def test_a_codec_knows_its_grid(vae, cell: int) -> None:  # type: ignore[no-untyped-def]
    codec = Codec(vae(), 2)
    pixels = np.zeros((1, 48, 32, 3), dtype=np.uint8)
    packed = codec.encode(pixels)
    assert codec.cell == cell
    assert packed.shape == (1, 6, 64)
    assert codec.decode(packed, 48, 32).shape == pixels.shape

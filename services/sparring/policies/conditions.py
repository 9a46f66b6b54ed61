"""What the editor's transformer is told: the original as latents, and the instruction as the text encoder reads it.

Both come from frozen weights, so they are computed once for each distinct order and remembered.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from threading import Lock

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import nn
from transformers import PreTrainedModel, ProcessorMixin

from sparring.policies.policy import Order
from sparring.policies.prompts import locate
from sparring.policies.vae import Codec

Pixels = NDArray[np.uint8]

REMEMBERED = 512
"""Conditions that are kept."""
AT_ONCE = 2**20
"""Pixels that go through the autoencoder at a time."""


@dataclass(frozen=True)
class Condition:
    """One order, encoded.

    Attributes:
        grid: tokens of the image, (rows, columns).
        original: float32 [tokens, channels]; the original's packed latents.
        text: float [length, width]; hidden states of the text encoder.
    """

    grid: tuple[int, int]
    original: torch.Tensor
    text: torch.Tensor


@dataclass(frozen=True)
class Batch:
    """Conditions of one grid, stacked.

    Attributes:
        grid: tokens of each image, (rows, columns).
        original: float32 [batch, tokens, channels].
        text: float [batch, length, width], padded on the right.
        mask: bool [batch, length], False where padded; None if nothing is.
    """

    grid: tuple[int, int]
    original: torch.Tensor
    text: torch.Tensor
    mask: torch.Tensor | None

    def velocity(self, transformer: nn.Module, x: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
        """The velocity at `x`, float32 [batch, tokens, channels], and noise level `sigma`, float32 [batch].

        As the stock pipeline has it, the original's tokens follow those of `x` along the sequence.
        """
        dtype = self.text.dtype
        shape = (1, *self.grid)
        output = transformer(
            hidden_states=torch.cat([x, self.original], 1).to(dtype),
            timestep=sigma.to(dtype),
            encoder_hidden_states=self.text,
            encoder_hidden_states_mask=self.mask,
            img_shapes=[[shape, shape]] * len(x),
            return_dict=False,
        )
        predicted: torch.Tensor = output[0][:, : x.shape[1]]
        return predicted.float()

    def repeated(self, count: int) -> Batch:
        """Each row `count` times in succession."""
        mask = None if self.mask is None else self.mask.repeat_interleave(count, 0)
        return Batch(self.grid, self.original.repeat_interleave(count, 0), self.text.repeat_interleave(count, 0), mask)


def alike(conditions: Sequence[Condition]) -> list[list[int]]:
    """Rows of conditions that have one grid, and so make a batch."""
    rows: dict[tuple[int, int], list[int]] = {}
    for row, condition in enumerate(conditions):
        rows.setdefault(condition.grid, []).append(row)
    return list(rows.values())


def stack(conditions: Sequence[Condition]) -> Batch:
    """Conditions of one grid as a batch."""
    lengths = torch.tensor([len(condition.text) for condition in conditions])
    text = nn.utils.rnn.pad_sequence([condition.text for condition in conditions], batch_first=True)
    mask = torch.arange(text.shape[1])[None] < lengths[:, None]
    original = torch.stack([condition.original for condition in conditions])
    padded = None if bool(mask.all()) else mask.to(text.device)
    return Batch(conditions[0].grid, original, text, padded)


class Conditioner:
    """Encodes orders with frozen weights.

    Args:
        codec: the autoencoder.
        encoder: a Qwen2.5-VL, of which the last hidden states are taken.
        processor: makes its inputs.
        pixels: area at which images are edited.
        view: area of the text encoder's view, pixels.
        template: its prompt, around `{instruction}` and the image's special tokens.
        drop: leading tokens that are left out; an image's tokens count as one.
    """

    def __init__(
        self,
        codec: Codec,
        encoder: PreTrainedModel,
        processor: ProcessorMixin,
        *,
        pixels: int,
        view: int,
        template: str,
        drop: int,
    ) -> None:
        self.codec = codec
        self.encoder = encoder.eval().requires_grad_(False)
        self.processor = processor
        self.pixels = pixels
        self.view = view
        self.template = template
        self.drop = drop
        self._known: OrderedDict[bytes, Condition] = OrderedDict()
        self._lock = Lock()

    def encode(self, orders: Sequence[Order]) -> list[Condition]:
        """The condition of each order; its seed does not matter."""
        with self._lock:
            return self._recall(orders)

    def _recall(self, orders: Sequence[Order]) -> list[Condition]:
        keys = [key(order) for order in orders]
        unknown = {k: order for k, order in zip(keys, orders, strict=True) if k not in self._known}
        fresh = dict(zip(unknown, self._encode(list(unknown.values())), strict=True)) if unknown else {}
        found = [fresh[k] if k in fresh else self._known[k] for k in keys]
        for k, condition in zip(keys, found, strict=True):
            self._known[k] = condition
            self._known.move_to_end(k)
        while len(self._known) > REMEMBERED:
            self._known.popitem(last=False)
        return found

    @torch.no_grad()
    def _encode(self, orders: Sequence[Order]) -> list[Condition]:
        cell = self.codec.cell
        latents = self.latents([order.image for order in orders])
        texts = self.texts(orders)
        grids = [tuple(side // cell for side in self.size(order.image)) for order in orders]
        return [
            Condition((grid[0], grid[1]), original, text)
            for grid, original, text in zip(grids, latents, texts, strict=True)
        ]

    def size(self, image: Pixels) -> tuple[int, int]:
        """Height and width at which `image` is edited."""
        return fit(image.shape[0], image.shape[1], self.pixels, self.codec.cell)

    def latents(self, images: Sequence[Pixels]) -> list[torch.Tensor]:
        """Packed latents of each image at its working size: float32 [tokens, channels]."""
        found: dict[int, torch.Tensor] = {}
        sizes = [self.size(image) for image in images]
        for size, rows in portions(sizes):
            pixels = np.stack([resized(images[row], *size) for row in rows])
            found.update(zip(rows, self.codec.encode(pixels), strict=True))
        return [found[row] for row in range(len(images))]

    def decode(self, latents: Sequence[torch.Tensor], images: Sequence[Pixels]) -> list[Pixels]:
        """Pictures of packed latents, each at the size of the image of `images` that it is an edit of."""
        found: dict[int, Pixels] = {}
        sizes = [self.size(image) for image in images]
        for size, rows in portions(sizes):
            pictures = self.codec.decode(torch.stack([latents[row] for row in rows]), *size)
            for row, picture in zip(rows, pictures, strict=True):
                found[row] = resized(picture, images[row].shape[0], images[row].shape[1])
        return [found[row] for row in range(len(images))]

    def texts(self, orders: Sequence[Order]) -> list[torch.Tensor]:
        """Hidden states of each instruction, read with its image: float [length, width]."""
        views = [Image.fromarray(self.seen(order.image)) for order in orders]
        prompts = [self.template.replace("{instruction}", order.instruction) for order in orders]
        inputs = self.processor(images=views, text=prompts, padding=True, return_tensors="pt")
        inputs = inputs.to(self.encoder.device)
        types = inputs.pop("mm_token_type_ids")
        positions = locate(inputs, types, self.encoder)
        states = self.encoder.model(**inputs, position_ids=positions, use_cache=False).last_hidden_state
        kept = after(types, inputs["attention_mask"].bool(), self.drop)
        return [row[keep] for row, keep in zip(states, kept, strict=True)]

    def seen(self, image: Pixels) -> Pixels:
        """`image` as the text encoder sees it."""
        vision = self.encoder.config.vision_config
        sides = fit(image.shape[0], image.shape[1], self.view, vision.patch_size * vision.spatial_merge_size)
        return resized(image, *sides)


def key(order: Order) -> bytes:
    """What an order's condition depends on."""
    told = f"{order.image.shape}{order.instruction}".encode()
    return hashlib.sha256(told + order.image.tobytes()).digest()


def fit(height: int, width: int, area: int, cell: int) -> tuple[int, int]:
    """Sides of about `area` and the same ratio, each a multiple of `cell`."""
    scale = (area / (height * width)) ** 0.5
    return max(1, round(height * scale / cell)) * cell, max(1, round(width * scale / cell)) * cell


def resized(image: Pixels, height: int, width: int) -> Pixels:
    """uint8 [h, w, 3] by Lanczos; the same array if it has that size."""
    if image.shape[:2] == (height, width):
        return image
    return np.asarray(Image.fromarray(image).resize((width, height), Image.Resampling.LANCZOS))


def portions(sizes: Sequence[tuple[int, int]]) -> list[tuple[tuple[int, int], list[int]]]:
    """Rows of equal size, no more than `AT_ONCE` pixels together (but one at least)."""
    parts = []
    for size in dict.fromkeys(sizes):
        rows = [row for row, other in enumerate(sizes) if other == size]
        most = max(1, AT_ONCE // (size[0] * size[1]))
        parts += [(size, rows[start : start + most]) for start in range(0, len(rows), most)]
    return parts


def after(types: torch.Tensor, mask: torch.Tensor, drop: int) -> torch.Tensor:
    """Which tokens follow the first `drop` of each row, an image counting as one: bool [batch, length].

    Args:
        types: int [batch, length]; 1 for tokens of an image.
        mask: bool [batch, length]; False where padded.
    """
    image = types == 1
    inside = torch.zeros_like(image)
    inside[:, 1:] = image[:, 1:] & image[:, :-1]
    counted = (mask & ~inside).long().cumsum(1)
    return mask & (counted > drop)

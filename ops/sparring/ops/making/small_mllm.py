"""The small defender before it has learnt anything: a Qwen2.5-VL of a million parameters, with its processor."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field
from transformers import PreTrainedTokenizerFast, Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

from sparring.ops.making.tokenizer import END, IMAGE, SIZE, VIDEO, VISION_END, VISION_START, make_tokenizer

MERGE = 2
"""Patches along each side of a visual token."""


class MllmShape(BaseModel):
    """Sizes of the small model."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    side: int = Field(64, ge=16)
    """Side of the square whose area images are brought to, pixels."""
    patch: int = Field(8, ge=1)
    """Side of a vision patch, pixels; four of them make one visual token."""
    vision_width: int = Field(96, ge=1)
    vision_layers: int = Field(2, ge=1)
    text_width: int = Field(128, ge=1)
    text_layers: int = Field(4, ge=1)
    text_mlp: int = Field(256, ge=1)
    heads: int = Field(4, ge=2)
    theta: float = Field(100.0, gt=1)
    """Base of the rotary frequencies. The images are some few patches wide, so the usual 10,000 and more would leave
    most frequencies without effect."""
    spread: float = Field(0.08, gt=0)
    """Standard deviation of the initial weights. At the usual 0.02 a model of this size stands still."""


def build(shape: MllmShape, tokenizer: PreTrainedTokenizerFast) -> Qwen2_5_VLForConditionalGeneration:
    """The untrained model, from torch's global generator."""
    ids = {name: tokenizer.convert_tokens_to_ids(name) for name in (IMAGE, VIDEO, VISION_START, VISION_END)}
    config = Qwen2_5_VLConfig(
        image_token_id=ids[IMAGE],
        video_token_id=ids[VIDEO],
        vision_start_token_id=ids[VISION_START],
        vision_end_token_id=ids[VISION_END],
        tie_word_embeddings=True,
        vision_config=vision_options(shape),
        text_config=text_options(shape, tokenizer),
    )
    return Qwen2_5_VLForConditionalGeneration(config)


def vision_options(shape: MllmShape) -> dict[str, object]:
    return {
        "depth": shape.vision_layers,
        "hidden_size": shape.vision_width,
        "intermediate_size": 2 * shape.vision_width,
        "num_heads": shape.heads,
        "patch_size": shape.patch,
        "temporal_patch_size": 1,
        "spatial_merge_size": MERGE,
        "out_hidden_size": shape.text_width,
        "fullatt_block_indexes": list(range(shape.vision_layers)),
        "initializer_range": shape.spread,
        "rope_parameters": {"rope_type": "axial", "rope_theta": shape.theta},
    }


def text_options(shape: MllmShape, tokenizer: PreTrainedTokenizerFast) -> dict[str, object]:
    # Time, row and column take turns. With three blocks, as in the large models, the columns would get the lowest
    # frequencies only.
    sections = [1] * (shape.text_width // shape.heads // 2)
    return {
        "vocab_size": SIZE,
        "hidden_size": shape.text_width,
        "intermediate_size": shape.text_mlp,
        "num_hidden_layers": shape.text_layers,
        "num_attention_heads": shape.heads,
        "num_key_value_heads": shape.heads // 2,
        "max_position_embeddings": 1024,
        "initializer_range": shape.spread,
        "bos_token_id": None,
        "eos_token_id": tokenizer.convert_tokens_to_ids(END),
        "pad_token_id": tokenizer.pad_token_id,
        "tie_word_embeddings": True,
        "rope_parameters": {"rope_type": "default", "rope_theta": shape.theta, "mrope_section": sections},
    }


def write(folder: Path, model: Qwen2_5_VLForConditionalGeneration, shape: MllmShape) -> None:
    """Write a model with its processor, for `AutoModelForImageTextToText` and `open_processor`."""
    images = Qwen2VLImageProcessorPil(
        patch_size=shape.patch,
        temporal_patch_size=1,
        merge_size=MERGE,
        size={"shortest_edge": shape.side**2, "longest_edge": shape.side**2},
        image_mean=[0.5] * 3,
        image_std=[0.5] * 3,
    )
    model.save_pretrained(folder)
    images.save_pretrained(folder)
    make_tokenizer().save_pretrained(folder)

"""Puts lessons to a small model: as tensors, as a loss, as an exam."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from transformers import PreTrainedTokenizerFast, Qwen2_5_VLForConditionalGeneration

from sparring.ops.making.lessons import Lesson
from sparring.ops.making.small_mllm import MERGE, MllmShape
from sparring.ops.making.tokenizer import ASSISTANT, END, IMAGE, USER, VISION_END, VISION_START

LONGEST = 16
"""Tokens that an answer in an exam may have."""


class Tutor:
    """Teaches and examines `model`.

    The lessons of one batch must be of one kind, so that their prompts are equally long and need no padding, and their
    images must have the size that the model was made for. Then the tensors are those of the processor, made faster.
    """

    def __init__(
        self, model: Qwen2_5_VLForConditionalGeneration, tokenizer: PreTrainedTokenizerFast, shape: MllmShape
    ) -> None:
        self._model = model
        self._tokenizer = tokenizer
        self._patch = shape.patch
        self._grid = shape.side // shape.patch
        self._image = tokenizer.convert_tokens_to_ids(IMAGE)
        self._assistant = tokenizer.convert_tokens_to_ids(ASSISTANT)

    def inputs(
        self, lessons: Sequence[Lesson], pixels: NDArray[np.uint8], *, answered: bool
    ) -> dict[str, torch.Tensor]:
        """What the model takes. `pixels` (uint8 [lessons, side, side, 3]) stand in for the lessons' own."""
        visual = VISION_START + IMAGE * (self._grid // MERGE) ** 2 + VISION_END
        texts = [f"{USER}{visual}{item.prompt}{ASSISTANT}" + (item.answer + END) * answered for item in lessons]
        tokens = torch.tensor(self._tokenizer(texts).input_ids)
        return {
            "input_ids": tokens,
            "mm_token_type_ids": torch.eq(tokens, self._image).int(),
            "pixel_values": self._patches(pixels),
            "image_grid_thw": torch.tensor([[1, self._grid, self._grid]] * len(lessons)),
        }

    def _patches(self, pixels: NDArray[np.uint8]) -> torch.Tensor:
        """float32 [lessons x patches, 3 x patch x patch], -1 to 1; those of one visual token follow each other."""
        side, patch = self._grid // MERGE, self._patch
        image = torch.from_numpy(pixels).float().div_(127.5).sub_(1)
        image = image.view(len(pixels), side, MERGE, patch, side, MERGE, patch, 3)
        return image.permute(0, 1, 4, 2, 5, 7, 3, 6).reshape(-1, 3 * patch * patch)

    def loss(self, lessons: Sequence[Lesson], pixels: NDArray[np.uint8], *, last_words: float) -> torch.Tensor:
        """Mean of the answers' token losses, in nats; the last two words before the end weigh `last_words` each."""
        inputs = self.inputs(lessons, pixels, answered=True)
        tokens = inputs["input_ids"]
        length = tokens.shape[1] - 1 - tokens[0].tolist().index(self._assistant)
        positions, _ = self._model.model.get_rope_index(
            tokens[:1], inputs.pop("mm_token_type_ids")[:1], inputs["image_grid_thw"][:1]
        )
        positions = positions.expand(-1, len(tokens), -1)
        logits = self._model(**inputs, position_ids=positions, logits_to_keep=length + 1, use_cache=False).logits
        loss = nn.functional.cross_entropy(
            logits[:, :-1].flatten(0, 1).float(), tokens[:, -length:].flatten(), reduction="none"
        )
        weight = torch.ones(length)
        weight[-3:-1] = last_words
        return (loss.view(-1, length) * weight).sum() / (len(tokens) * weight.sum())

    @torch.inference_mode()
    def examine(self, lessons: Sequence[Lesson], batch: int = 128) -> float:
        """Share of lessons whose greedy answer ends with the right letter in a box."""
        parts = (lessons[start : start + batch] for start in range(0, len(lessons), batch))
        return sum(self._right(part) for part in parts) / len(lessons)

    def _right(self, lessons: Sequence[Lesson]) -> int:
        inputs = self.inputs(lessons, np.stack([item.pixels for item in lessons]), answered=False)
        asked = inputs["input_ids"]
        tokens = self._model.generate(
            **inputs, attention_mask=torch.ones_like(asked), do_sample=False, max_new_tokens=LONGEST
        )
        texts = self._tokenizer.batch_decode(tokens[:, asked.shape[1] :], skip_special_tokens=True)
        return sum(text.endswith(rf"\boxed{{{item.letter}}}") for text, item in zip(texts, lessons, strict=True))

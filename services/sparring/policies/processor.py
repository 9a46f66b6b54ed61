"""Opens a model's processor, with or without torchvision.

`AutoProcessor` of a model that also understands video needs torchvision, even for still images. Of torchvision there
is no CPU build for Linux, so without it the parts for still images are put together here. What either gives for an
image and a text is the same.
"""

from __future__ import annotations

from pathlib import Path

from transformers import (
    AutoImageProcessor,
    AutoProcessor,
    AutoTokenizer,
    BaseImageProcessor,
    PreTrainedTokenizerBase,
    ProcessorMixin,
    Qwen2_5_VLProcessor,
)
from transformers.utils import is_torchvision_available


class StillProcessor(Qwen2_5_VLProcessor):
    """The processor of the Qwen2-VL family without its video part."""

    def __init__(
        self,
        image_processor: BaseImageProcessor,
        tokenizer: PreTrainedTokenizerBase,
        chat_template: str | None = None,
    ) -> None:
        self.image_token = getattr(tokenizer, "image_token", None) or "<|image_pad|>"
        self.video_token = getattr(tokenizer, "video_token", None) or "<|video_pad|>"
        self.image_token_id = tokenizer.convert_tokens_to_ids(self.image_token)
        self.video_token_id = tokenizer.convert_tokens_to_ids(self.video_token)
        ProcessorMixin.__init__(
            self, image_processor, tokenizer, chat_template=chat_template or tokenizer.chat_template
        )


def open_processor(folder: str | Path, *, min_pixels: int, max_pixels: int) -> ProcessorMixin:
    """The processor in `folder` (or of a hub id), for images between two areas in pixels; it pads on the left."""
    size = {"shortest_edge": min_pixels, "longest_edge": max_pixels}
    if is_torchvision_available():
        processor = AutoProcessor.from_pretrained(folder)
        processor.image_processor.size = type(processor.image_processor.size)(size)
    else:
        image_processor = AutoImageProcessor.from_pretrained(folder, size=size)
        processor = StillProcessor(image_processor, AutoTokenizer.from_pretrained(folder))
    processor.tokenizer.padding_side = "left"
    return processor

"""The small models' own tokenizer: one token per word, so that a prompt with its image is some forty tokens long.

Frequent phrases and the answer's format are single tokens. Decoded text is the same as the encoded one up to
white space and upper case.
"""

from __future__ import annotations

from tokenizers import AddedToken, Tokenizer, models, normalizers, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from sparring.samples.shapes import COLOURS, RELATIONS, SHAPES

SIZE = 128
LETTERS = "ABCD"
BINS = 8
"""Position words per axis: `x0` is the leftmost eighth of the image, `y7` the lowest."""
PAD, UNKNOWN, END, USER, ASSISTANT = "<pad>", "<unk>", "<|im_end|>", "<|user|>", "<|assistant|>"
IMAGE, VIDEO, VISION_START, VISION_END = "<|image_pad|>", "<|video_pad|>", "<|vision_start|>", "<|vision_end|>"
SPECIAL = (PAD, UNKNOWN, END, USER, ASSISTANT, IMAGE, VIDEO, VISION_START, VISION_END)
PHRASES = (
    "What is the location of the",
    "compared with the",
    r"Give the final answer in the format \boxed{X}.",
    *(f"({letter})" for letter in LETTERS),
    *(rf"\boxed{{{letter}}}" for letter in LETTERS),
)
PLAIN_WORDS = """
add replace recolour remove change make keep unchanged it its colour shape
one two another object objects distractor scene background ground
somewhere away from near far small large the a an of and with in to where is
"""
"""Words of questions and of the editor's instructions, which the same model encodes."""
WORDS = (
    *("?", ".", ",", ":", ";"),
    *(f"x{index}" for index in range(BINS)),
    *(f"y{index}" for index in range(BINS)),
    *COLOURS,
    *SHAPES,
    *RELATIONS,
    *PLAIN_WORDS.split(),
)
CHAT_TEMPLATE = (
    "{%- for message in messages -%}"
    "<|{{ message.role }}|>"
    "{%- if message.content is string -%}{{ message.content }}"
    "{%- else -%}"
    "{%- for part in message.content -%}"
    "{%- if part.type == 'image' -%}" + VISION_START + IMAGE + VISION_END + "{%- else -%}{{ part.text }}{%- endif -%}"
    "{%- endfor -%}"
    "{%- endif -%}"
    "{%- if message.role == 'assistant' -%}" + END + "{%- endif -%}"
    "{%- endfor -%}"
    "{%- if add_generation_prompt -%}" + ASSISTANT + "{%- endif -%}"
)


def vocabulary() -> dict[str, int]:
    """Token ids of all words; the rest up to `SIZE` are spare, `<extra_0>` and so on."""
    known = (*SPECIAL, *PHRASES, *WORDS)
    spare = tuple(f"<extra_{index}>" for index in range(SIZE - len(known)))
    return {word: index for index, word in enumerate((*known, *spare))}


def make_tokenizer() -> PreTrainedTokenizerFast:
    """The tokenizer with its chat template; `save_pretrained` writes both."""
    tokenizer = Tokenizer(models.WordLevel(vocabulary(), unk_token=UNKNOWN))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.add_special_tokens([AddedToken(word, normalized=False) for word in SPECIAL])
    tokenizer.add_tokens([AddedToken(phrase, normalized=False) for phrase in PHRASES])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=PAD,
        unk_token=UNKNOWN,
        eos_token=END,
        padding_side="left",
        clean_up_tokenization_spaces=False,
        chat_template=CHAT_TEMPLATE,
    )

"""How a question is put to a defender: options under letters, in an order drawn from a seed, and the wanted format.

Whoever asks, a match, a warm-up or a check, asks in these words.
"""

from __future__ import annotations

from dataclasses import dataclass
from string import ascii_uppercase

import numpy as np

from sparring.samples.sample import Sample

FORMAT = r"Give the final answer in the format \boxed{X}."


@dataclass(frozen=True)
class Prompt:
    """A question as it is put.

    Attributes:
        text: the user's turn.
        order: order[i] is the index, in the sample's options, of the option under letter i.
        letter: the right one.
    """

    text: str
    order: tuple[int, ...]
    letter: str

    @property
    def letters(self) -> str:
        return ascii_uppercase[: len(self.order)]


def shuffled(sample: Sample, seed: int) -> tuple[int, ...]:
    """An order of the options that depends on the sample and on `seed` alone; that of the source if it is to stay."""
    if not sample.shuffle:
        return tuple(range(len(sample.options)))
    words = [int(sample.digest[start : start + 8], 16) for start in range(0, 32, 8)]
    rng = np.random.default_rng([seed, *words])
    return tuple(int(index) for index in rng.permutation(len(sample.options)))


def put(sample: Sample, order: tuple[int, ...]) -> Prompt:
    """The question with its options in `order`."""
    lines = [f"({letter}) {sample.options[index]}" for letter, index in zip(ascii_uppercase, order, strict=False)]
    text = "\n".join([sample.question, *lines, FORMAT])
    return Prompt(text, order, ascii_uppercase[order.index(sample.answer)])

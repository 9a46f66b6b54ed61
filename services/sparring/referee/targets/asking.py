"""What a target that is not ours is asked, and what it says, in plain values."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Question:
    """What is asked: about an encoded image, at a temperature (0 is greedy), at most so many tokens long."""

    image: bytes
    prompt: str
    temperature: float
    max_tokens: int


@dataclass(frozen=True)
class Said:
    """One answer as it was said.

    Attributes:
        text: what the model said, without what it thought.
        finished: whether it came to its end.
        maker: the model that says it was, with its version; empty if the endpoint does not tell.
    """

    text: str
    finished: bool
    maker: str

    @property
    def empty(self) -> bool:
        return not self.text.strip()


def seed_of(seed: int, index: int) -> int:
    """The seed of one of several answers, from [0, 2^31), which every endpoint accepts."""
    return int(np.random.SeedSequence([seed, index]).generate_state(1, np.uint32)[0] >> 1)


def digest_of(makers: Iterable[str]) -> str:
    """Lower-case hex sha256 that stands, in the ledger, for the models that gave some answers."""
    return hashlib.sha256("\n".join(sorted(set(makers))).encode()).hexdigest()

"""What a policy is: something that acts, and that can say how probable an act of its own was.

Both sides of the match are policies, and the trainer knows them only by this protocol. `rollout` runs without
gradients in a service; `logprob` runs with gradients in the trainer. They are the only code that computes
log-probabilities, so that service and trainer agree.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from sparring.policies.config import AnswerSampling, EditSampling, Variant

if TYPE_CHECKING:  # orders and edits are spoken of where there is no model, too
    import torch


@dataclass(frozen=True)
class Ask:
    """One question to a defender.

    Attributes:
        image: uint8 [height, width, 3], RGB.
        prompt: the user's turn, options and format included.
        seed: makes the answers deterministic, whatever else is in the batch.
        count: answers wanted.
    """

    image: NDArray[np.uint8]
    prompt: str
    seed: int
    count: int = 1


@dataclass(frozen=True)
class Reply:
    """One sampled answer.

    Attributes:
        text: decoded without special tokens.
        tokens: int32 [length], the end token included if it was reached.
        logprobs: float32 [length], natural logarithm, under the distribution sampled from.
        finished: whether the end token was reached before `max_tokens`.
    """

    text: str
    tokens: NDArray[np.int32]
    logprobs: NDArray[np.float32]
    finished: bool


@dataclass(frozen=True)
class TokenLogprobs:
    """Log-probabilities of given answers, with gradients.

    Attributes:
        logprob: float32 [batch, length].
        entropy: float32 [batch, length], nats, without gradients.
        mask: bool [batch, length], False where an answer is shorter than `length`.
    """

    logprob: torch.Tensor
    entropy: torch.Tensor
    mask: torch.Tensor


@dataclass(frozen=True)
class Order:
    """One edit wanted from an attacker.

    Attributes:
        image: uint8 [height, width, 3], RGB.
        instruction: what the editor is told.
        seed: makes the edit deterministic, whatever else is in the batch.
    """

    image: NDArray[np.uint8]
    instruction: str
    seed: int


@dataclass(frozen=True)
class Trajectory:
    """The recorded part of a denoising path.

    Attributes:
        sigmas: float32 [steps + 1], falling from 1 to 0.
        start: first recorded step; `window` = len(logprobs) steps are recorded.
        latents: float32 [window + 1, tokens, channels], packed; entry i is the state before step start + i.
        final: float32 [tokens, channels], packed; the clean latent that was decoded.
        logprobs: float32 [window], averaged over latent elements.
        noise_level: a of the SDE.
        variant: form of the SDE.
        guidance: scale of classifier-free guidance.
    """

    sigmas: NDArray[np.float32]
    start: int
    latents: NDArray[np.float32]
    final: NDArray[np.float32]
    logprobs: NDArray[np.float32]
    noise_level: float
    variant: Variant
    guidance: float


@dataclass(frozen=True)
class Edited:
    """One edit. `image` is uint8 [height, width, 3], of the size of the original."""

    image: NDArray[np.uint8]
    trajectory: Trajectory


@dataclass(frozen=True)
class StepLogprobs:
    """Log-probabilities of recorded steps, with gradients.

    Attributes:
        logprob: float32 [batch, window], averaged over latent elements.
        mean: float32 [batch, window, tokens, channels]; the mean of the next state.
        deviation: float32 [batch, window]; its standard deviation, without gradients.
    """

    logprob: torch.Tensor
    mean: torch.Tensor
    deviation: torch.Tensor


ActT = TypeVar("ActT", contravariant=True)
ChoiceT = TypeVar("ChoiceT")
SamplingT = TypeVar("SamplingT", contravariant=True)
LogprobsT = TypeVar("LogprobsT", covariant=True)


class Policy(Protocol[ActT, ChoiceT, SamplingT, LogprobsT]):
    """Weights that can be held in several revisions at once, each under a name of its own.

    A revision is installed from a folder in PEFT layout (an adapter on the base) or Hugging Face layout (whole
    weights). The name "base" is always there. Names are never reused.

    Beside these there is at most one *learner*, the weights that are trained: an adapter, or without one the base
    itself. `logprob`, `trainable`, `adopt` (start from a revision) and `export` (write a revision) are about it.
    """

    def install(self, name: str, folder: Path) -> None: ...

    def remove(self, name: str) -> None: ...

    def rollout(self, acts: Sequence[ActT], sampling: SamplingT, name: str) -> Sequence[Sequence[ChoiceT]]: ...

    def logprob(self, acts: Sequence[ActT], choices: Sequence[ChoiceT], sampling: SamplingT) -> LogprobsT: ...

    def learner(self) -> torch.nn.Module: ...

    def adopt(self, folder: Path) -> None: ...

    def trainable(self) -> Iterator[tuple[str, torch.nn.Parameter]]: ...

    def export(self, folder: Path) -> None: ...


__all__ = [
    "AnswerSampling",
    "Ask",
    "EditSampling",
    "Edited",
    "Order",
    "Policy",
    "Reply",
    "StepLogprobs",
    "TokenLogprobs",
    "Trajectory",
]

"""What is the same for all targets that are not ours.

Such a target tells nothing of how it came to an answer, so there are no tokens and no log-probabilities. Whether it is
still the same model is known only from what its replies say: the digest of an answer stands for that, and an answer by
another model than the first is counted.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np
import structlog
from pydantic import ValidationError

from sparring.referee.errors import OpponentError, nonsense
from sparring.referee.gathering import gather_all
from sparring.referee.opponents import Answer, Answers, check_revision
from sparring.referee.targets.asking import Question, Said, digest_of, seed_of
from sparring.referee.targets.cache import AnswerCache, CacheKey
from sparring.referee.targets.caller import WHO, Caller
from sparring.referee.targets.config import OipConfig, OpenAiConfig
from sparring.referee.targets.metrics import TargetMetrics
from sparring.v1 import defender_pb2, revision_pb2

NO_TOKENS, NO_LOGPROBS = np.empty(0, np.int32), np.empty(0, np.float32)
_log = structlog.get_logger(__name__)


class ForeignTarget(ABC):
    """Answers by asking somebody else's model; a `sparring.referee.targets.target.Target`.

    Args:
        config: which.
        settings: how it is asked, everything that its answers depend on besides the question.
        caller: how it is reached.
        metrics: what is counted.
        cache: where answers are kept; None keeps none.
    """

    most = 1
    """Answers that one request may ask for."""

    def __init__(
        self,
        config: OpenAiConfig | OipConfig,
        settings: str,
        caller: Caller,
        metrics: TargetMetrics,
        cache: AnswerCache | None,
    ) -> None:
        self.name, self._host = config.name, config.place.authority
        self._settings, self._caller = settings, caller
        self._metrics, self._cache = metrics, cache
        self._maker: str | None = None

    async def answer(
        self,
        image: bytes,
        prompt: str,
        revision: revision_pb2.Revision,
        count: int,
        seed: int,
        sampling: defender_pb2.AnswerSampling,
    ) -> Answers:
        """`count` answers about an encoded image; `revision` names this target, or nobody.

        Raises:
            BadImage: the image is neither PNG, JPEG nor WEBP.
            OpponentError: there were none.
        """
        question = Question(image, prompt, sampling.temperature, sampling.max_tokens)
        said = await self._all(question, count, seed)
        self._watch(said)
        digest = digest_of(one.maker for one in said)
        check_revision(WHO, revision, [(self.name, digest)])
        answers = tuple(Answer(one.text, NO_TOKENS, NO_LOGPROBS, one.finished) for one in said)
        return Answers(answers, self.name, digest)

    async def close(self) -> None:
        """Let connections go."""
        await self._caller.close()

    @abstractmethod
    async def _ask(self, question: Question, count: int, seed: int) -> Sequence[Said]:
        """From one to `count` answers, by one request.

        Raises:
            OpponentError: there were none.
        """

    async def _all(self, question: Question, count: int, seed: int) -> list[Said]:
        """Answers from the cache, and the others by as few requests as may be, all at once."""
        keys = self._keys(question, count, seed)
        known = self._recall(keys)
        unknown = [index for index in range(count) if index not in known]
        parts = [unknown[start : start + self.most] for start in range(0, len(unknown), self.most)]
        for drawn in await gather_all(self._draw(question, keys, seed, part) for part in parts):
            known.update(drawn)
        return [known[index] for index in range(count)]

    def _keys(self, question: Question, count: int, seed: int) -> list[CacheKey]:
        asked = (f"{question.temperature!r}", f"{question.max_tokens}", f"{seed}", question.prompt)
        return AnswerCache.keys(question.image, [self.name, self._settings, *asked], count) if self._cache else []

    def _recall(self, keys: Sequence[CacheKey]) -> dict[int, Said]:
        if self._cache is None:
            return {}
        found = {index: said for index, key in enumerate(keys) if (said := self._cache.get(key)) is not None}
        self._metrics.answers(self._host, "recalled", len(found))
        return found

    async def _draw(
        self, question: Question, keys: Sequence[CacheKey], seed: int, wanted: Sequence[int]
    ) -> dict[int, Said]:
        """The answers that are wanted, each kept as soon as it is there."""
        drawn: dict[int, Said] = {}
        while left := wanted[len(drawn) :]:
            said = await self._ask(question, len(left), seed_of(seed, left[0]))
            if not 1 <= len(said) <= len(left):
                raise nonsense(WHO, f"{len(said)} answers instead of {len(left)}")
            new = dict(zip(left, said, strict=False))
            for one in said:
                self._metrics.answers(self._host, kind_of(one), 1)
            if self._cache is not None:
                await self._cache.put([(keys[index], one) for index, one in new.items() if not one.empty])
            drawn |= new
        return drawn

    def _watch(self, said: Sequence[Said]) -> None:
        """Notice answers by another model than the first."""
        for one in said:
            if self._maker is None:
                self._maker = one.maker
            if one.maker != self._maker:
                self._metrics.changed(self._host)
                _log.warning("a target's model has changed", target=self.name, first=self._maker, now=one.maker)


def unreadable(error: ValidationError, what: str) -> OpponentError:
    """The error for a reply that is not in the form that was asked for; names the first place."""
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    place = ".".join(map(str, first["loc"])) or "the body"
    return nonsense(WHO, f"what is no {what}: {place}: {first['msg']}")


def kind_of(said: Said) -> str:
    """What an answer is worth, in a word."""
    if not said.finished:
        return "truncated"
    return "empty" if said.empty else "whole"

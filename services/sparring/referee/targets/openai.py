"""Any endpoint that speaks OpenAI's chat completions."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence

from pydantic import BaseModel, Field, ValidationError

from sparring.referee.targets.asking import Question, Said
from sparring.referee.targets.cache import AnswerCache
from sparring.referee.targets.caller import Caller
from sparring.referee.targets.config import OpenAiConfig
from sparring.referee.targets.foreign import ForeignTarget, unreadable
from sparring.referee.targets.metrics import TargetMetrics
from sparring.samples.images import media_type

PATH = "/chat/completions"
SPOKEN = ("text", "output_text")
"""Parts of a message that the model says aloud; it thinks in others."""
CUT = ("length", "max_tokens")
"""Reasons to end that leave an answer unfinished."""


class _Part(BaseModel):
    type: str
    text: str | None = None
    refusal: str | None = None


class _Message(BaseModel):
    content: str | list[_Part] | None = None
    refusal: str | None = None

    @property
    def spoken(self) -> str:
        """What the model said. Its refusal is what it said, too; its `reasoning_content` is not."""
        if isinstance(self.content, list):
            said = "".join(part.text or "" for part in self.content if part.type in SPOKEN)
            refused = "".join(part.refusal or "" for part in self.content if part.type == "refusal")
            return said or refused or self.refusal or ""
        return self.content or self.refusal or ""


class _Choice(BaseModel):
    message: _Message
    finish_reason: str | None = None


class _Completion(BaseModel):
    choices: list[_Choice] = Field(min_length=1)
    model: str | None = None
    system_fingerprint: str | None = None

    @property
    def maker(self) -> str:
        return " ".join(part for part in (self.model, self.system_fingerprint) if part)


class OpenAiTarget(ForeignTarget):
    """A model behind chat completions.

    Args:
        config: which, and how it is asked.
        caller: how it is reached.
        metrics: what is counted.
        cache: where answers are kept; None keeps none.
    """

    def __init__(
        self, config: OpenAiConfig, caller: Caller, metrics: TargetMetrics, cache: AnswerCache | None = None
    ) -> None:
        settings = config.model_dump_json(include={"url", "choices", "length_field", "unsupported"})
        super().__init__(config, settings, caller, metrics, cache)
        self._config, self.most = config, config.choices

    async def _ask(self, question: Question, count: int, seed: int) -> Sequence[Said]:
        body = json.dumps(to_request(self._config, question, count, seed)).encode()
        return to_said(await self._caller.post(PATH, body, {}))


def to_request(config: OpenAiConfig, question: Question, count: int, seed: int) -> dict[str, object]:
    """The body of a request for `count` answers."""
    image = f"data:{media_type(question.image)};base64,{base64.b64encode(question.image).decode()}"
    content = [{"type": "image_url", "image_url": {"url": image}}, {"type": "text", "text": question.prompt}]
    told: dict[str, object] = {"temperature": question.temperature, "seed": seed}
    return {
        "model": config.model,
        "messages": [{"role": "user", "content": content}],
        config.length_field: question.max_tokens,
        **{name: value for name, value in told.items() if name not in config.unsupported},
        **({"n": count} if count > 1 else {}),
    }


def to_said(body: bytes) -> list[Said]:
    """What a reply says.

    Raises:
        OpponentError: it is no chat completion.
    """
    try:
        reply = _Completion.model_validate_json(body)
    except ValidationError as error:
        raise unreadable(error, "chat completion") from error
    return [Said(choice.message.spoken, choice.finish_reason not in CUT, reply.maker) for choice in reply.choices]

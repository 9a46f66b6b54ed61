"""The defender to callers who speak OpenAI's chat completions.

`POST /openai/v1/chat/completions` takes one message of the user with one image, as a data URL, and text; several texts
are joined by line breaks, and the image comes first whatever the order. `model` is `defender`, or the name of a loaded
revision; the response tells which revision answered and, as `system_fingerprint`, its digest. Without a seed each
request draws its own. `n`, `temperature`, `max_tokens` and `max_completion_tokens` mean what they mean there. What is
not supported is refused, not ignored: a system message or a conversation, images by address, streaming,
log-probabilities, tools, penalties.

KServe's own routes for this need vLLM at run time, for its types alone; ours hang in the same app.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import re
import secrets
import time
import uuid
from typing import Any

from fastapi import APIRouter

from sparring.defender.completions import ChatCompletion, ChatMessage, ChatRequest, Choice, ModelCard, ModelList
from sparring.defender.open_inference import NAME, Ask, to_request
from sparring.serving.errors import InvalidRequest, NotResident, Violation
from sparring.serving.standards.dialect import Dialect
from sparring.serving.standards.model import StandardModel, renamed
from sparring.serving.statuses import Fault, Rules
from sparring.v1 import defender_pb2
from sparring.v1.revision_pb2 import Revision

PREFIX = "/openai/v1"
LONGEST = 1024
"""Tokens of an answer, where the caller sets no limit."""
_DATA_URL = re.compile(r"data:image/[\w.+-]+;base64,", re.ASCII)
_TYPES = {"INVALID_ARGUMENT": "invalid_request_error", "RESOURCE_EXHAUSTED": "rate_limit_error"}


def chat(model: StandardModel, ask: Ask, rules: Rules) -> Dialect:
    """Chat completions by `ask`, from the revisions that `model` knows."""
    endpoints = _Endpoints(model, ask, rules)
    router = APIRouter(prefix=PREFIX)
    router.add_api_route("/chat/completions", endpoints.chat_completions, methods=["POST"])
    router.add_api_route("/models", endpoints.models)
    router.add_api_route("/models/{name:path}", endpoints.model)
    return Dialect("rest.openai", "/openai", error_body, router)


class _Endpoints:
    """A method for each path; their names are those of the methods in metrics and logs."""

    def __init__(self, model: StandardModel, ask: Ask, rules: Rules) -> None:
        self._model, self._ask, self._rules = model, ask, rules
        self._born = int(time.time())

    async def chat_completions(self, body: ChatRequest) -> ChatCompletion:
        revision = "" if body.model == NAME else body.model
        self._model.require(revision)
        place = next(index for index, part in enumerate(body.messages[0].content) if part.type == "image_url")
        with renamed(self._rules, lambda path: _field(path, place)):
            request = await asyncio.to_thread(to_answer_request, body, revision)
            return to_completion(await self._ask(request))

    async def models(self) -> ModelList:
        return ModelList(data=[self._card(name) for name in (NAME, *self._model.versions)])

    async def model(self, name: str) -> ModelCard:
        if name not in (NAME, *self._model.versions):
            raise NotResident(f"there is no model {name!r}")
        return self._card(name)

    def _card(self, name: str) -> ModelCard:
        return ModelCard(id=name, created=self._born)


def to_answer_request(body: ChatRequest, revision: str) -> defender_pb2.AnswerRequest:
    """The same request in the terms of our contract.

    Raises:
        InvalidRequest: an image that is no data URL, or a setting out of bounds.
    """
    (message,) = body.messages
    (image,) = (part.image_url.url for part in message.content if part.image_url)
    return to_request(
        to_bytes(image),
        "\n".join(part.text for part in message.content if part.text is not None),
        Revision(name=revision),
        count=body.n,
        seed=secrets.randbits(63) if body.seed is None else body.seed,
        temperature=body.temperature,
        max_tokens=next((most for most in (body.max_completion_tokens, body.max_tokens) if most is not None), LONGEST),
    )


def to_bytes(url: str) -> bytes:
    """The image in a data URL.

    Raises:
        InvalidRequest: it is another URL, or no base64. Nothing is fetched: a server that did would ask others in its
            own name for whatever a caller likes.
    """
    head = _DATA_URL.match(url)
    if head is None:
        message = (
            f"an image comes as `data:image/png;base64,...`, and nothing is fetched; this begins with {url[:20]!r}"
        )
        raise InvalidRequest([Violation("image", message, "data_url")])
    try:
        return base64.b64decode(url[head.end() :], validate=True)
    except (binascii.Error, ValueError) as error:
        raise InvalidRequest([Violation("image", f"it is not base64: {error}", "data_url")]) from error


def to_completion(response: defender_pb2.AnswerResponse) -> ChatCompletion:
    """The same answers in the terms of the protocol."""
    choices = [
        Choice(
            index=index,
            message=ChatMessage(content=answer.text),
            finish_reason="stop" if answer.finished else "length",
        )
        for index, answer in enumerate(response.answers)
    ]
    return ChatCompletion(
        id=f"chatcmpl-{uuid.uuid4().hex}",
        created=int(time.time()),
        model=response.revision.name,
        system_fingerprint=response.revision.digest,
        choices=choices,
    )


def error_body(fault: Fault) -> dict[str, Any]:
    """How the protocol tells an error. `param` is the first field to blame."""
    field = fault.violations[0].field if fault.violations else None
    kind = _TYPES.get(fault.code.name, "server_error" if fault.error_id else "api_error")
    return {"error": {"message": fault.message, "type": kind, "param": field or None, "code": fault.reason.lower()}}


def _field(path: str, place: int) -> str:
    """What the protocol calls a field of our contract; the image is part `place` of the message."""
    content = "messages[0].content"
    names = {"image": f"{content}[{place}].image_url.url", "prompt": content, "count": "n", "revision.name": "model"}
    return names.get(path, path.removeprefix("sampling."))

"""Any model behind the Open Inference Protocol, as KServe, Triton and others speak it over HTTP (REST v2)."""

from __future__ import annotations

import base64
import json
import struct
from collections.abc import Iterator, Sequence
from urllib.parse import quote

from pydantic import BaseModel, ValidationError

from sparring.referee.errors import nonsense
from sparring.referee.targets.asking import Question, Said
from sparring.referee.targets.cache import AnswerCache
from sparring.referee.targets.caller import WHO, Caller
from sparring.referee.targets.config import ImageTensor, OipConfig
from sparring.referee.targets.foreign import ForeignTarget, unreadable
from sparring.referee.targets.metrics import TargetMetrics
from sparring.referee.targets.wire import Headers

LENGTH = "inference-header-content-length"
"""Of the binary extension: how long the JSON is that stands before the tensors."""


class _Output(BaseModel):
    name: str
    datatype: str
    data: list[object] = []


class _Inference(BaseModel):
    outputs: list[_Output]
    model_name: str | None = None
    model_version: str | None = None

    @property
    def maker(self) -> str:
        return " ".join(part for part in (self.model_name, self.model_version) if part)


class OipTarget(ForeignTarget):
    """A model behind the Open Inference Protocol; the arguments are those of `OpenAiTarget`."""

    def __init__(
        self, config: OipConfig, caller: Caller, metrics: TargetMetrics, cache: AnswerCache | None = None
    ) -> None:
        mapping = {"url", "version", "image", "prompt", "parameters", "output"}
        settings = config.model_dump_json(include=mapping)
        super().__init__(config, settings, caller, metrics, cache)
        version = f"/versions/{quote(config.version, safe='')}" if config.version else ""
        self._path = f"/v2/models/{quote(config.model, safe='')}{version}/infer"
        self._config = config

    async def _ask(self, question: Question, count: int, seed: int) -> Sequence[Said]:
        body, headers = to_request(self._config, question, seed)
        return [to_said(self._config, await self._caller.post(self._path, body, headers))]


def to_request(config: OipConfig, question: Question, seed: int) -> tuple[bytes, Headers]:
    """Body and headers of a request."""
    image, tail = to_tensor(config.image, question.image)
    prompt = {
        "name": config.prompt.name,
        "datatype": "BYTES",
        "shape": filled(config.prompt.shape, 1),
        "data": [question.prompt],
    }
    wanted = {"temperature": question.temperature, "max_tokens": question.max_tokens, "seed": seed}
    names = config.parameters.model_dump()
    parameters = {names[name]: value for name, value in wanted.items() if names[name]}
    request = {"inputs": [image, prompt], "outputs": [{"name": config.output}], "parameters": parameters}
    head = json.dumps(request).encode()
    if not tail:
        return head, {}
    return head + tail, {"content-type": "application/octet-stream", LENGTH: str(len(head))}


def to_tensor(config: ImageTensor, image: bytes) -> tuple[dict[str, object], bytes]:
    """The input that takes the image, and what of it follows the JSON."""
    size = 1 if config.datatype == "BYTES" else len(image)
    tensor: dict[str, object] = {
        "name": config.name,
        "datatype": config.datatype,
        "shape": filled(config.shape, size),
    }
    if config.encoding == "base64":
        return {**tensor, "data": [base64.b64encode(image).decode()]}, b""
    # Each element of BYTES comes after its own length, four bytes, the least first.
    raw = struct.pack("<I", len(image)) + image if config.datatype == "BYTES" else image
    return {**tensor, "parameters": {"binary_data_size": len(raw)}}, raw


def filled(shape: Sequence[int], size: int) -> list[int]:
    """A shape with what fits in place of -1."""
    return [size if extent == -1 else extent for extent in shape]


def to_said(config: OipConfig, body: bytes) -> Said:
    """What a reply says.

    Raises:
        OpponentError: it has no such output, or not one text in it.
    """
    try:
        reply = _Inference.model_validate_json(body)
    except ValidationError as error:
        raise unreadable(error, "inference") from error
    named = [output for output in reply.outputs if output.name == config.output]
    if not named:
        raise nonsense(WHO, f"outputs {[output.name for output in reply.outputs]}, none called {config.output!r}")
    texts = list(flat(named[0].data))
    if named[0].datatype != "BYTES" or len(texts) != 1 or not isinstance(texts[0], str):
        raise nonsense(WHO, f"{len(texts)} elements of {named[0].datatype} in {config.output!r}, not one text")
    return Said(texts[0], True, reply.maker)


def flat(data: Sequence[object]) -> Iterator[object]:
    """The elements of nested lists; the protocol allows both."""
    for element in data:
        yield from flat(element) if isinstance(element, list) else [element]

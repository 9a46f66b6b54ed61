"""The defender as a KServe model, for callers who speak the Open Inference Protocol.

Model `defender`; its version is the name of a revision, and a request without one is answered by the active revision.

| tensor | datatype, shape | |
|---|---|---|
| input `image` | BYTES [1] | PNG, JPEG or WEBP; in JSON as base64 text |
| input `prompt` | BYTES [1] | the user's turn |
| output `text` | BYTES [count] | the answers |
| output `finished` | BOOL [count] | whether an answer reached its end |

Parameters of a request: `count`, `seed`, `temperature`, `max_tokens`; of a response: `digest`, of the revision.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeAlias

from kserve.protocol.infer_type import InferRequest
from pydantic import BaseModel, ConfigDict

from sparring.policies.config import AnswerSampling
from sparring.serving.reconciler import Reconciler
from sparring.serving.standards.inputs import Inputs, Tensor, Uint32, Uint64, read_parameters
from sparring.serving.standards.model import StandardModel
from sparring.serving.standards.outputs import Given
from sparring.serving.statuses import Rules
from sparring.serving.validation import check
from sparring.v1 import defender_pb2
from sparring.v1.revision_pb2 import Revision

NAME = "defender"
Ask: TypeAlias = Callable[[defender_pb2.AnswerRequest], Awaitable[defender_pb2.AnswerResponse]]
"""The service of our contract."""
_INPUTS = (Tensor("image", "BYTES", (1,)), Tensor("prompt", "BYTES", (1,)))
_OUTPUTS = (Tensor("text", "BYTES", (-1,)), Tensor("finished", "BOOL", (-1,)))
_FIELDS = {
    "count": "parameters.count",
    "seed": "parameters.seed",
    "sampling.temperature": "parameters.temperature",
    "sampling.max_tokens": "parameters.max_tokens",
    "revision.name": "model_version",
}


class AnswerParameters(BaseModel):
    """Of a request. The contract has the bounds."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    count: Uint32 = 1
    """Answers wanted."""
    seed: Uint64 = 0
    """Equal requests give equal answers."""
    temperature: float = AnswerSampling().temperature
    """0 is greedy."""
    max_tokens: Uint32 = AnswerSampling().max_tokens


class DefenderModel(StandardModel):
    """Passes what it is asked on to `ask`."""

    def __init__(self, ask: Ask, reconciler: Reconciler, rules: Rules) -> None:
        super().__init__(NAME, reconciler, inputs=_INPUTS, outputs=_OUTPUTS, rules=rules)
        self._ask = ask

    def field(self, path: str) -> str:
        return _FIELDS.get(path, path)

    async def answer(self, inputs: Inputs, request: InferRequest, outputs: frozenset[str]) -> Given:
        response = await self._ask(await asyncio.to_thread(_read, inputs, request))
        texts = [answer.text for answer in response.answers]
        finished = [answer.finished for answer in response.answers]
        return Given({"text": texts, "finished": finished}, response.revision)


def _read(inputs: Inputs, request: InferRequest) -> defender_pb2.AnswerRequest:
    asked = read_parameters(request, AnswerParameters)
    return to_request(
        inputs.blob("image"),
        inputs.text("prompt"),
        Revision(name=request.model_version),
        count=asked.count,
        seed=asked.seed,
        temperature=asked.temperature,
        max_tokens=asked.max_tokens,
    )


def to_request(
    image: bytes, prompt: str, revision: Revision, *, count: int, seed: int, temperature: float, max_tokens: int
) -> defender_pb2.AnswerRequest:
    """A request of our contract.

    Raises:
        InvalidRequest: it breaks the contract's rules; names the fields as the contract does.
    """
    sampling = defender_pb2.AnswerSampling(temperature=temperature, max_tokens=max_tokens)
    request = defender_pb2.AnswerRequest(
        image=image, prompt=prompt, revision=revision, count=count, seed=seed, sampling=sampling
    )
    check(request)
    return request

"""The attacker as a KServe model, for callers who speak the Open Inference Protocol.

Model `attacker`; its version is the name of a revision, and a request without one is answered by the active revision.
An attacker without an editor has no versions, refuses an `instruction`, and gives the original itself as `control`.

| tensor | datatype, shape | |
|---|---|---|
| input `image` | BYTES [1] | PNG, JPEG or WEBP; in JSON as base64 text |
| input `attack` | BYTES [1] | name of an attack without a model |
| input `instruction` | BYTES [1] | what the trained editor is told to do; either this or `attack` |
| input `seed` | INT64 [n] | one edit for each; without it, one of seed 0 |
| input `boxes` | FP32 [targets, 4] | what to keep off: x, y, width, height, pixels; may be missing |
| input `names` | BYTES [targets] | what the boxes hold; comes with `boxes` |
| output `image` | BYTES [n] | the edits, PNG; in JSON as base64 text; empty where there was nothing to do |
| output `reason` | BYTES [n] | why there was nothing to do; empty where there is an edit |
| output `control` | BYTES [1] | the original through the VAE alone, PNG; not made if only `image` is asked for |

Parameters of a request with an instruction are the fields of `EditSampling`, with its defaults; a response's is
`digest`, of the revision.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from typing import TypeAlias

from kserve.protocol.infer_type import InferRequest
from pydantic import BaseModel, ConfigDict

from sparring.policies.config import EditSampling
from sparring.serving.errors import BadTensor, InvalidRequest, TooLarge, Violation
from sparring.serving.standards.inputs import Inputs, Tensor, read_parameters
from sparring.serving.standards.loaded import Loaded
from sparring.serving.standards.model import StandardModel
from sparring.serving.standards.outputs import Given, Values
from sparring.serving.statuses import Rules
from sparring.serving.validation import check
from sparring.v1 import attacker_pb2, sample_pb2
from sparring.v1.revision_pb2 import Revision

NAME = "attacker"
Edit: TypeAlias = Callable[[attacker_pb2.EditRequest], AsyncGenerator[attacker_pb2.EditResponse, None]]
"""The service of our contract."""
_INPUTS = (
    Tensor("image", "BYTES", (1,)),
    Tensor("attack", "BYTES", (1,)),
    Tensor("instruction", "BYTES", (1,)),
    Tensor("seed", "INT64", (-1,)),
    Tensor("boxes", "FP32", (-1, 4)),
    Tensor("names", "BYTES", (-1,)),
)
_OUTPUTS = (Tensor("image", "BYTES", (-1,)), Tensor("reason", "BYTES", (-1,)), Tensor("control", "BYTES", (1,)))
_MOST_SEEDS, _MOST_TARGETS = 1024, 64
"""As many as the contract takes."""
_FIELDS = {
    "targets": "boxes",
    "seeds": "seed",
    "procedural.name": "attack",
    "learned.instruction": "instruction",
    "learned.revision.name": "model_version",
}


class _NoParameters(BaseModel):
    """Of a request for an attack without a model."""

    model_config = ConfigDict(extra="forbid")


class AttackerModel(StandardModel):
    """Passes what it is asked on to `edit`.

    Args:
        most_bytes: of all images of a response together.
    """

    def __init__(self, edit: Edit, loaded: Loaded, rules: Rules, most_bytes: int) -> None:
        super().__init__(NAME, loaded, inputs=_INPUTS, outputs=_OUTPUTS, rules=rules)
        self._edit, self._most = edit, most_bytes

    def field(self, path: str) -> str:
        if path.startswith("targets["):
            index, _, part = path.removeprefix("targets").partition(".")
            return f"{'names' if part == 'name' else 'boxes'}{index}"
        return _FIELDS.get(path, path.replace("learned.sampling", "parameters"))

    async def answer(self, inputs: Inputs, request: InferRequest, outputs: frozenset[str]) -> Given:
        wanted = await asyncio.to_thread(_read, inputs, request, "control" in outputs)
        made: list[attacker_pb2.EditResponse] = []
        left = self._most
        async with aclosing(self._edit(wanted)) as replies:
            async for reply in replies:
                made.append(reply)
                left -= len(reply.edit.image) + len(reply.control.image)
                if left < 0:
                    raise TooLarge(f"the images have more than {self._most} bytes; ask for fewer at once")
        return _given(made)


def _given(replies: Sequence[attacker_pb2.EditResponse]) -> Given:
    """What a caller gets: for each seed an image or a reason, and the control."""
    edits = [reply for reply in replies if not reply.HasField("control")]
    outputs: dict[str, Values] = {
        "image": [reply.edit.image for reply in edits],
        "reason": [reply.no_edit.reason for reply in edits],
    }
    if len(edits) < len(replies):
        outputs["control"] = [replies[0].control.image]
    return Given(outputs, edits[0].edit.revision)


def _read(inputs: Inputs, request: InferRequest, control: bool) -> attacker_pb2.EditRequest:
    """A request of our contract.

    Raises:
        BadTensor, InvalidRequest: a tensor or parameter is wrong.
    """
    if ("attack" in inputs) == ("instruction" in inputs):
        raise BadTensor("attack", "send either `attack` or `instruction`")
    wanted = attacker_pb2.EditRequest(
        image=inputs.blob("image"), seeds=_seeds(inputs), targets=_targets(inputs), control=control
    )
    if "attack" in inputs:
        read_parameters(request, _NoParameters)
        wanted.procedural.name = inputs.text("attack")
    else:
        wanted.learned.CopyFrom(_learned(inputs, request))
    check(wanted)
    return wanted


def _seeds(inputs: Inputs) -> list[int]:
    seeds = [int(seed) for seed in inputs.numbers("seed", _MOST_SEEDS).ravel()] if "seed" in inputs else [0]
    if min(seeds, default=0) < 0:
        raise BadTensor("seed", f"{min(seeds)} is negative")
    return seeds


def _targets(inputs: Inputs) -> list[sample_pb2.Target]:
    if "boxes" not in inputs and "names" not in inputs:
        return []
    boxes, names = inputs.numbers("boxes", 4 * _MOST_TARGETS), inputs.texts("names", _MOST_TARGETS)
    if boxes.shape != (len(names), 4):
        raise BadTensor("boxes", f"shape {list(boxes.shape)}, expected {[len(names), 4]}: x, y, width, height by name")
    places = [sample_pb2.Box(x=x, y=y, width=width, height=height) for x, y, width, height in boxes.tolist()]
    return [sample_pb2.Target(name=name, box=box) for name, box in zip(names, places, strict=True)]


def _learned(inputs: Inputs, request: InferRequest) -> attacker_pb2.LearnedAttack:
    asked = read_parameters(request, EditSampling)
    given = asked.model_dump(exclude={"variant"})
    try:
        sampling = attacker_pb2.EditSampling(variant=f"SDE_VARIANT_{asked.variant.upper()}", **given)
    except ValueError as error:
        raise InvalidRequest([Violation("parameters", str(error), "range")]) from error
    return attacker_pb2.LearnedAttack(
        revision=Revision(name=request.model_version), instruction=inputs.text("instruction"), sampling=sampling
    )

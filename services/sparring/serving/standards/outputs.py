"""What a model gives, in the form that its caller asked for: as a list, or as bytes behind the message."""

from __future__ import annotations

import base64
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from kserve import InferOutput, InferRequest, InferResponse

from sparring.serving.errors import BadTensor
from sparring.serving.standards.inputs import Tensor
from sparring.v1.revision_pb2 import Revision

Values = Sequence[bytes] | Sequence[str] | Sequence[bool]
_JSON_FILE = {"content_type": "base64"}
"""Parameter of an output whose elements are files, written as text."""


@dataclass(frozen=True)
class Given:
    """An answer. In `outputs`, bytes are files."""

    outputs: Mapping[str, Values]
    revision: Revision


def wanted(request: InferRequest, tensors: Iterable[Tensor]) -> frozenset[str]:
    """Names of the outputs that a caller asks for; all, if it names none.

    Raises:
        BadTensor: one is not known.
    """
    known = frozenset(tensor.name for tensor in tensors)
    asked = frozenset(output.name for output in request.request_outputs or ())
    for name in sorted(asked - known):
        raise BadTensor(name, f"there is no such output; there are {sorted(known)}")
    return asked or known


def to_response(request: InferRequest, model: str, tensors: Iterable[Tensor], given: Given) -> InferResponse:
    """The response to `request`, with the wanted ones of the given outputs."""
    names = wanted(request, tensors)
    datatypes = {tensor.name: tensor.datatype for tensor in tensors}
    return InferResponse(
        response_id=request.id or str(uuid.uuid4()),
        model_name=model,
        model_version=given.revision.name,
        parameters={"digest": given.revision.digest} if given.revision.digest else None,
        infer_outputs=[
            _output(request, name, datatypes[name], values) for name, values in given.outputs.items() if name in names
        ],
        requested_outputs=request.request_outputs,
        use_binary_outputs=request.use_binary_outputs,
    )


def _output(request: InferRequest, name: str, datatype: str, values: Values) -> InferOutput:
    files = [value for value in values if isinstance(value, bytes)]
    if files and not _holds_bytes(request, name):
        texts = [base64.b64encode(file).decode() for file in files]
        return InferOutput(name, [len(texts)], datatype, texts, dict(_JSON_FILE))
    return InferOutput(name, [len(values)], datatype, list(values))


def _holds_bytes(request: InferRequest, name: str) -> bool:
    """Whether an output travels as bytes, so that files need not be written as text."""
    if request.from_grpc:
        return True
    for output in request.request_outputs or ():
        if output.name == name:
            return bool(output.binary_data)
    return bool(request.use_binary_outputs)

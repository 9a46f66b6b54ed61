"""KServe's data plane over one model, without what must not be done from outside, and with what it leaves out.

What differs from KServe's own: readiness is the model's, not the process's; revisions are versions; binary tensors over
HTTP may hold any bytes; weights are set by `sparring.v1.Weights` alone, so that no caller can unload the model.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib import metadata
from typing import Any

from kserve import InferRequest, ModelRepository
from kserve.constants.constants import INFERENCE_CONTENT_LENGTH_HEADER
from kserve.protocol.dataplane import DataPlane
from kserve.protocol.model_repository_extension import ModelRepositoryExtension
from kserve.protocol.rest.v2_datamodels import InferenceRequest
from pydantic import ValidationError

from sparring.serving.errors import InvalidRequest, Unsupported, Violation
from sparring.serving.standards.model import StandardModel
from sparring.serving.standards.violations import to_violation


class Plane(DataPlane):
    """Serves `model` alone."""

    def __init__(self, model: StandardModel) -> None:
        repository = ModelRepository()
        repository.update(model)
        super().__init__(repository)
        self._model = model

    def metadata(self) -> dict[str, Any]:
        return {"name": "sparring", "version": metadata.version("sparring"), "extensions": ["binary_tensor_data"]}

    async def ready(self) -> bool:
        return await self._model.healthy()

    async def model_metadata(self, model_name: str) -> dict[str, Any]:
        return {**await super().model_metadata(model_name), "versions": self._model.versions}

    def require(self, model_name: str, version: str) -> None:
        """Refuse a model or version that is not there, or not ready."""
        self.get_model_from_registry(model_name)
        self._model.require(version)

    def decode_inference_request(
        self, body: bytes | InferenceRequest, headers: Mapping[str, str], model_name: str
    ) -> InferRequest:
        if isinstance(body, bytes):
            return _unpack(body, headers.get(INFERENCE_CONTENT_LENGTH_HEADER, ""), model_name)
        return InferRequest.from_inference_request(body, model_name)


class Fixed(ModelRepositoryExtension):
    """A repository that nobody changes through a standard."""

    async def load(self, model_name: str) -> None:
        raise Unsupported("weights are loaded by sparring.v1.Weights/SetTarget")

    async def unload(self, model_name: str) -> None:
        raise Unsupported("weights are unloaded by sparring.v1.Weights/SetTarget")


def _unpack(body: bytes, length: str, model_name: str) -> InferRequest:
    """A request in JSON with the bytes of its tensors behind it.

    Raises:
        InvalidRequest: the JSON or the sizes are wrong.
    """
    if not length.isdecimal() or int(length) > len(body):
        raise _bad(INFERENCE_CONTENT_LENGTH_HEADER, f"{length!r} is not the length of JSON that the body begins with")
    head = _head(body[: int(length)])
    request = InferRequest.from_inference_request(head, model_name)
    return InferRequest(
        model_name,
        request.inputs,
        request_id=request.id,
        raw_inputs=_raws(head, body[int(length) :]),
        parameters=request.parameters,
        request_outputs=request.request_outputs,
    )


def _head(text: bytes) -> InferenceRequest:
    try:
        given = json.loads(text)
        for tensor in given["inputs"]:
            tensor.setdefault("data", [])  # KServe's form of a tensor must have some; its bytes follow
        return InferenceRequest.model_validate(given)
    except ValidationError as error:
        raise InvalidRequest([to_violation(one) for one in error.errors()]) from error
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        message = f"the body does not begin with a request in JSON: {type(error).__name__} {error}"
        raise _bad("inputs", message) from error


def _raws(head: InferenceRequest, tail: bytes) -> list[bytes | None]:
    """The bytes of each tensor; None for one that is a list in the JSON."""
    raws: list[bytes | None] = []
    at = 0
    for index, tensor in enumerate(head.inputs):
        size = (tensor.parameters or {}).get("binary_data_size")
        if size is not None and (type(size) is not int or not 0 <= size <= len(tail) - at):
            raise _bad(f"inputs[{index}].parameters.binary_data_size", f"{size}, but {len(tail) - at} bytes are left")
        raws.append(None if size is None else tail[at : at + size])
        at += size or 0
    if at != len(tail):
        raise _bad("inputs", f"{len(tail) - at} bytes of the body belong to no tensor")
    return raws


def _bad(field: str, message: str) -> InvalidRequest:
    return InvalidRequest([Violation(field, message, "binary_tensor_data")])

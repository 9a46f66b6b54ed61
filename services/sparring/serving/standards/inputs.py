"""What a request of the Open Inference Protocol holds; every size is checked before anything is made of it.

KServe's own decoding of BYTES makes as many objects as a message has room for, and takes no binary tensor over HTTP
that is not UTF-8, so that images could not be sent. So the elements are read here.

Over gRPC an image is its bytes. In JSON, which holds no bytes, it is base64 text.
"""

from __future__ import annotations

import base64
import binascii
import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeVar

import numpy as np
from kserve import InferInput, InferRequest
from kserve.protocol.infer_type import to_http_parameters
from numpy.typing import NDArray
from pydantic import BaseModel, Field, ValidationError

from sparring.serving.errors import BadTensor, InvalidRequest
from sparring.serving.standards.violations import to_violation

Datatype = Literal["BYTES", "FP32", "INT64", "BOOL"]
Uint32 = Annotated[int, Field(ge=0, lt=2**32)]
Uint64 = Annotated[int, Field(ge=0, lt=2**64)]
"""What a message of our contract has room for; its own rules are narrower."""
ParametersT = TypeVar("ParametersT", bound=BaseModel)

_NUMBERS: dict[str, tuple[np.dtype[Any], type]] = {
    "FP32": (np.dtype("<f4"), float),
    "INT64": (np.dtype("<i8"), int),
}
"""How numbers are laid out in bytes, and what they are in a list."""
_TRANSPORT = {"binary_data_output"}
"""Parameters that tell KServe, not the model, what to do."""


@dataclass(frozen=True)
class Tensor:
    """What a model takes or gives. In `shape`, -1 stands for any number."""

    name: str
    datatype: Datatype
    shape: tuple[int, ...]

    def metadata(self) -> dict[str, Any]:
        """As KServe wants it."""
        return {"name": self.name, "datatype": self.datatype, "shape": list(self.shape)}


class Inputs:
    """The input tensors of a request.

    Args:
        request: from outside, so anything.
        tensors: those that the model knows.

    Raises:
        BadTensor: one is unknown, of another datatype than it should be, or there twice.
    """

    def __init__(self, request: InferRequest, tensors: Sequence[Tensor]) -> None:
        known = {tensor.name: tensor for tensor in tensors}
        self._held: dict[str, InferInput] = {}
        for tensor in request.inputs:
            if tensor.name not in known:
                raise BadTensor(tensor.name, f"there is no such input; there are {sorted(known)}")
            if tensor.datatype != known[tensor.name].datatype:
                raise BadTensor(tensor.name, f"datatype {tensor.datatype}, expected {known[tensor.name].datatype}")
            if tensor.name in self._held:
                raise BadTensor(tensor.name, "it is there twice")
            self._held[tensor.name] = tensor

    def __contains__(self, name: str) -> bool:
        return name in self._held

    def blob(self, name: str) -> bytes:
        """The one file in a BYTES tensor.

        Raises:
            BadTensor: it is missing, not one, or not base64 where it must be.
        """
        element = self._one(name)
        if isinstance(element, bytes):
            return element
        try:
            return base64.b64decode(element, validate=True)
        except (binascii.Error, ValueError, TypeError) as error:
            raise BadTensor(name, f"in JSON a file is base64 text: {error}") from error

    def text(self, name: str) -> str:
        """The one text in a BYTES tensor.

        Raises:
            BadTensor: it is missing, not one, or not UTF-8.
        """
        return _text(name, self._one(name))

    def texts(self, name: str, most: int) -> list[str]:
        """The texts in a BYTES tensor.

        Raises:
            BadTensor: it is missing, has more than `most`, or one is not UTF-8.
        """
        return [_text(name, element) for element in self._elements(name, most)]

    def numbers(self, name: str, most: int) -> NDArray[Any]:
        """The array in an FP32 or INT64 tensor.

        Raises:
            BadTensor: it is missing, has more than `most` elements, or others than its datatype says.
        """
        tensor = self._tensor(name)
        dtype, kind = _NUMBERS[tensor.datatype]
        count = _count(tensor, most)
        if (raw := _raw(tensor)) is not None:
            if len(raw) != count * dtype.itemsize:
                raise BadTensor(name, f"{len(raw)} bytes for shape {tensor.shape} of {tensor.datatype}")
            return np.frombuffer(raw, dtype).reshape(tensor.shape)
        elements = _flat(tensor)
        wrong = [element for element in elements if not _is(element, kind)]
        if wrong or len(elements) != count:
            raise BadTensor(name, f"{tensor.datatype} of shape {tensor.shape} expected, got {len(elements)} elements")
        try:
            return np.array(elements, dtype).reshape(tensor.shape)
        except OverflowError as error:
            raise BadTensor(name, str(error)) from error

    def _tensor(self, name: str) -> InferInput:
        if name not in self._held:
            raise BadTensor(name, "this input is missing")
        return self._held[name]

    def _one(self, name: str) -> bytes | str:
        elements = self._elements(name, 1)
        if not elements:
            raise BadTensor(name, "it is empty")
        return elements[0]

    def _elements(self, name: str, most: int) -> list[bytes | str]:
        tensor = self._tensor(name)
        count, raw = _count(tensor, most), _raw(tensor)
        elements = _flat(tensor) if raw is None else _split(name, raw, count)
        if len(elements) != count:
            raise BadTensor(name, f"{len(elements)} elements for shape {list(tensor.shape)}")
        return elements


def read_parameters(request: InferRequest, kind: type[ParametersT]) -> ParametersT:
    """The parameters of a request. gRPC's have no floating-point numbers, so that text is taken for them.

    Raises:
        InvalidRequest: one is unknown or wrong; names it `parameters.NAME`.
    """
    given = to_http_parameters(request.parameters or {})
    try:
        return kind.model_validate({name: value for name, value in given.items() if name not in _TRANSPORT})
    except ValidationError as error:
        raise InvalidRequest([to_violation(one, "parameters") for one in error.errors()]) from error


def _raw(tensor: InferInput) -> bytes | None:
    """What came as bytes behind the message. KServe's only public way to it makes objects without bound."""
    raw: bytes | None = tensor._raw_data
    return raw


def _count(tensor: InferInput, most: int) -> int:
    """How many elements the shape says there are."""
    shape = tuple(tensor.shape)
    count = math.prod(shape)
    if min(shape, default=0) < 0 or count > most:
        raise BadTensor(tensor.name, f"shape {list(shape)}; at most {most} elements are accepted")
    return count


def _flat(tensor: InferInput) -> list[Any]:
    """The elements of a tensor that came as a list, which JSON allows to be nested as the shape is."""
    elements = list(tensor.data or ())
    for _ in tensor.shape[1:]:
        if not any(isinstance(element, list) for element in elements):
            break
        elements = [part for element in elements for part in (element if isinstance(element, list) else [element])]
    return elements


def _split(name: str, raw: bytes, most: int) -> list[bytes | str]:
    """Elements of which each follows its length, four bytes, little-endian."""
    elements: list[bytes | str] = []
    at = 0
    while at < len(raw):
        if len(elements) == most or len(raw) - at < 4:
            raise BadTensor(name, f"{len(raw)} bytes do not make {most} elements")
        (length,) = struct.unpack_from("<I", raw, at)
        at += 4 + length
        if at > len(raw):
            raise BadTensor(name, f"an element of {length} bytes ends {at - len(raw)} bytes past the tensor")
        elements.append(raw[at - length : at])
    return elements


def _is(element: object, kind: type) -> bool:
    return isinstance(element, int | kind) and not isinstance(element, bool)


def _text(name: str, element: bytes | str) -> str:
    try:
        # Encoded and decoded, because a text in JSON may hold half of a character, which no message can.
        return (element.encode() if isinstance(element, str) else element).decode()
    except (UnicodeError, AttributeError) as error:
        raise BadTensor(name, f"it is not text in UTF-8: {error}") from error

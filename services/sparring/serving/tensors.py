"""Tensors on the wire: dtype, shape and raw little-endian bytes, checked on arrival. Never pickle."""

from __future__ import annotations

import math
from typing import cast, overload

import numpy as np
from numpy.typing import NDArray

from sparring.serving.errors import BadTensor
from sparring.v1.tensor_pb2 import Dtype, Tensor

Array = NDArray[np.float32] | NDArray[np.int32]

_DTYPES = {Dtype.DTYPE_FLOAT32: np.dtype(np.float32), Dtype.DTYPE_INT32: np.dtype(np.int32)}
_NAMES = {dtype: name for name, dtype in _DTYPES.items()}


def to_proto(array: NDArray[np.float32 | np.int32]) -> Tensor:
    """Any float32 or int32 array as a message.

    Raises:
        ValueError: it is of another dtype, or not finite: whoever made it is broken.
    """
    if array.dtype not in _NAMES:
        raise ValueError(f"a tensor of {array.dtype} can't be sent; use float32 or int32")
    if not np.isfinite(array).all():
        raise ValueError(f"a tensor of shape {array.shape} holds NaN or infinity")
    data = np.ascontiguousarray(array, array.dtype.newbyteorder("<")).tobytes()
    return Tensor(dtype=_NAMES[array.dtype], shape=array.shape, data=data)


@overload
def from_proto(
    tensor: Tensor, max_elements: int, *, dtype: type[np.int32], field: str = "tensor"
) -> NDArray[np.int32]: ...


@overload
def from_proto(
    tensor: Tensor, max_elements: int, *, dtype: type[np.float32] = np.float32, field: str = "tensor"
) -> NDArray[np.float32]: ...


def from_proto(
    tensor: Tensor,
    max_elements: int,
    *,
    dtype: type[np.float32 | np.int32] = np.float32,
    field: str = "tensor",
) -> Array:
    """The array in a message, read-only.

    Args:
        tensor: from outside, so anything.
        max_elements: the most that is accepted.
        dtype: what it must be.
        field: path of the tensor in its message, for errors.

    Raises:
        BadTensor: another dtype, too many elements, another number of bytes than dtype and shape say, or not finite.
    """
    if _DTYPES.get(tensor.dtype) != dtype:
        raise BadTensor(field, f"dtype {tensor.dtype}, expected {dtype.__name__}")
    shape = tuple(tensor.shape)
    elements = math.prod(shape)
    if min(shape, default=0) < 0 or elements > max_elements:
        raise BadTensor(field, f"shape {shape}; at most {max_elements} elements are accepted")
    wire = np.dtype(dtype).newbyteorder("<")
    if len(tensor.data) != elements * wire.itemsize:
        raise BadTensor(field, f"{len(tensor.data)} bytes for shape {shape} of {wire.name}")
    array = np.frombuffer(tensor.data, wire).reshape(shape)
    if not np.isfinite(array).all():
        raise BadTensor(field, "it holds NaN or infinity")
    return cast("Array", array)

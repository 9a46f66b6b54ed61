from __future__ import annotations

import numpy as np
import pytest

from sparring.serving.errors import BadTensor
from sparring.serving.tensors import from_proto, to_proto
from sparring.v1.tensor_pb2 import Dtype, Tensor

TWO = np.array([1, 2], np.float32)


@pytest.mark.parametrize("dtype", [np.float32, np.int32])
@pytest.mark.parametrize("shape", [(), (0,), (3,), (2, 0, 4), (2, 3, 4)])
def test_arrays_come_back_as_they_were(dtype, shape):
    array = np.random.default_rng(0).integers(-(2**31), 2**31 - 1, size=shape).astype(dtype)
    back = from_proto(to_proto(array), array.size, dtype=dtype)
    assert back.dtype == dtype
    np.testing.assert_array_equal(back, array)


def test_the_bytes_are_little_endian_in_row_major_order_whatever_the_arrays():
    array = np.array([[1, 2], [3, 4]], dtype=">i4").T.astype(np.int32, order="F")
    assert to_proto(array).data == b"".join(value.to_bytes(4, "little") for value in (1, 3, 2, 4))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_neither_sent_nor_taken(value):
    array = np.array([0, value], np.float32)
    with pytest.raises(ValueError, match="NaN or infinity"):
        to_proto(array)
    with pytest.raises(BadTensor, match=r"trajectory\.final: it holds NaN"):
        from_proto(Tensor(dtype=Dtype.DTYPE_FLOAT32, shape=[2], data=array.tobytes()), 9, field="trajectory.final")


def test_other_dtypes_are_not_sent():
    with pytest.raises(ValueError, match="float64"):
        to_proto(TWO.astype(np.float64))


@pytest.mark.parametrize(
    ("tensor", "complaint"),
    [
        (Tensor(dtype=Dtype.DTYPE_INT32, shape=[2], data=TWO.tobytes()), "expected float32"),
        (Tensor(shape=[2], data=TWO.tobytes()), "dtype 0"),
        (Tensor(dtype=9, shape=[2], data=TWO.tobytes()), "dtype 9"),
        (Tensor(dtype=Dtype.DTYPE_FLOAT32, shape=[3], data=TWO.tobytes()), "8 bytes for shape"),
        (Tensor(dtype=Dtype.DTYPE_FLOAT32, shape=[2], data=TWO.tobytes()[:-1]), "7 bytes for shape"),
        (Tensor(dtype=Dtype.DTYPE_FLOAT32, shape=[2**62, 4], data=b""), "at most 10"),
        (Tensor(dtype=Dtype.DTYPE_FLOAT32, shape=[-1, -2], data=TWO.tobytes()), "shape"),
        (Tensor(dtype=Dtype.DTYPE_FLOAT32, shape=[-1, 0], data=b""), "shape"),
        (Tensor(dtype=Dtype.DTYPE_FLOAT32, shape=[11], data=bytes(44)), "at most 10"),
    ],
)
def test_a_tensor_that_is_not_what_its_header_says_is_refused(tensor, complaint):
    with pytest.raises(BadTensor, match=complaint):
        from_proto(tensor, 10)

"""Tensors from outside: whatever they hold is read as KServe's own codec wrote it, or refused by name."""

from __future__ import annotations

import base64
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from kserve import InferInput, InferRequest
from pydantic import BaseModel, ConfigDict

from sparring.serving.errors import BadTensor, InvalidRequest
from sparring.serving.standards.inputs import Inputs, Tensor, Uint32, read_parameters

TENSORS = (
    Tensor("file", "BYTES", (1,)),
    Tensor("names", "BYTES", (-1,)),
    Tensor("boxes", "FP32", (-1, 4)),
    Tensor("seed", "INT64", (-1,)),
)


def inputs(*tensors: InferInput) -> Inputs:
    return Inputs(InferRequest("m", list(tensors)), TENSORS)


def over_grpc(name: str, datatype: str, array: np.ndarray) -> InferInput:
    """A tensor as KServe's client writes it: raw bytes."""
    tensor = InferInput(name, list(array.shape), datatype)
    tensor.set_data_from_numpy(array)
    return tensor


def objects(values: list[bytes]) -> np.ndarray:
    array = np.empty(len(values), dtype=object)
    array[:] = values
    return array


@given(st.lists(st.text(), min_size=1, max_size=5))
def test_texts_arrive_however_they_are_sent(texts):
    raw = over_grpc("names", "BYTES", objects([text.encode() for text in texts]))
    listed = InferInput("names", [len(texts)], "BYTES", texts)
    contents = InferInput("names", [len(texts)], "BYTES", [text.encode() for text in texts])
    for tensor in (raw, listed, contents):
        assert inputs(tensor).texts("names", 5) == texts


@given(st.binary())
def test_a_file_arrives_as_bytes_and_as_base64(content):
    for tensor in (
        over_grpc("file", "BYTES", objects([content])),
        InferInput("file", [1], "BYTES", [content]),
        InferInput("file", [1], "BYTES", [base64.b64encode(content).decode()]),
        InferInput("file", [1, 1], "BYTES", [[base64.b64encode(content).decode()]]),
    ):
        assert inputs(tensor).blob("file") == content


@given(st.lists(st.lists(st.floats(width=32), min_size=4, max_size=4), min_size=1, max_size=3))
def test_numbers_arrive_however_they_are_sent(rows):
    expected = np.array(rows, np.float32)
    flat = [value for row in rows for value in row]
    for tensor in (
        over_grpc("boxes", "FP32", expected),
        InferInput("boxes", [len(rows), 4], "FP32", rows),
        InferInput("boxes", [len(rows), 4], "FP32", flat),
    ):
        np.testing.assert_array_equal(inputs(tensor).numbers("boxes", 12), expected)


@given(st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=3))
def test_whole_numbers_keep_every_digit(seeds):
    for tensor in (over_grpc("seed", "INT64", np.array(seeds)), InferInput("seed", [len(seeds)], "INT64", seeds)):
        assert inputs(tensor).numbers("seed", 3).tolist() == seeds


def raw(name: str, datatype: str, shape: list[int], content: bytes) -> InferInput:
    (tensor,) = InferRequest("m", [InferInput(name, shape, datatype)], raw_inputs=[content]).inputs
    return tensor


@pytest.mark.parametrize(
    ("tensor", "message"),
    [
        (InferInput("song", [1], "BYTES", ["la"]), r"song: there is no such input; there are \['boxes'"),
        (InferInput("boxes", [1, 4], "FP64", [0.0] * 4), "boxes: datatype FP64, expected FP32"),
    ],
)
def test_a_tensor_that_is_not_known_is_refused(tensor, message):
    with pytest.raises(BadTensor, match=message):
        inputs(tensor)


def test_a_tensor_may_be_there_once():
    with pytest.raises(BadTensor, match="seed: it is there twice"):
        inputs(*[InferInput("seed", [1], "INT64", [1])] * 2)


@pytest.mark.parametrize(
    ("tensor", "message"),
    [
        (InferInput("names", [1], "BYTES", ["x"]), "file: this input is missing"),
        (InferInput("file", [0], "BYTES", []), "file: it is empty"),
        (InferInput("file", [2], "BYTES", ["eA==", "eA=="]), r"file: shape \[2\]; at most 1"),
        (InferInput("file", [1], "BYTES", ["eA==", "eA=="]), r"file: 2 elements for shape \[1\]"),
        (InferInput("file", [-1], "BYTES", ["eA=="]), r"file: shape \[-1\]"),
        (InferInput("file", [1], "BYTES", ["not base64"]), "file: in JSON a file is base64 text"),
        (InferInput("file", [1], "BYTES", ["ä"]), "file: in JSON a file is base64 text"),
        (InferInput("file", [1], "BYTES", [7]), "file: in JSON a file is base64 text"),
        (InferInput("file", [1], "BYTES", [["eA=="]]), "file: in JSON a file is base64 text"),
        (raw("file", "BYTES", [1], b"\x01\x00\x00"), "file: 3 bytes do not make 1 elements"),
        (raw("file", "BYTES", [1], struct.pack("<I", 9) + b"x"), "file: an element of 9 bytes ends 8 bytes past"),
        (raw("file", "BYTES", [1], bytes(8)), "file: 8 bytes do not make 1 elements"),
        (raw("file", "BYTES", [1], b""), r"file: 0 elements for shape \[1\]"),
    ],
)
def test_a_broken_file_is_refused(tensor, message):
    with pytest.raises(BadTensor, match=message):
        inputs(tensor).blob("file")


@pytest.mark.parametrize("broken", [b"\xff", 7, "\ud800", ["x"]])
def test_a_broken_text_is_refused(broken):
    with pytest.raises(BadTensor, match="names: it is not text in UTF-8"):
        inputs(InferInput("names", [1], "BYTES", [broken])).text("names")


@pytest.mark.parametrize(
    ("tensor", "message"),
    [
        (InferInput("seed", [2], "INT64", [1]), "seed: INT64 of shape"),
        (InferInput("seed", [1], "INT64", [1.5]), "seed: INT64 of shape"),
        (InferInput("seed", [1], "INT64", [True]), "seed: INT64 of shape"),
        (InferInput("seed", [1], "INT64", ["1"]), "seed: INT64 of shape"),
        (InferInput("seed", [1], "INT64", [2**63]), "seed: "),
        (InferInput("seed", [2**40], "INT64", [1]), "seed: shape .*; at most 3 elements"),
        (raw("seed", "INT64", [2], bytes(15)), "seed: 15 bytes for shape"),
    ],
)
def test_broken_numbers_are_refused(tensor, message):
    with pytest.raises(BadTensor, match=message):
        inputs(tensor).numbers("seed", 3)


def test_many_empty_elements_cost_nothing():
    with pytest.raises(BadTensor, match="do not make 1 elements"):
        inputs(raw("file", "BYTES", [1], bytes(64 * 2**20))).blob("file")


class Settings(BaseModel):
    model_config = ConfigDict(extra="forbid")
    count: Uint32 = 1
    heat: float = 0.5


def parameters(**values: object) -> InferRequest:
    return InferRequest("m", [], parameters=values)


def test_parameters_have_defaults_and_are_text_where_the_wire_has_no_numbers():
    assert read_parameters(parameters(), Settings) == Settings()
    assert read_parameters(InferRequest("m", []), Settings) == Settings()
    sent = InferRequest.from_grpc(parameters(count=3, heat="0.25").to_grpc())
    assert read_parameters(sent, Settings) == Settings(count=3, heat=0.25)
    assert read_parameters(parameters(binary_data_output=True), Settings) == Settings()


@pytest.mark.parametrize(
    ("values", "field"),
    [({"count": -1}, "count"), ({"count": 2**32}, "count"), ({"heat": "hot"}, "heat"), ({"colour": "red"}, "colour")],
)
def test_a_wrong_parameter_is_named(values, field):
    with pytest.raises(InvalidRequest) as caught:
        read_parameters(parameters(**values), Settings)
    assert [violation.field for violation in caught.value.violations] == [f"parameters.{field}"]

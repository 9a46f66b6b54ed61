"""Outputs come in the form that their caller asked for, over both wires."""

from __future__ import annotations

import base64
import json

import numpy as np
import pytest
from kserve import InferInput, InferRequest, InferResponse
from kserve.protocol.infer_type import RequestedOutput

from sparring.serving.errors import BadTensor
from sparring.serving.standards.inputs import Tensor
from sparring.serving.standards.outputs import Given, to_response, wanted
from sparring.v1.revision_pb2 import Revision

TENSORS = (Tensor("text", "BYTES", (-1,)), Tensor("file", "BYTES", (1,)), Tensor("done", "BOOL", (-1,)))
FILE = b"\x89PNG\r\n\x00\xff"
GIVEN = Given(
    {"text": ["a", "é"], "file": [FILE], "done": [True, False]}, Revision(name="c/defender/000001", digest="d")
)
LENGTH = "inference-header-content-length"


def request(*outputs: RequestedOutput, **parameters: object) -> InferRequest:
    return InferRequest("m", [], request_id="7", parameters=parameters, request_outputs=list(outputs) or None)


def answer(asked: InferRequest) -> InferResponse:
    return to_response(asked, "m", TENSORS, GIVEN)


def test_in_json_a_file_is_base64_and_says_so():
    body, length = answer(request()).to_rest()
    assert length is None
    assert [body["id"], body["model_name"], body["model_version"]] == ["7", "m", "c/defender/000001"]
    assert body["parameters"] == {"digest": "d"}
    text, file, done = body["outputs"]
    assert (text["data"], text["shape"], done["data"]) == (["a", "é"], [2], [True, False])
    assert base64.b64decode(file["data"][0]) == FILE
    assert file["parameters"] == {"content_type": "base64"}


@pytest.mark.parametrize(
    "asked",
    [request(binary_data_output=True), request(RequestedOutput("file", {"binary_data": True}))],
    ids=["all", "one"],
)
def test_behind_the_json_a_file_is_its_bytes(asked):
    body, length = answer(asked).to_rest()
    sizes = [output.get("parameters", {}).get("binary_data_size", 0) for output in json.loads(body[:length])["outputs"]]
    names = [output["name"] for output in json.loads(body[:length])["outputs"]]
    start = length + sum(sizes[: names.index("file")])
    assert body[start : start + sizes[names.index("file")]] == len(FILE).to_bytes(4, "little") + FILE


def test_over_grpc_a_file_is_its_bytes_raw_if_the_request_was():
    listed = InferRequest.from_grpc(request().to_grpc())
    tensor = InferInput("x", [1], "BYTES")
    tensor.set_data_from_numpy(np.array([b"x"], dtype=object))
    raw = InferRequest.from_grpc(InferRequest("m", [tensor]).to_grpc())
    assert answer(listed).to_grpc().outputs[1].contents.bytes_contents == [FILE]
    assert answer(raw).to_grpc().raw_output_contents[1][4:] == FILE
    for asked in (listed, raw):
        response = InferResponse.from_grpc(answer(asked).to_grpc())
        assert response.outputs[0].as_numpy().tolist() == [b"a", "é".encode()]
        assert response.outputs[2].as_numpy().tolist() == [True, False]


def test_a_request_without_an_id_gets_one():
    first, second = (answer(InferRequest("m", [])).id for _ in range(2))
    assert first != second


def test_only_what_is_asked_for_is_given():
    asked = request(RequestedOutput("done"))
    assert wanted(asked, TENSORS) == {"done"}
    assert [output.name for output in answer(asked).outputs] == ["done"]
    assert wanted(request(), TENSORS) == {"text", "file", "done"}
    with pytest.raises(BadTensor, match=r"song: there is no such output; there are \['done'"):
        wanted(request(RequestedOutput("song")), TENSORS)


async def test_any_bytes_travel_behind_the_json_both_ways(speak, say):
    asked = say("hello", parameters={"binary_data_output": True})
    file = InferInput("file", [1], "BYTES")
    file.set_data_from_numpy(np.array([FILE], dtype=object))
    asked.inputs.append(file)
    body, length = asked.to_rest()
    async with speak() as speaking:
        for url in ("/v2/models/parrot/infer", "/v2/models/parrot/versions/base/infer"):
            response = await speaking.http.post(url, content=body, headers={LENGTH: str(length)})
            assert response.status_code == 200
            assert FILE in response.content[int(response.headers[LENGTH]) :]
        # KServe's client sends them; what it can't read is an answer that is not text.
        asked.parameters = None
        reply = await speaking.rest.infer(speaking.url, asked, model_name="parrot")
    assert base64.b64decode(reply.outputs[1].data[0]) == FILE


@pytest.mark.parametrize(
    ("head", "tail", "length", "message"),
    [
        ({"inputs": []}, b"", "x", f"{LENGTH}: 'x' is not the length"),
        ({"inputs": []}, b"", "1000", f"{LENGTH}: '1000' is not the length"),
        ({"inputs": []}, b"", None, f"{LENGTH}: '' is not the length"),
        ({"inputs": []}, b"xy", "", "inputs: 2 bytes of the body belong to no tensor"),
        ({"inputs": 7}, b"", "", "inputs: the body does not begin with a request in JSON"),
        ({}, b"", "", "inputs: the body does not begin with a request in JSON"),
        ({"inputs": [7]}, b"", "", "inputs: the body does not begin with a request in JSON"),
        ({"inputs": [{"name": "say"}]}, b"", "", "inputs[0].shape: Field required"),
        (5, b"xyz", "", "inputs[0].parameters.binary_data_size: 5, but 3 bytes are left"),
        (-1, b"", "", "inputs[0].parameters.binary_data_size: -1"),
        (True, b"x", "", "inputs[0].parameters.binary_data_size: True"),
        (3, b"xyz", "", "say: 3 bytes do not make 1 elements"),
    ],
)
async def test_a_body_whose_sizes_are_wrong_is_told_which(speak, head, tail, length, message):
    if not isinstance(head, dict):
        tensor = {"name": "say", "datatype": "BYTES", "shape": [1], "parameters": {"binary_data_size": head}}
        head = {"inputs": [tensor]}
    text = json.dumps(head).encode()
    headers = {} if length is None else {LENGTH: length or str(len(text))}
    async with speak() as speaking:
        response = await speaking.http.post("/v2/models/parrot/infer", content=text + tail, headers=headers)
    assert response.status_code == 400
    assert message in response.json()["error"]

"""Models behind the Open Inference Protocol: against KServe's own server, and against a script."""

from __future__ import annotations

import base64
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import numpy as np
import pytest
import uvicorn
from fastapi import FastAPI
from kserve import InferOutput, InferRequest, InferResponse, Model
from kserve.errors import InvalidInput
from kserve.model_repository import ModelRepository
from kserve.protocol.dataplane import DataPlane
from kserve.protocol.infer_type import serialize_byte_tensor
from kserve.protocol.model_repository_extension import ModelRepositoryExtension
from kserve.protocol.rest.server import RESTServer

from sparring.referee.errors import OpponentError
from sparring.referee.targets.asking import digest_of
from sparring.referee.targets.config import OipConfig

from .conftest import IMAGE, PROMPT, Asked, Endpoint, asked, reply

Opened = Callable[..., AbstractAsyncContextManager[Asked]]


class Parrot(Model):  # type: ignore[misc]
    """Says what it was asked: how many bytes of image, and what of the prompt and the parameters arrived."""

    def __init__(self) -> None:
        super().__init__("parrot")
        self.ready = True

    def predict(self, payload: InferRequest, headers: Mapping[str, str] | None = None) -> InferResponse:
        inputs = {tensor.name: tensor for tensor in payload.inputs}
        element = inputs["picture"].as_numpy().ravel()
        image = element.tobytes() if element.dtype == np.uint8 else element[0]
        if isinstance(image, str):
            image = base64.b64decode(image)
        prompt = inputs["question"].as_numpy().ravel()[0]
        text = prompt.decode() if isinstance(prompt, bytes) else prompt
        if image != IMAGE or text != PROMPT:
            raise InvalidInput(f"{len(image)} bytes and {text!r}")
        told = payload.parameters or {}
        said = f"\\boxed{{B}} {told['temperature']} {told['max_tokens']} {inputs['picture'].shape}"
        output = InferOutput("said", [1], "BYTES", [said])
        return InferResponse(payload.id or "1", self.name, [output], "7")


class Started(uvicorn.Server):
    """Says when it listens."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listening = threading.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.listening.set()


@pytest.fixture(scope="module")
def kserve() -> Iterator[str]:
    """Where KServe's REST server listens, with the parrot behind it."""
    models = ModelRepository()
    models.update(Parrot())
    plane = DataPlane(models)
    rest = RESTServer("unused", plane, ModelRepositoryExtension(models), 0)
    app = FastAPI()
    rest._register_endpoints(app)
    rest._add_exception_handlers(app)
    server = Started(uvicorn.Config(app, port=0, log_config=None, loop="asyncio"))
    thread = threading.Thread(target=server.run)
    thread.start()
    assert server.listening.wait(120)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    thread.join()


def config(url: str, **settings: object) -> OipConfig:
    names = {"image": {"name": "picture"}, "prompt": {"name": "question"}, "output": "said"}
    return OipConfig.model_validate({"url": url, "model": "parrot", **names, **settings})


@pytest.mark.parametrize(
    ("image", "shape"),
    [
        ({"name": "picture"}, "[1]"),
        ({"name": "picture", "shape": [-1, 1]}, "[1, 1]"),
        ({"name": "picture", "encoding": "binary", "datatype": "UINT8", "shape": [1, -1]}, f"[1, {len(IMAGE)}]"),
    ],
)
async def test_kserve_gets_the_image_and_the_prompt_in_every_form(
    kserve: str, image: dict[str, object], shape: str
) -> None:
    async with asked(config(kserve, image=image)) as it:
        answers = await it.ask(temperature=0.5, count=2)
    assert [answer.text for answer in answers.answers] == [f"\\boxed{{B}} 0.5 24 {shape}"] * 2
    assert answers.revision == f"oip:parrot@{it.host}"
    assert answers.digest == digest_of(["parrot 7"])


async def test_kserve_has_no_such_model(kserve: str) -> None:
    async with asked(config(kserve, model="nobody")) as it:
        with pytest.raises(OpponentError, match="nobody") as caught:
            await it.ask()
    assert caught.value.code.name == "NOT_FOUND"


@pytest.fixture
async def scripted(endpoint: Endpoint) -> Opened:
    """A target that asks the scripted endpoint."""
    endpoint.usual = inference("A")
    return lambda cache=None, **settings: asked(config(f"http://{endpoint.address}/base", **settings), cache=cache)


def inference(*data: object, name: str = "said", datatype: str = "BYTES", **fields: object) -> bytes:
    output = {"name": name, "datatype": datatype, "shape": [len(data)], "data": list(data)}
    return reply({"model_name": "parrot", "outputs": [output], **fields})


async def test_what_is_asked(endpoint: Endpoint, scripted: Opened) -> None:
    async with scripted(
        model="house/parrot", version="3", parameters={"temperature": "temp", "max_tokens": None}
    ) as it:
        assert await it.texts() == ["A"]
    (seen,) = endpoint.seen
    assert seen.path == "/base/v2/models/house%2Fparrot/versions/3/infer"
    image, prompt = seen.json["inputs"]
    assert image == {
        "name": "picture",
        "datatype": "BYTES",
        "shape": [1],
        "data": [base64.b64encode(IMAGE).decode()],
    }
    assert prompt == {"name": "question", "datatype": "BYTES", "shape": [1], "data": [PROMPT]}
    assert seen.json["outputs"] == [{"name": "said"}]
    assert seen.json["parameters"].keys() == {"temp", "seed"}


async def test_binary_data_follows_the_json(endpoint: Endpoint, scripted: Opened) -> None:
    async with scripted(image={"name": "picture", "encoding": "binary"}) as it:
        await it.ask()
    (seen,) = endpoint.seen
    length = int(seen.headers["inference-header-content-length"])
    assert seen.headers["content-type"] == "application/octet-stream"
    assert seen.body[length:] == serialize_byte_tensor(np.array([IMAGE], np.object_)).item()
    assert b'"binary_data_size": %d' % (len(IMAGE) + 4) in seen.body[:length]


@pytest.mark.parametrize("data", [["A"], [["A"]], [[["A"]]]])
async def test_the_one_text_of_the_output_is_the_answer(
    endpoint: Endpoint, scripted: Opened, data: list[object]
) -> None:
    endpoint.usual = inference(*data)
    async with scripted() as it:
        (answer,) = (await it.ask()).answers
    assert (answer.text, answer.finished) == ("A", True)


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (reply(b"oops"), "no inference: the body"),
        (reply({"error": "no"}), "outputs: Field required"),
        (inference("A", name="other"), r"outputs \['other'\], none called 'said'"),
        (inference("A", "B"), "2 elements of BYTES in 'said', not one text"),
        (inference(), "0 elements"),
        (inference(7), "not one text"),
        (inference("A", datatype="FP32"), "1 elements of FP32"),
    ],
)
async def test_what_is_no_answer_is_none(endpoint: Endpoint, scripted: Opened, body: bytes, why: str) -> None:
    endpoint.usual = body
    async with scripted() as it:
        with pytest.raises(OpponentError, match=why) as caught:
            await it.ask()
    assert caught.value.code.name == "INTERNAL"


async def test_it_is_called_by_the_same_rules(endpoint: Endpoint, scripted: Opened, tmp_path: Path) -> None:
    endpoint.script = [reply(b"", 503, retry_after="9"), inference("A", model_version="1")]
    async with scripted(cache=tmp_path / "answers") as it:
        assert await it.texts() == await it.texts() == ["A"]
        assert it.watch.time >= 1009
        assert len(endpoint.seen) == 2
        endpoint.script = [inference("A", model_version="2")]
        await it.ask(seed=8)
        assert it.counted("model_changes") == 1
        endpoint.script = [reply(b"", 307, location="http://elsewhere.example.org/")]
        with pytest.raises(OpponentError, match=r"points to http://elsewhere\.example\.org/"):
            await it.ask(seed=9)

"""The attacker as a KServe model: the same edits as by the contract, from the same queue, over gRPC and HTTP."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from importlib.resources import files

import grpc
import httpx
import numpy as np
import pytest
from kserve import InferenceGRPCClient, InferenceRESTClient, InferInput, InferRequest
from kserve.inference_client import RESTConfig
from kserve.protocol.infer_type import RequestedOutput
from prometheus_client import CollectorRegistry

from sparring.attacker.batches import Edits
from sparring.policies.config import EditorConfig, EditSampling
from sparring.policies.editor import Editor
from sparring.samples.images import decode, encode_png
from sparring.v1 import attacker_pb2, attacker_pb2_grpc, sample_pb2

from .conftest import Launch, Running


@dataclass
class Speaking:
    """A server that speaks standards, and a client for each protocol."""

    registry: CollectorRegistry
    url: str
    stub: attacker_pb2_grpc.AttackerStub
    oip: InferenceGRPCClient
    rest: InferenceRESTClient

    async def by_contract(self, request: attacker_pb2.EditRequest) -> list[bytes]:
        """The images, a control first."""
        replies = [reply async for reply in self.stub.Edit(request)]
        return [(reply.edit if reply.HasField("edit") else reply.control).image for reply in replies]

    async def by_grpc(self, request: InferRequest) -> dict[str, list[bytes]]:
        response = await self.oip.infer(request)
        return {output.name: output.as_numpy().tolist() for output in response.outputs}

    async def by_http(self, request: InferRequest) -> dict[str, list[bytes]]:
        response = await self.rest.infer(self.url, request, model_name="attacker")
        return {output.name: [base64.b64decode(text) for text in output.data] for output in response.outputs}


Speak = Callable[..., AbstractAsyncContextManager[Speaking]]
STANDARDS = {"open_inference": True, "rest_port": 0, "drain_seconds": 60, "max_image_bytes": 20_000}


@asynccontextmanager
async def spoken_to(running: Running) -> AsyncIterator[Speaking]:
    addresses = running.addresses
    async with AsyncExitStack() as stack:
        oip = InferenceGRPCClient(addresses.grpc, retries=0, timeout=None)
        await stack.enter_async_context(oip)
        rest = InferenceRESTClient(RESTConfig(protocol="v2", timeout=None))
        stack.push_async_callback(rest.close)
        yield Speaking(running.registry, f"http://{addresses.rest}", running.stub, oip, rest)


@pytest.fixture
def speak(launch: Launch) -> Speak:
    """`async with speak(policy, **queue settings) as speaking`."""

    @asynccontextmanager
    async def start(policy: Edits, max_message_bytes: int = 2**20, **queue: float) -> AsyncIterator[Speaking]:
        serving = {**STANDARDS, "max_message_bytes": max_message_bytes}
        async with launch(policy, serving, **queue) as running, spoken_to(running) as speaking:
            yield speaking

    return start


@pytest.fixture
def ask(picture: np.ndarray) -> Callable[..., InferRequest]:
    """A request for images alone; a tensor that is None is left out."""

    def make(*outputs: str, parameters: dict[str, object] | None = None, **tensors: object) -> InferRequest:
        given = {"image": encode_png(picture), "seed": np.array([3, 1]), **tensors}
        return InferRequest(
            "attacker",
            [tensor(name, value) for name, value in given.items() if value is not None],
            parameters=parameters,
            request_outputs=[RequestedOutput(name) for name in outputs or ("image",)],
        )

    return make


def tensor(name: str, value: object) -> InferInput:
    array = value if isinstance(value, np.ndarray) else np.array([value] if isinstance(value, bytes) else value, object)
    made = InferInput(name, list(array.shape), {"O": "BYTES", "f": "FP32", "i": "INT64"}[array.dtype.kind])
    made.set_data_from_numpy(array)
    return made


@pytest.fixture
def busy(painter):
    """A painter at work."""
    painter.gate.set()
    return painter


BOXES = {"boxes": np.array([[0, 0, 16, 24]], np.float32), "names": [b"a cat"]}
TARGET = sample_pb2.Target(name="a cat", box=sample_pb2.Box(x=0, y=0, width=16, height=24))


async def test_an_attack_without_a_model_gives_the_same_edits_by_every_protocol(speak, ask, busy, request_attack):
    async with speak(busy) as speaking:
        expected = await speaking.by_contract(request_attack("recolour", 3, 1, targets=[TARGET]))
        request = ask(attack=b"recolour", **BOXES)
        assert await speaking.by_grpc(request) == {"image": expected}
        assert await speaking.by_http(request) == {"image": expected}
    assert busy.batches == []


async def test_the_editor_gives_the_same_edits_by_every_protocol(speak, ask, busy, request_edit):
    sampling = {"steps": 4, "noise_level": "0.7", "window_last": 1}
    async with speak(busy) as speaking:
        expected = await speaking.by_contract(request_edit(3, 1, control=True))
        request = ask("image", "control", instruction=b"add a cat", parameters=sampling)
        for call in (speaking.by_grpc, speaking.by_http):
            assert await call(request) == {"control": expected[:1], "image": expected[1:]}
        response = await speaking.oip.infer(request)
    assert response.model_version == "base"
    wanted = EditSampling(steps=4, noise_level=0.7, window_last=1)
    assert [sampling for name, sampling, _ in busy.batches if name == "base"] == [wanted] * 4


async def test_without_settings_the_defaults_hold_and_the_seed_is_0(speak, ask, busy):
    async with speak(busy) as speaking:
        images = await speaking.by_http(ask(instruction=b"add a cat", seed=None))
    (image,) = images["image"]
    assert not decode(image, max_pixels=10**6, max_bytes=10**6).any()
    assert busy.batches == [("base", EditSampling(), 1)]


async def test_requests_share_the_queue_of_the_contract(speak, ask, painter, request_edit):
    default = EditSampling()
    request = request_edit(5)
    request.learned.sampling.CopyFrom(
        attacker_pb2.EditSampling(
            steps=default.steps,
            variant=attacker_pb2.SDE_VARIANT_FLOW_SDE,
            noise_level=default.noise_level,
            window=default.window,
            guidance=default.guidance,
        )
    )
    async with speak(painter, batch=16) as speaking:
        first = asyncio.create_task(speaking.by_contract(request))
        assert await asyncio.to_thread(painter.entered.wait, 30)
        learned = ask(instruction=b"add a cat")
        calls = (speaking.by_contract(request), speaking.by_grpc(learned), speaking.by_http(learned))
        others = [asyncio.create_task(call) for call in calls]
        while speaking.registry.get_sample_value("sparring_queue_depth", {"queue": "edits"}) < 5:
            await asyncio.sleep(0.001)
        painter.gate.set()
        await asyncio.gather(first, *others)
    assert [size for _, _, size in painter.batches] == [1, 5]


async def test_a_full_queue_is_told(speak, ask, painter, request_edit):
    async with speak(painter, batch=1, limit=2) as speaking:
        first = asyncio.create_task(speaking.by_contract(request_edit(1)))
        assert await asyncio.to_thread(painter.entered.wait, 30)
        waiting = asyncio.create_task(speaking.by_contract(request_edit(1, 2)))
        while speaking.registry.get_sample_value("sparring_queue_depth", {"queue": "edits"}) < 2:
            await asyncio.sleep(0.001)
        with pytest.raises(grpc.aio.AioRpcError) as over_grpc:
            await speaking.by_grpc(ask(instruction=b"add a cat"))
        with pytest.raises(httpx.HTTPStatusError) as over_http:
            await speaking.by_http(ask(instruction=b"add a cat"))
        painter.gate.set()
        await asyncio.gather(first, waiting)
    assert over_grpc.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert over_http.value.response.status_code == 429
    assert "retry-after" in over_http.value.response.headers


EVERYWHERE = {"boxes": np.array([[0, 0, 32, 24]], np.float32), "names": [b"a cat"]}


@pytest.mark.parametrize(
    ("tensors", "parameters", "field"),
    [
        ({}, {}, "attack"),
        ({"attack": b"noise", "instruction": b"add a cat"}, {}, "attack"),
        ({"attack": b"sing"}, {}, "attack"),
        ({"attack": b""}, {}, "attack"),
        ({"attack": b"noise"}, {"steps": 4}, "parameters.steps"),
        ({"attack": b"noise", "image": b"no image"}, {}, "image"),
        ({"attack": b"noise", "image": None}, {}, "image"),
        ({"attack": b"noise", "seed": np.array([-1])}, {}, "seed"),
        ({"attack": b"noise", "seed": np.zeros(1025, np.int64)}, {}, "seed"),
        ({"attack": b"noise", "boxes": np.zeros((1, 4), np.float32)}, {}, "names"),
        ({"attack": b"noise", "names": [b"a cat"]}, {}, "boxes"),
        ({"attack": b"noise", "boxes": np.ones((2, 4), np.float32), "names": [b"a cat"]}, {}, "boxes"),
        ({"attack": b"noise", "boxes": np.ones((1, 2, 2), np.float32), "names": [b"a cat"]}, {}, "boxes"),
        ({"attack": b"noise", "boxes": np.zeros((1, 4), np.float32), "names": [b"a cat"]}, {}, "boxes[0]"),
        ({"attack": b"noise", "boxes": np.full((1, 4), np.nan, np.float32), "names": [b"x"]}, {}, "boxes[0]"),
        ({"attack": b"noise", "boxes": np.ones((1, 4), np.float32), "names": [b""]}, {}, "names[0]"),
        ({"instruction": b""}, {}, "instruction"),
        ({"instruction": b"add a cat"}, {"steps": 0}, "parameters.steps"),
        ({"instruction": b"add a cat"}, {"steps": 2**40}, "parameters"),
        ({"instruction": b"add a cat"}, {"steps": 201, "window": 0}, "parameters.steps"),
        ({"instruction": b"add a cat"}, {"window_last": 5}, "parameters"),
        ({"instruction": b"add a cat"}, {"variant": "jazz"}, "parameters.variant"),
    ],
)
async def test_wrong_input_is_told_by_the_name_it_has_in_the_protocol(speak, ask, busy, tensors, parameters, field):
    request = ask(parameters=parameters, **tensors)
    async with speak(busy) as speaking:
        with pytest.raises(grpc.aio.AioRpcError) as over_grpc:
            await speaking.by_grpc(request)
        with pytest.raises(httpx.HTTPStatusError) as over_http:
            await speaking.by_http(request)
    assert over_grpc.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert over_grpc.value.details().startswith(f"{field}: ")
    assert over_http.value.response.status_code == 400
    assert over_http.value.response.json()["error"].startswith(f"{field}: ")


async def test_where_there_is_nothing_to_do_a_reason_stands_for_the_image(speak, ask, busy):
    async with speak(busy) as speaking:
        over_grpc = await speaking.by_grpc(ask("image", "reason", "control", attack=b"recolour", **EVERYWHERE))
        over_http = await speaking.rest.infer(
            speaking.url, ask("image", "reason", attack=b"recolour", **EVERYWHERE), model_name="attacker"
        )
        made = await speaking.by_grpc(ask("image", "reason", attack=b"noise", **EVERYWHERE))
    assert over_grpc["image"] == [b"", b""]
    assert len(over_grpc["control"]) == 1
    why = "nothing stands out away from the 1 targets in an image of 32 x 24"
    assert over_grpc["reason"] == [why.encode()] * 2
    assert {output.name: output.data for output in over_http.outputs} == {"image": ["", ""], "reason": [why] * 2}
    assert made["reason"] == [b"", b""]
    assert all(made["image"])


async def test_more_images_than_a_message_holds_are_refused(speak, ask, busy, picture):
    async with speak(busy, max_message_bytes=2 * len(encode_png(picture))) as speaking:
        with pytest.raises(httpx.HTTPStatusError, match=r"ask for fewer at once.*413"):
            await speaking.by_http(ask(attack=b"noise", seed=np.arange(5)))
        assert len((await speaking.by_http(ask(attack=b"noise", seed=np.arange(1))))["image"]) == 1


async def test_the_small_editor_edits_and_makes_controls_through_the_standard(speak, ask):
    editor = Editor(EditorConfig(base=str(files("sparring.ops") / "small" / "editor")))
    async with speak(editor) as speaking:
        images = await speaking.by_http(ask("image", "control", instruction=b"add a red square"))
    for image in (*images["image"], *images["control"]):
        assert decode(image, max_pixels=10**6, max_bytes=10**6).shape == (24, 32, 3)
    assert images["image"][0] != images["image"][1]


async def test_without_an_editor_attacks_without_a_model_go_on(launch_bare, ask, picture):
    async with launch_bare(**STANDARDS) as running, spoken_to(running) as speaking:
        assert await speaking.rest.is_model_ready(speaking.url, "attacker")
        request = ask("image", "control", attack=b"noise")
        images = await speaking.by_http(request)
        assert await speaking.by_grpc(request) == images
        with pytest.raises(grpc.aio.AioRpcError) as over_grpc:
            await speaking.by_grpc(ask(instruction=b"add a cat"))
        with pytest.raises(httpx.HTTPStatusError, match=r"set `editor` in its configuration.*404"):
            await speaking.by_http(ask(instruction=b"add a cat"))
        request.model_version = "base"
        with pytest.raises(grpc.aio.AioRpcError, match="configured without weights"):
            await speaking.by_grpc(request)
    assert (len(images["image"]), images["control"]) == (2, [encode_png(picture)])
    assert over_grpc.value.code() is grpc.StatusCode.FAILED_PRECONDITION

"""A KServe model that does what it is told, on the real runner, and KServe's own clients for it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

import grpc
import httpx
import pytest
from kserve import InferenceGRPCClient, InferenceRESTClient, InferInput, InferRequest
from kserve.inference_client import RESTConfig
from prometheus_client import CollectorRegistry

from sparring.serving.addresses import Addresses
from sparring.serving.config import ServingConfig, WeightsConfig
from sparring.serving.deadlines import remaining
from sparring.serving.errors import QueueFull
from sparring.serving.reconciler import Reconciler
from sparring.serving.runner import Runner
from sparring.serving.standards.inputs import Inputs, Tensor
from sparring.serving.standards.model import StandardModel
from sparring.serving.standards.outputs import Given
from sparring.serving.standards.standards import Standards
from sparring.serving.weights import to_revision
from tests.serving.holding import Holding

TENSORS = (Tensor("say", "BYTES", (1,)), Tensor("file", "BYTES", (1,)), Tensor("done", "BOOL", (1,)))


class Parrot(Holding, StandardModel):
    """Says and returns what it is given; `wait` ends when `release` is set."""

    def __init__(self, reconciler: Reconciler) -> None:
        Holding.__init__(self)
        StandardModel.__init__(self, "parrot", reconciler, inputs=TENSORS[:2], outputs=TENSORS, rules={})

    def field(self, path: str) -> str:
        return path

    async def answer(self, inputs: Inputs, request: InferRequest, outputs: frozenset[str]) -> Given:
        said = inputs.text("say")
        with self._loaded.bind(request.model_version or "", "") as bound:
            match said:
                case "wait":
                    await self.hold()
                case "full":
                    raise QueueFull("no room", retry_seconds=1.5)
                case "bug":
                    raise ZeroDivisionError("a secret of the house")
                case "time":
                    said = f"{remaining():.6f}"
            file = inputs.blob("file") if "file" in inputs else b"\xff\x00"
            return Given({"say": [said], "file": [file], "done": [True]}, to_revision(bound.pin))


@dataclass
class Speaking:
    """A server that speaks standards."""

    runner: Runner
    addresses: Addresses
    registry: CollectorRegistry
    parrot: Parrot
    reconciler: Reconciler
    http: httpx.AsyncClient
    rest: InferenceRESTClient
    grpc: InferenceGRPCClient
    channel: grpc.aio.Channel

    @property
    def url(self) -> str:
        return str(self.http.base_url)

    def value(self, name: str, **labels: str) -> float:
        """A metric's value; 0 if it was never touched."""
        return self.registry.get_sample_value(name, labels) or 0.0

    async def post(self, said: str, **headers: str) -> httpx.Response:
        """Say it in JSON."""
        body = {"inputs": [{"name": "say", "datatype": "BYTES", "shape": [1], "data": [said]}]}
        return await self.http.post("/v2/models/parrot/infer", json=body, headers=headers)


Speak = Callable[..., AbstractAsyncContextManager[Speaking]]


@pytest.fixture
def say() -> Callable[..., InferRequest]:
    """A request that says something."""

    def make(said: str, **more: object) -> InferRequest:
        return InferRequest("parrot", [InferInput("say", [1], "BYTES", [said])], **more)

    return make


@pytest.fixture
def speak(ledger, shelf) -> Speak:
    """`async with speak(config) as speaking`; without `serve_base` nothing is loaded at first."""

    @asynccontextmanager
    async def start(serve_base: bool = True, **config: object) -> AsyncIterator[Speaking]:
        settings = ServingConfig(**{"open_inference": True, "rest_port": 0, "drain_seconds": 60, **config})
        registry, weights = CollectorRegistry(), WeightsConfig(serve_base=serve_base)
        async with AsyncExitStack() as stack:
            reconciler = await stack.enter_async_context(Reconciler(ledger, shelf, "defender", weights, registry))
            parrot = Parrot(reconciler)
            runner = Runner(settings, [], registry=registry, reconciler=reconciler, standards=Standards(parrot))
            addresses = await runner.start()
            stack.push_async_callback(runner.drain)
            stack.callback(parrot.release.set)
            http = await stack.enter_async_context(httpx.AsyncClient(base_url=f"http://{addresses.rest}", timeout=None))
            rest = InferenceRESTClient(RESTConfig(protocol="v2", timeout=None))
            stack.push_async_callback(rest.close)
            oip = InferenceGRPCClient(addresses.grpc, retries=0, timeout=None)
            await stack.enter_async_context(oip)
            channel = await stack.enter_async_context(grpc.aio.insecure_channel(addresses.grpc))
            yield Speaking(runner, addresses, registry, parrot, reconciler, http, rest, oip, channel)

    return start

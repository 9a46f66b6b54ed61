"""What the server costs: calls per second, latency and processor time of Answer, through gRPC and without it.

    python benchmarks/serving.py [--calls 400] [--answers 4]

Each row is measured in the same run: the small defender called directly, the same through gRPC by one and by many
callers, and a policy that does nothing, which leaves the price of the server alone: through our contract, and through
each standard that is spoken beside it. Processor time is of the process that serves (for the first row, of the one that
calls), all its threads together.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import itertools
import tempfile
import time
import urllib.request
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from importlib.resources import files
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING

import grpc
import numpy as np

from sparring.defender.config import DefenderConfig
from sparring.policies.config import AnswerSampling, MllmConfig
from sparring.policies.policy import Ask, Reply
from sparring.samples.images import decode
from sparring.samples.shapes import Shapes, World
from sparring.serving.addresses import Addresses
from sparring.serving.config import ServingConfig, WeightsConfig
from sparring.v1 import defender_pb2
from sparring.v1.defender_pb2_grpc import DefenderStub

if TYPE_CHECKING:
    from kserve import InferRequest

SMALL = str(files("sparring.ops") / "small" / "defender")
SAMPLING = AnswerSampling(temperature=1.0, max_tokens=24)
SCENES = 32
STANDARDS = {"open_inference": True, "rest_port": 0}
HEADING = f"{'':46}{'calls/s':>9}{'p50 ms':>9}{'p99 ms':>9}{'CPU ms/call':>13}"


class Idle:
    """A policy that does nothing, as fast as it can."""

    def __init__(self) -> None:
        self._reply = Reply("left", np.arange(8, dtype=np.int32), np.zeros(8, np.float32), finished=True)

    def rollout(self, acts: Sequence[Ask], sampling: AnswerSampling, name: str) -> list[list[Reply]]:
        return [[self._reply] * act.count for act in acts]

    def install(self, name: str, folder: Path) -> None:
        raise NotImplementedError("only the base is served")

    def remove(self, name: str) -> None:
        raise NotImplementedError("only the base is served")


@dataclass(frozen=True)
class Row:
    """What was measured. Seconds each call took, seconds over all, and processor seconds over all."""

    name: str
    calls: Sequence[float]
    wall: float
    cpu: float

    def __str__(self) -> str:
        p50, p99 = np.percentile(self.calls, [50, 99]) * 1000
        count = len(self.calls)
        return f"{self.name:46}{count / self.wall:9.1f}{p50:9.2f}{p99:9.2f}{self.cpu / count * 1000:13.2f}"


async def measure(
    name: str, call: Callable[[int], Awaitable[object]], cpu: Callable[[], float], count: int, callers: int
) -> Row:
    """`count` calls by `callers` who each ask again as soon as they have their answer; a tenth more to warm up."""
    for index in range(count // 10):
        await call(index)
    left = iter(range(count))
    seconds: list[float] = []

    async def caller() -> None:
        for index in left:
            start = time.perf_counter()
            await call(index)
            seconds.append(time.perf_counter() - start)

    used, start = cpu(), time.perf_counter()
    await asyncio.gather(*(caller() for _ in range(callers)))
    return Row(name, seconds, time.perf_counter() - start, cpu() - used)


def serve(config: DefenderConfig, idle: bool) -> None:
    """A process that serves."""
    from sparring.defender import __main__ as defender
    from sparring.defender.service import serve_policy

    asyncio.run(serve_policy(Idle(), config) if idle else defender.run(config))


@asynccontextmanager
async def server(idle: bool) -> AsyncIterator[Addresses]:
    """A defender in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "addresses.json"
        config = DefenderConfig(
            serving=ServingConfig(address_file=str(file), log_level="warning", **(STANDARDS if idle else {})),
            weights=WeightsConfig(serve_base=True),
            mllm=MllmConfig(base=SMALL),
        )
        process = get_context("spawn").Process(target=serve, args=(config, idle))
        process.start()
        while not file.exists():
            await asyncio.sleep(0.05)
        yield Addresses.read(file)
        process.terminate()
        process.join()


def cpu_of(addresses: Addresses) -> float:
    """Processor seconds that a server has used, by its own metrics."""
    with urllib.request.urlopen(f"http://{addresses.metrics}/metrics") as response:
        lines = response.read().decode().splitlines()
    return next(float(line.split()[1]) for line in lines if line.startswith("process_cpu_seconds_total "))


async def through_grpc(name: str, images: Sequence[bytes], options: argparse.Namespace, *, idle: bool) -> None:
    sampling = defender_pb2.AnswerSampling(temperature=SAMPLING.temperature, max_tokens=SAMPLING.max_tokens)

    def ask(index: int) -> defender_pb2.AnswerRequest:
        image = images[index % SCENES]
        return defender_pb2.AnswerRequest(
            image=image, prompt="where?", seed=index, count=options.answers, sampling=sampling
        )

    async with server(idle) as addresses, grpc.aio.insecure_channel(addresses.grpc) as channel:
        stub = DefenderStub(channel)
        for callers in (1, 16):
            row = await measure(
                f"{name}, {callers} at once",
                lambda i: stub.Answer(ask(i)),
                lambda: cpu_of(addresses),
                options.calls,
                callers,
            )
            print(row, flush=True)


async def through_standards(images: Sequence[bytes], options: argparse.Namespace) -> None:
    import httpx
    from kserve.protocol.grpc.grpc_predict_v2_pb2_grpc import GRPCInferenceServiceStub

    inferences = [inference(image, options.answers) for image in images]
    texts = [inference(image, options.answers, as_text=True).to_rest()[0] for image in images]
    bodies = [inference.to_rest() for inference in inferences]
    chats = [chat(image, options.answers) for image in images]
    messages = [inference.to_grpc() for inference in inferences]
    url = "/v2/models/defender/infer"
    async with (
        server(idle=True) as addresses,
        grpc.aio.insecure_channel(addresses.grpc) as channel,
        httpx.AsyncClient(base_url=f"http://{addresses.rest}", timeout=None) as http,
    ):
        stub = GRPCInferenceServiceStub(channel)

        def binary(index: int) -> Awaitable[object]:
            body, length = bodies[index % SCENES]
            return http.post(url, content=body, headers={"inference-header-content-length": str(length)})

        calls: dict[str, Callable[[int], Awaitable[object]]] = {
            "OIP, gRPC": lambda i: stub.ModelInfer(messages[i % SCENES]),
            "OIP, HTTP, JSON": lambda i: http.post(url, json=texts[i % SCENES]),
            "OIP, HTTP, binary": binary,
            "chat completions": lambda i: http.post("/openai/v1/chat/completions", json=chats[i % SCENES]),
        }
        for (name, call), callers in itertools.product(calls.items(), (1, 16)):
            title = f"idle policy, {name}, {callers} at once"
            print(await measure(title, call, lambda: cpu_of(addresses), options.calls, callers), flush=True)


def inference(image: bytes, answers: int, *, as_text: bool = False) -> InferRequest:
    from kserve import InferInput, InferRequest

    tensors = [InferInput("image", [1], "BYTES"), InferInput("prompt", [1], "BYTES", ["where?"])]
    if as_text:
        tensors[0].data = [base64.b64encode(image).decode()]
    else:
        for tensor, content in zip(tensors, (image, b"where?"), strict=True):
            tensor.set_data_from_numpy(np.array([content], dtype=object))
    return InferRequest("defender", tensors, parameters={"count": answers})


def chat(image: bytes, answers: int) -> dict[str, object]:
    url = f"data:image/png;base64,{base64.b64encode(image).decode()}"
    content = [{"type": "image_url", "image_url": {"url": url}}, {"type": "text", "text": "where?"}]
    return {"model": "defender", "messages": [{"role": "user", "content": content}], "n": answers, "seed": 1}


async def direct(images: Sequence[bytes], options: argparse.Namespace) -> None:
    import torch

    from sparring.policies.mllm import Mllm

    torch.set_num_threads(1)
    model = Mllm(MllmConfig(base=SMALL))
    pixels = [decode(image, max_pixels=10**6, max_bytes=10**6) for image in images]

    async def call(index: int) -> None:
        model.rollout([Ask(pixels[index % SCENES], "where?", index, options.answers)], SAMPLING, "base")

    print(await measure("small defender, directly", call, time.process_time, options.calls, 1), flush=True)


async def main() -> None:
    parser = argparse.ArgumentParser(description="What the server costs.")
    parser.add_argument("--calls", type=int, default=400)
    parser.add_argument("--answers", type=int, default=4)
    options = parser.parse_args()
    images = [Shapes(World(), 0, "benchmark").sample(index).image for index in range(SCENES)]
    print(HEADING)
    await direct(images, options)
    await through_grpc("small defender, gRPC", images, options, idle=False)
    await through_grpc("idle policy, gRPC", images, options, idle=True)
    await through_standards(images, options)


if __name__ == "__main__":
    asyncio.run(main())

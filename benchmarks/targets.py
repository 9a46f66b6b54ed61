"""What it costs to ask a foreign target, and whether a slow one is kept busy.

    python benchmarks/targets.py [--rounds 100] [--latency 0.2] [--concurrency 32]

An endpoint in a process of its own replies to every request after the latency. As many callers as it may have requests
in flight each ask again as soon as they are answered; the ideal rate is that of callers who cost no time. Callers who
only wait for the latency, in the same run, show how near to that this machine comes at the moment. Processor time is of
the process that asks, all its threads together, for one answer. The parts below are measured alone.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import socket
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from itertools import count
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import uvicorn
from PIL import Image
from prometheus_client import CollectorRegistry
from skimage import data
from starlette.types import Receive, Scope, Send

from sparring.referee.targets.asking import Question
from sparring.referee.targets.config import OpenAiConfig, TargetsConfig
from sparring.referee.targets.metrics import TargetMetrics
from sparring.referee.targets.openai import to_request, to_said
from sparring.referee.targets.opening import open_target
from sparring.samples.images import encode_png
from sparring.samples.shapes import Shapes, World
from sparring.v1 import defender_pb2, revision_pb2

PROMPT = "What colour is the disc?\n(A) red\n(B) green\nGive the final answer in the format \\boxed{X}."
SAMPLING = defender_pb2.AnswerSampling(temperature=0, max_tokens=64)
REPLY = json.dumps(
    {
        "model": "slow",
        "choices": [{"message": {"role": "assistant", "content": "It is \\boxed{A}"}, "finish_reason": "stop"}],
    }
).encode()


def serve(port: socket.socket, latency: float) -> None:
    """The endpoint."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        while (await receive()).get("more_body"):
            pass
        await asyncio.sleep(latency)
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(REPLY)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": REPLY})

    config = uvicorn.Config(app, lifespan="off", access_log=False, log_level="error")
    uvicorn.Server(config).run(sockets=[port])


@contextmanager
def endpoint(latency: float) -> Iterator[str]:
    """Its URL."""
    with socket.socket() as port:
        port.bind(("127.0.0.1", 0))
        port.listen(1024)
        process = get_context("spawn").Process(target=serve, args=(port, latency))
        process.start()
        try:
            yield f"http://127.0.0.1:{port.getsockname()[1]}/v1"
        finally:
            process.terminate()
            process.join()


async def measure(call: Callable[[int], Awaitable[object]], callers: int, rounds: int) -> tuple[float, float]:
    """Calls in a second, and milliseconds of processor time for each; two rounds before are left to warm up."""
    numbers = count()

    async def caller(rounds: int) -> None:
        for _ in range(rounds):
            await call(next(numbers))

    await asyncio.gather(*(caller(2) for _ in range(callers)))
    start, used = time.perf_counter(), time.process_time()
    await asyncio.gather(*(caller(rounds) for _ in range(callers)))
    calls = callers * rounds
    return calls / (time.perf_counter() - start), (time.process_time() - used) / calls * 1000


async def tell(name: str, call: Callable[[int], Awaitable[object]], callers: int, options: argparse.Namespace) -> None:
    rate, cpu = await measure(call, callers, options.rounds)
    ideal = callers / options.latency
    print(f"{name:34}{rate:9.1f}{rate / ideal:10.3f}{cpu:13.2f}", flush=True)


async def ask(
    name: str, url: str, image: bytes, callers: int, options: argparse.Namespace, *, cached: bool = False
) -> None:
    config = OpenAiConfig(url=url, model="slow", concurrency=callers)
    with tempfile.TemporaryDirectory() as folder:
        rules = TargetsConfig.only(config, str(Path(folder) / "answers") if cached else None)
        async with open_target(config, rules, TargetMetrics(CollectorRegistry())) as target:
            nobody = revision_pb2.Revision()
            await tell(name, lambda seed: target.answer(image, PROMPT, nobody, 1, seed, SAMPLING), callers, options)


def alone(work: Callable[[], object], times: int) -> float:
    """Milliseconds of processor time."""
    start = time.process_time()
    for _ in range(times):
        work()
    return (time.process_time() - start) / times * 1000


def parts(name: str, image: bytes, times: int) -> None:
    config, question = OpenAiConfig(url="http://localhost", model="slow"), Question(image, PROMPT, 0.0, 64)
    request = alone(lambda: json.dumps(to_request(config, question, 1, 7)).encode(), times)
    reply = alone(lambda: to_said(REPLY), times)
    print(f"{name}: {len(image)} bytes; to make the request {request:.3f} ms, to read the reply {reply:.3f} ms")


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--latency", type=float, default=0.2)
    parser.add_argument("--concurrency", type=int, default=32)
    options = parser.parse_args()
    small = Shapes(World(), 0, "benchmark").sample(0).image
    photo = Image.fromarray(data.astronaut()).resize((1448, 1448), Image.Resampling.BICUBIC)
    large = encode_png(np.asarray(photo))
    print(f"{'':34}{'answers/s':>9}{'of ideal':>10}{'CPU ms each':>13}")
    await tell("only waiting", lambda _: asyncio.sleep(options.latency), options.concurrency, options)
    with endpoint(options.latency) as url:
        await ask("64 x 64", url, small, options.concurrency, options)
        await ask("64 x 64, kept in the cache", url, small, options.concurrency, options, cached=True)
        await ask("1448 x 1448, one caller", url, large, 1, options)
    parts("64 x 64", small, 1000)
    parts("1448 x 1448", large, 10)


if __name__ == "__main__":
    asyncio.run(main())

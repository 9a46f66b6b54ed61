"""An endpoint that plays a script, and a clock that no test waits for."""

from __future__ import annotations

import asyncio
import contextlib
import json
import ssl
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from sparring.referee.opponents import Answers
from sparring.referee.targets.config import OipConfig, OpenAiConfig, TargetsConfig
from sparring.referee.targets.foreign import ForeignTarget
from sparring.referee.targets.metrics import TargetMetrics
from sparring.referee.targets.opening import open_target
from sparring.referee.targets.pacing import Clock
from sparring.samples.shapes import Shapes, World
from sparring.v1 import defender_pb2, revision_pb2

IMAGE = Shapes(World(bystanders=(1, 1)), 0, "targets").sample(0).image
PROMPT = "What colour is the disc?\n(A) red\n(B) green"
MODEL = "house/model"


@dataclass(frozen=True)
class Seen:
    """A request as it arrived; header names in lower case."""

    path: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> dict[str, Any]:
        read: dict[str, Any] = json.loads(self.body)
        return read


def reply(body: object = b"", status: int = 200, **headers: str) -> bytes:
    """A whole HTTP reply; what is not bytes is sent as JSON, and `_` in a header's name stands for `-`."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    lines = [f"HTTP/1.1 {status} Whatever", f"content-length: {len(content)}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + content


def completion(*texts: object, finish: str = "stop", **fields: object) -> dict[str, object]:
    """A chat completion that says so."""
    choices = [
        {"index": index, "message": {"role": "assistant", "content": text}, "finish_reason": finish}
        for index, text in enumerate(texts)
    ]
    return {"id": "1", "object": "chat.completion", "model": "house/model-0613", "choices": choices, **fields}


class Endpoint:
    """Replies with what stands in `script`, and with `usual` after its end."""

    def __init__(self) -> None:
        self.script: list[bytes | Callable[[asyncio.StreamWriter], None]] = []
        self.usual: bytes | Callable[[asyncio.StreamWriter], None] = reply(completion("\\boxed{A}"))
        self.seen: list[Seen] = []
        self.connections = 0
        self.busy = self.busiest = 0
        self.open = asyncio.Event()
        self.open.set()
        self.arrived = asyncio.Condition()
        self.address = ""

    @property
    def url(self) -> str:
        return f"http://{self.address}/v1"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        self.connections += 1
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while not writer.is_closing():
                await self._one(reader, writer)
        writer.close()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").splitlines()
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:] if line)}
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        self.busy += 1
        self.busiest = max(self.busiest, self.busy)
        async with self.arrived:
            self.seen.append(Seen(head[0].split()[1], headers, body))
            self.arrived.notify_all()
        await self.open.wait()
        self.busy -= 1
        act = self.script.pop(0) if self.script else self.usual
        if callable(act):
            act(writer)
        else:
            writer.write(act)
        await writer.drain()

    async def until(self, requests: int) -> None:
        """Wait for so many requests."""
        async with self.arrived:
            await self.arrived.wait_for(lambda: len(self.seen) >= requests)


def reset(writer: asyncio.StreamWriter) -> None:
    """Cut the connection without a word."""
    writer.transport.abort()


def silence(writer: asyncio.StreamWriter) -> None:
    """Never reply."""


@pytest.fixture
async def endpoint() -> AsyncIterator[Endpoint]:
    """On a free port."""
    async with listening() as found:
        yield found


@asynccontextmanager
async def listening(tls: ssl.SSLContext | None = None) -> AsyncIterator[Endpoint]:
    found = Endpoint()
    connections: set[asyncio.Task[None]] = set()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(found.serve(reader, writer))
        connections.add(task)
        task.add_done_callback(connections.discard)

    server = await asyncio.start_server(accept, "127.0.0.1", 0, ssl=tls, limit=1 << 20)
    found.address = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield found
    finally:
        server.close()
        for task in list(connections):
            task.cancel()
        await asyncio.gather(*connections, return_exceptions=True)


class Watch:
    """A clock that is set forward by whoever sleeps, and a die that always falls the same."""

    def __init__(self) -> None:
        self.time, self.slept, self.drawn = 1000.0, list[float](), 0.5

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.time += seconds

    @property
    def clock(self) -> Clock:
        return Clock(lambda: self.time, lambda: 1_800_000_000 + self.time, self.sleep, lambda: self.drawn)


@dataclass
class Asked:
    """A target, and what was counted about it."""

    target: ForeignTarget
    registry: CollectorRegistry
    watch: Watch
    host: str

    async def ask(self, *, image: bytes = IMAGE, count: int = 1, seed: int = 7, temperature: float = 0.0) -> Answers:
        sampling = defender_pb2.AnswerSampling(temperature=temperature, max_tokens=24)
        return await self.target.answer(image, PROMPT, revision_pb2.Revision(), count, seed, sampling)

    async def texts(self, **how: object) -> list[str]:
        return [answer.text for answer in (await self.ask(**how)).answers]  # type: ignore[arg-type]

    def counted(self, name: str, **labels: str) -> float:
        """A metric of the host; 0 if it was never touched."""
        return self.registry.get_sample_value(f"sparring_target_{name}_total", {"host": self.host, **labels}) or 0.0


Opened = Callable[..., AbstractAsyncContextManager[Asked]]


@asynccontextmanager
async def asked(
    config: OpenAiConfig | OipConfig, rules: TargetsConfig | None = None, cache: Path | None = None
) -> AsyncIterator[Asked]:
    """The target of a configuration, which alone may be called unless there are rules."""
    registry, watch = CollectorRegistry(), Watch()
    rules = rules or TargetsConfig.only(config, str(cache) if cache else None)
    async with open_target(config, rules, TargetMetrics(registry), watch.clock) as target:
        yield Asked(target, registry, watch, config.place.authority)


@pytest.fixture
def openai(endpoint: Endpoint) -> Opened:
    """A target that asks the endpoint: `async with openai(attempts=2) as it`."""

    def start(cache: Path | None = None, **settings: object) -> AbstractAsyncContextManager[Asked]:
        given = {"url": endpoint.url, "model": MODEL, **settings}
        return asked(OpenAiConfig.model_validate(given), cache=cache)

    return start

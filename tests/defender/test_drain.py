"""A signal ends the process once all calls in flight have ended, whichever port they came by."""

from __future__ import annotations

import asyncio
import sys
import urllib.request
from contextlib import suppress
from pathlib import Path

import grpc
import httpx
import pytest

from sparring.defender.config import DefenderConfig
from sparring.ledgers.storage import Storage
from sparring.policies.config import MllmConfig
from sparring.serving.addresses import Addresses
from sparring.serving.config import QueueConfig, ServingConfig, WeightsConfig
from sparring.v1.defender_pb2_grpc import DefenderStub
from tests.defender.asking import Asking, asking, texts

PROGRAM = Path(__file__).with_name("patient.py")


class Reached:
    """A process that serves, by its addresses."""

    def __init__(self, addresses: Addresses, channel: grpc.aio.Channel) -> None:
        self.addresses, self.stub = addresses, DefenderStub(channel)

    @property
    def rest(self) -> str:
        return f"http://{self.addresses.rest}"

    async def waiting(self, answers: int) -> None:
        """Return when so many answers wait."""
        line = f'sparring_queue_depth{{queue="answers"}} {answers}.0'
        url = f"http://{self.addresses.metrics}/metrics"
        while line not in (await asyncio.to_thread(lambda: urllib.request.urlopen(url).read())).decode():
            await asyncio.sleep(0.01)


async def test_calls_in_flight_end_on_every_port_and_new_ones_are_refused(tmp_path):
    config = DefenderConfig(
        serving=ServingConfig(
            address_file=str(tmp_path / "addresses.json"), open_inference=True, rest_port=0, drain_seconds=250
        ),
        storage=Storage(root=str(tmp_path / "root")),
        weights=WeightsConfig(serve_base=True),
        mllm=MllmConfig(base="none"),
        queue=QueueConfig(batch=1),
    )
    pipe = asyncio.subprocess.PIPE
    child = await asyncio.create_subprocess_exec(
        sys.executable, str(PROGRAM), config.model_dump_json(), stdin=pipe, stdout=pipe, stderr=pipe
    )
    try:
        while b'"listening"' not in (line := await child.stderr.readline()):
            assert line, f"it ended with status {await child.wait()}"
        addresses = Addresses.read(tmp_path / "addresses.json")
        async with grpc.aio.insecure_channel(addresses.grpc) as channel:
            reached = Reached(addresses, channel)
            async with asking(reached) as ask:
                await end(child, reached, ask)
        assert await child.wait() == 0
    finally:
        if child.returncode is None:
            child.kill()
        await child.wait()


async def end(child: asyncio.subprocess.Process, reached: Reached, ask: Asking) -> None:
    calls = [asyncio.create_task(call()) for call in (ask.by_contract, ask.by_grpc, ask.by_http, ask.by_chat)]
    assert await child.stdout.readline() == b"entered\n"
    await reached.waiting(6)
    child.terminate()
    with pytest.raises(httpx.ConnectError):
        await ask_until_refused(f"{reached.rest}/v2/health/live")
    child.stdin.write(b"go on\n" * 4)
    contract, over_grpc, over_http, chat = await asyncio.gather(*calls)
    answers = [contract, texts(over_grpc), texts(over_http), [choice.message.content for choice in chat.choices]]
    assert answers == [["go on"] * 2] * 4


async def ask_until_refused(url: str) -> None:
    """New connections are refused a moment after the signal; one made in that moment may be closed unanswered."""
    while True:
        async with httpx.AsyncClient(timeout=None) as http:
            with suppress(httpx.RemoteProtocolError, httpx.ReadError):
                await http.get(url)

"""The port for HTTP: encrypted as the main port is, and closed without losing a request."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import ssl
from pathlib import Path

import httpx
import pytest

from sparring.serving.config import Tls
from sparring.serving.standards.rest import listen
from tests.certificates import Certificate, issue


@pytest.fixture(scope="module")
def authority() -> Certificate:
    return issue("throwaway authority")


@pytest.fixture
def tls(tmp_path: Path, authority: Certificate) -> Tls:
    place(tmp_path, issue("server", authority))
    return Tls(certificate=str(tmp_path / "tls.pem"), key=str(tmp_path / "key.pem"))


def place(folder: Path, certificate: Certificate) -> None:
    for name, content in (("tls.pem", certificate.pem), ("key.pem", certificate.key_pem)):
        partial = folder / f"{name}.partial"
        partial.write_bytes(content)
        os.replace(partial, folder / name)


async def status(speaking, roots: Certificate, client: Path | None = None) -> int:
    """Status of a request over a new connection that trusts `roots`."""
    context = ssl.create_default_context(cadata=roots.pem.decode())
    if client is not None:
        context.load_cert_chain(client / "tls.pem", client / "key.pem")
    port = speaking.addresses.rest.rpartition(":")[2]
    async with httpx.AsyncClient(verify=context, timeout=None) as http:
        return (await http.get(f"https://localhost:{port}/v2/models")).status_code


async def ask_until_refused(url: str) -> None:
    """New connections are refused a moment after the end has begun."""
    while True:
        async with httpx.AsyncClient(timeout=None) as http:
            await http.get(url)


async def test_the_port_is_encrypted_where_the_main_port_is(speak, tls, authority):
    async with speak(tls=tls) as speaking:
        assert await status(speaking, authority) == 200
        with pytest.raises(httpx.TransportError):
            await speaking.http.get("/v2/models")


async def test_a_new_certificate_is_taken_up_without_a_restart(speak, tls, authority):
    successor = issue("next authority")
    async with speak(tls=tls) as speaking:
        assert await status(speaking, authority) == 200
        place(Path(tls.key).parent, issue("server", successor))
        assert await status(speaking, successor) == 200
        Path(tls.key).unlink()
        assert await status(speaking, successor) == 200


async def test_a_certificate_is_asked_for_where_the_main_port_asks(speak, tls, authority, tmp_path):
    (tmp_path / "ca.pem").write_bytes(authority.pem)
    for name, signer in (("known", authority), ("forged", issue("another authority"))):
        (tmp_path / name).mkdir()
        place(tmp_path / name, issue("client", signer))
    async with speak(tls=tls.model_copy(update={"client_ca": str(tmp_path / "ca.pem")})) as speaking:
        assert await status(speaking, authority, tmp_path / "known") == 200
        for client in (None, tmp_path / "forged"):
            with pytest.raises(httpx.TransportError):
                await status(speaking, authority, client)


async def test_a_missing_file_is_named_at_the_start(speak, tls):
    Path(tls.key).unlink()
    with pytest.raises(FileNotFoundError, match=r"key\.pem"):
        async with speak(tls=tls):
            pass


async def test_a_port_that_is_taken_is_told_at_the_start(speak):
    async with speak() as speaking:
        port = int(speaking.addresses.rest.rpartition(":")[2])
        with pytest.raises(OSError, match="in use"):
            async with speak(rest_port=port):
                pass


async def test_draining_refuses_new_requests_and_finishes_old_ones(speak):
    async with speak() as speaking:
        waiting = asyncio.create_task(speaking.post("wait"))
        await speaking.parrot.entered.wait()
        drain = asyncio.create_task(speaking.runner.drain())
        with pytest.raises(httpx.ConnectError):
            await ask_until_refused(f"{speaking.url}/v2/health/live")
        assert not waiting.done()
        speaking.parrot.release.set()
        assert (await waiting).json()["outputs"][0]["data"] == ["wait"]
        await drain


async def test_a_request_that_does_not_end_is_cut_off_after_the_time_to_drain(speak):
    async with speak(drain_seconds=0) as speaking:
        waiting = asyncio.create_task(speaking.post("wait"))
        await speaking.parrot.entered.wait()
        await speaking.runner.drain()
        await speaking.parrot.cancelled.wait()
        assert (await waiting).status_code == 503


def test_responses_do_not_wait_for_more():
    with (
        listen("127.0.0.1", 0) as listener,
        socket.create_connection(listener.getsockname()),
        listener.accept()[0] as one,
    ):
        assert one.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


async def test_signals_are_left_to_the_runner(speak):
    before = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)]
    async with speak() as speaking:
        await speaking.post("hello")
        assert [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)] == before

"""How an endpoint is called, and what becomes of everything that it may do wrong."""

from __future__ import annotations

import asyncio
import gzip
import socket
import ssl
from collections.abc import Callable
from email.utils import formatdate
from pathlib import Path

import grpc
import pytest

from sparring.referee.errors import OpponentError
from sparring.referee.targets.config import Allowed, OpenAiConfig, TargetsConfig
from tests.certificates import issue

from .conftest import MODEL, Endpoint, Opened, asked, completion, listening, reply, reset, silence

RIGHT = "\\boxed{A}"
Script = bytes | Callable[[asyncio.StreamWriter], None]
BUSY = {"error": {"message": "slow down", "type": "rate_limit"}}


def code(error: pytest.ExceptionInfo[OpponentError]) -> str:
    assert error.value.who == "target"
    return str(error.value.code.name)


async def test_connections_are_kept_and_requests_run_side_by_side(endpoint: Endpoint, openai: Opened) -> None:
    async with openai(concurrency=4) as it:
        endpoint.open.clear()
        calls = [asyncio.ensure_future(it.ask(seed=seed)) for seed in range(12)]
        await endpoint.until(4)
        endpoint.open.set()
        await asyncio.gather(*calls)
        assert it.counted("requests", outcome="answered") == 12
    assert (endpoint.busiest, endpoint.connections, len(endpoint.seen)) == (4, 4, 12)


async def test_requests_are_spaced_as_configured(endpoint: Endpoint, openai: Opened) -> None:
    async with openai(requests_per_second=2) as it:
        endpoint.script = [reply(b"", 500)]
        for seed in range(3):
            await it.ask(seed=seed)
        assert it.watch.time >= 1000 + 3 * 0.5


@pytest.mark.parametrize(
    ("status", "outcome"),
    [(408, "http_408"), (429, "http_429"), (500, "http_500"), (502, "http_502"), (503, "http_503"), (529, "http_529")],
)
async def test_what_passes_is_tried_again(endpoint: Endpoint, openai: Opened, status: int, outcome: str) -> None:
    endpoint.script = [reply(BUSY, status)] * 3
    async with openai(backoff_seconds=1.0) as it:
        assert await it.texts() == [RIGHT]
        assert it.watch.slept == [0.75, 1.5, 3.0]  # half of 1, 2 and 4 seconds is drawn, and the die says half of that
        assert it.counted("requests", outcome=outcome) == 3
        assert it.counted("requests", outcome="answered") == 1


@pytest.mark.parametrize(
    ("status", "wanted"),
    [
        (400, "INVALID_ARGUMENT"),
        (401, "UNAUTHENTICATED"),
        (403, "PERMISSION_DENIED"),
        (404, "NOT_FOUND"),
        (422, "INVALID_ARGUMENT"),
    ],
)
async def test_what_is_refused_is_not_tried_again(endpoint: Endpoint, openai: Opened, status: int, wanted: str) -> None:
    endpoint.usual = reply({"error": {"message": "max_tokens is not supported"}}, status)
    async with openai() as it:
        with pytest.raises(
            OpponentError, match=f"target at {endpoint.url}/chat/completions.*HTTP {status}.*max_to"
        ) as e:
            await it.ask()
    assert code(e) == wanted
    assert len(endpoint.seen) == 1
    assert it.watch.slept == []


async def test_attempts_end(endpoint: Endpoint, openai: Opened) -> None:
    endpoint.usual = reply(BUSY, 429)
    async with openai(attempts=3) as it:
        with pytest.raises(OpponentError, match=r"HTTP 429.*slow down") as caught:
            await it.ask()
        assert (code(caught), len(endpoint.seen)) == ("RESOURCE_EXHAUSTED", 3)


@pytest.mark.parametrize("status", [429, 503])
async def test_an_endpoint_that_says_when_to_come_again_is_obeyed(
    endpoint: Endpoint, openai: Opened, status: int
) -> None:
    endpoint.script = [reply(BUSY, status, retry_after="7")]
    async with openai(backoff_seconds=1.0) as it:
        assert await it.texts() == [RIGHT]
        assert it.watch.time >= 1007
        assert it.watch.time <= 1008


async def test_it_may_say_so_by_a_date(endpoint: Endpoint, openai: Opened) -> None:
    async with openai() as it:
        endpoint.script = [reply(BUSY, 429, retry_after=formatdate(1_800_001_000 + 20, usegmt=True))]
        await it.ask()
        assert 1020 <= it.watch.time <= 1021


async def test_who_is_told_to_wait_is_told_so_for_all(endpoint: Endpoint, openai: Opened) -> None:
    endpoint.script = [reply(BUSY, 429, retry_after="30")]
    async with openai(attempts=1) as it:
        with pytest.raises(OpponentError):
            await it.ask()
        assert it.watch.time == 1000  # who gives up waits for nothing
    endpoint.script = [reply(BUSY, 429, retry_after="30")]
    async with openai(concurrency=1) as it:
        await asyncio.gather(*(it.ask(seed=seed) for seed in range(3)))
        assert it.watch.time >= 1030
        assert len(endpoint.seen) == 1 + 4


async def test_an_endpoint_that_wants_too_long_a_wait_is_given_up(endpoint: Endpoint, openai: Opened) -> None:
    endpoint.usual = reply(BUSY, 429, retry_after="3600")
    async with openai(longest_wait_seconds=60) as it:
        with pytest.raises(OpponentError, match="try again in 3600 s") as caught:
            await it.ask()
    assert (caught.value.retry_seconds, len(endpoint.seen), it.watch.slept) == (3600, 1, [])


async def test_a_redirect_is_not_followed_and_named(endpoint: Endpoint, openai: Opened) -> None:
    async with listening() as elsewhere:
        for status in (301, 302, 307, 308):
            endpoint.usual = reply(b"", status, location=f"{elsewhere.url}/chat/completions")
            async with openai() as it:
                with pytest.raises(OpponentError, match=f"HTTP {status} points to {elsewhere.url}.*not followed") as e:
                    await it.ask()
            assert code(e) == "FAILED_PRECONDITION"
        assert elsewhere.seen == []
        assert len(endpoint.seen) == 4


@pytest.mark.parametrize("broken", [reset, lambda writer: writer.close(), b"HTTP/1.1 2", b"nonsense\r\n\r\n"])
async def test_a_connection_that_breaks_is_made_again(endpoint: Endpoint, openai: Opened, broken: Script) -> None:
    def half(writer: asyncio.StreamWriter) -> None:
        assert isinstance(broken, bytes)
        writer.write(broken)
        writer.close()

    endpoint.script = [broken if callable(broken) else half] * 2
    async with openai() as it:
        assert await it.texts() == [RIGHT]
        assert it.counted("requests", outcome="connection") == 2


async def test_a_reply_that_ends_too_early_is_asked_for_again(endpoint: Endpoint, openai: Opened) -> None:
    def half(writer: asyncio.StreamWriter) -> None:
        writer.write(reply(completion(RIGHT))[:-20])
        writer.close()

    endpoint.script = [half]
    async with openai() as it:
        assert await it.texts() == [RIGHT]
        assert it.counted("requests", outcome="connection") == 1


async def test_nobody_there(openai: Opened) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        async with openai(url=f"http://127.0.0.1:{taken.getsockname()[1]}/v1", attempts=2) as it:
            with pytest.raises(OpponentError, match="the connection failed") as caught:
                await it.ask()
    assert code(caught) == "UNAVAILABLE"


async def test_an_endpoint_that_says_nothing_is_given_up_in_time(endpoint: Endpoint, openai: Opened) -> None:
    endpoint.usual = silence
    async with openai(attempts=2, read_seconds=0.02) as it:
        with pytest.raises(OpponentError, match="no whole reply in time") as caught:
            await it.ask()
        assert it.counted("requests", outcome="timeout") == 2
    assert code(caught) == "DEADLINE_EXCEEDED"


async def test_a_reply_without_end_is_given_up_in_time(endpoint: Endpoint, openai: Opened) -> None:
    def drip(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")

        def more() -> None:
            if not writer.is_closing():
                writer.write(b"1\r\n \r\n")
                asyncio.get_running_loop().call_soon(more)

        more()

    endpoint.usual = drip
    async with openai(attempts=1, read_seconds=0.02, connect_seconds=0.03, max_reply_bytes=2**40) as it:
        with pytest.raises(OpponentError, match="in time") as caught:
            await it.ask()
    assert code(caught) == "DEADLINE_EXCEEDED"


async def test_a_huge_reply_is_not_read(endpoint: Endpoint, openai: Opened) -> None:
    endpoint.usual = reply(completion("x" * 5000))
    async with openai(max_reply_bytes=4096) as it:
        with pytest.raises(OpponentError, match=r"more than 4096 bytes \(max_reply_bytes\)") as caught:
            await it.ask()
        assert (code(caught), len(endpoint.seen)) == ("INTERNAL", 1)
        endpoint.usual = reply(completion("x" * 3000))
        assert await it.texts() == ["x" * 3000]


async def test_what_was_not_asked_for_is_not_unpacked(endpoint: Endpoint, openai: Opened) -> None:
    endpoint.usual = reply(gzip.compress(b"0" * 10**6), content_encoding="gzip")
    async with openai() as it:
        with pytest.raises(OpponentError, match="encoded as 'gzip'"):
            await it.ask()
    assert endpoint.seen[0].headers["accept-encoding"] == "identity"


async def test_the_key_is_sent_and_told_to_nobody(
    endpoint: Endpoint, openai: Opened, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("MY_KEY", "sk-hidden")
    caplog.set_level("DEBUG")
    endpoint.script = [reply({"error": "Incorrect API key provided: sk-hidden"}, 401)]
    async with openai(key_env="MY_KEY") as it:
        with pytest.raises(OpponentError, match=r"provided: \[key\].*from the environment variable MY_KEY") as caught:
            await it.ask()
        await it.ask()
    assert endpoint.seen[0].headers["authorization"] == "Bearer sk-hidden"
    assert "sk-hidden" not in f"{caught.value} {caught.value.__cause__} {caught.value.violations}"
    assert "sk-hidden" not in caplog.text


async def test_without_a_key_none_is_sent_and_the_environment_is_not_asked(
    endpoint: Endpoint, openai: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "ALL_PROXY", "http_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-other")
    endpoint.usual = reply(completion(RIGHT), set_cookie="a=b")
    async with openai() as it:
        await it.ask()
        await it.ask()
    for seen in endpoint.seen:
        assert not {"authorization", "cookie"} & seen.headers.keys()
        assert seen.headers["host"] == endpoint.address


async def test_a_name_is_called_at_permitted_addresses_only(
    endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = int(endpoint.address.rpartition(":")[2])
    found = ["93.184.216.34", "127.0.0.1"]

    async def lookup(host: str, port: int, **how: object) -> list[tuple[object, ...]]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in found]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", lookup)
    config = OpenAiConfig(url=f"http://models.example.org:{port}/v1", model=MODEL)
    async with asked(config) as it:
        with pytest.raises(OpponentError, match=r"models\.example\.org resolves to 127\.0\.0\.1") as caught:
            await it.ask()
    assert (code(caught), endpoint.seen) == ("FAILED_PRECONDITION", [])
    local = OpenAiConfig(url=f"http://localhost:{port}/v1", model=MODEL)
    found[:] = ["::1", "127.0.0.1"]
    rules = TargetsConfig(allowed=(Allowed(host="localhost:*"),))
    async with asked(local, rules) as it:
        assert await it.texts() == [RIGHT]  # the first address does not answer, the second does


async def test_a_name_that_nobody_has(monkeypatch: pytest.MonkeyPatch, openai: Opened) -> None:
    async def lookup(host: str, port: int, **how: object) -> list[tuple[object, ...]]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", lookup)
    async with openai(url="https://no.such.example", attempts=1) as it:
        with pytest.raises(OpponentError, match=r"no\.such\.example can't be resolved: Name or service") as caught:
            await it.ask()
    assert caught.value.code is grpc.StatusCode.UNAVAILABLE


async def test_an_endpoint_must_prove_who_it_is(tmp_path: Path) -> None:
    authority = issue("throwaway authority")
    certificate = issue("server", authority)
    for name, content in (("ca.pem", authority.pem), ("s.pem", certificate.pem), ("s.key", certificate.key_pem)):
        (tmp_path / name).write_bytes(content)
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(tmp_path / "s.pem", tmp_path / "s.key")
    async with listening(tls) as endpoint:
        port = endpoint.address.rpartition(":")[2]

        def config(host: str, roots: str | None) -> OpenAiConfig:
            return OpenAiConfig(url=f"https://{host}:{port}/v1", model=MODEL, roots=roots)

        async with asked(config("localhost", str(tmp_path / "ca.pem"))) as it:
            assert await it.texts() == [RIGHT]
        for host, roots in (("localhost", None), ("127.0.0.1", str(tmp_path / "ca.pem"))):
            async with asked(config(host, roots)) as it:
                with pytest.raises(OpponentError, match="certificate is not to be trusted") as caught:
                    await it.ask()
                assert (code(caught), it.watch.slept) == ("FAILED_PRECONDITION", [])
        assert len(endpoint.seen) == 1


async def test_a_cancelled_call_leaves_its_place_to_others(endpoint: Endpoint, openai: Opened) -> None:
    async with openai(concurrency=1) as it:
        endpoint.open.clear()
        call = asyncio.ensure_future(it.ask())
        await endpoint.until(1)
        call.cancel()
        await asyncio.gather(call, return_exceptions=True)
        endpoint.open.set()
        assert await it.texts() == [RIGHT]

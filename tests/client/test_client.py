from __future__ import annotations

import asyncio
import time

import grpc
import pytest

from sparring.client.channel import Endpoint
from sparring.client.client import AioClient, Client
from sparring.client.errors import Refused
from sparring.v1 import referee_pb2


def match(match_id: str, image: bytes = b"x") -> referee_pb2.PlayRequest:
    return referee_pb2.PlayRequest(key=referee_pb2.MatchKey(match_id=match_id), sample={"image": image})


def call_blocking(endpoint, method, request, seconds=20.0):
    with Client(endpoint) as client:
        return list(getattr(client, method)(request, seconds=seconds))


def call_aio(endpoint, method, request, seconds=20.0):
    async def collect():
        async with AioClient(endpoint) as client:
            return [event async for event in getattr(client, method)(request, seconds=seconds)]

    return asyncio.run(collect())


@pytest.fixture(params=[call_blocking, call_aio], ids=["blocking", "aio"])
def call(request, referee):
    """Call a method of either client and return all events."""

    def of(method, message, *, token=None, **arguments):
        return request.param(Endpoint(f"127.0.0.1:{referee.port}", token=token), method, message, **arguments)

    return of


def test_events_come_in_order(call):
    judged, played = call("play", match("m"))
    assert judged.judged.edit_id == "e0"
    assert played.played.group_id == "m"


def test_a_check_ends_with_its_report(call):
    events = call("check", referee_pb2.CheckRequest())
    assert [event.WhichOneof("event") for event in events] == ["progress", "report"]
    assert events[-1].report.clean.n == 4


def test_the_token_is_sent(call, referee):
    call("play", match("m"), token="secret")
    call("play", match("m"))
    assert [metadata.get("authorization") for metadata in referee.metadata] == ["Bearer secret", None]


def test_large_images_pass(call):
    assert call("play", match("m", image=bytes(8 * 2**20)))


def test_every_violation_is_told(call):
    with pytest.raises(Refused) as caught:
        call("play", match("bad"))
    assert caught.value.code is grpc.StatusCode.INVALID_ARGUMENT
    assert caught.value.fields == (("sample.image", "is empty"), ("seed", "is odd"))
    assert str(caught.value) == "INVALID_ARGUMENT: no good\n  sample.image: is empty\n  seed: is odd"


def test_a_full_queue_says_when_to_come_again(call, referee):
    with pytest.raises(Refused, match=r"RESOURCE_EXHAUSTED: no room \(try again in 0\.25 s\)") as caught:
        call("play", match("full"))
    assert caught.value.retry_seconds == 0.25
    assert len(referee.metadata) == 1, "waiting is the caller's decision"


def test_a_status_without_details(call):
    with pytest.raises(Refused, match="NOT_FOUND: not here") as caught:
        call("play", match("bare"))
    assert (caught.value.fields, caught.value.retry_seconds) == ((), None)


def test_a_server_that_starts_is_tried_again(call, referee):
    assert len(call("play", match("once"))) == 2
    assert len(referee.metadata) == 2


def test_a_stream_that_broke_is_not_started_again(call, referee):
    with pytest.raises(Refused, match="UNAVAILABLE: going"):
        call("play", match("broken"))
    assert len(referee.metadata) == 1


def test_the_deadline_is_kept(call):
    start = time.monotonic()
    with pytest.raises(Refused, match="DEADLINE_EXCEEDED"):
        call("play", match("endless"), seconds=0.3)
    assert time.monotonic() - start < 10


def test_who_stops_listening_cancels_the_call(referee):
    with Client(Endpoint(f"127.0.0.1:{referee.port}")) as client:
        events = client.play(match("endless"), seconds=30)
        next(events)
        assert not referee.left.is_set()
        events.close()
        assert referee.left.wait(10)


async def test_who_stops_listening_cancels_the_call_aio(referee):
    async with AioClient(Endpoint(f"127.0.0.1:{referee.port}")) as client:
        events = client.play(match("endless"), seconds=30)
        await anext(events)
        assert not referee.left.is_set()
        await events.aclose()
        assert await asyncio.to_thread(referee.left.wait, 10)

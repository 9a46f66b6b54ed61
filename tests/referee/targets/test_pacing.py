"""How many requests are in flight, and how often they begin."""

from __future__ import annotations

import asyncio

import pytest

from sparring.referee.targets.pacing import Pacer

from .conftest import Watch


async def test_requests_begin_evenly_and_no_faster_than_they_may() -> None:
    watch, begun = Watch(), list[float]()
    pacer = Pacer(3, 4.0, watch.clock)

    async def request() -> None:
        async with pacer.turn():
            begun.append(watch.time)

    for _ in range(9):
        await request()
    assert begun == pytest.approx([1000 + 0.25 * index for index in range(9)])


async def test_time_without_requests_is_not_saved_up() -> None:
    watch, begun = Watch(), list[float]()
    pacer = Pacer(1, 1.0, watch.clock)
    watch.time += 60
    for _ in range(3):
        async with pacer.turn():
            begun.append(watch.time)
    assert begun == pytest.approx([1060, 1061, 1062])


async def test_no_more_requests_are_in_flight_than_may_be() -> None:
    pacer, inside, most, leave = Pacer(4, None, Watch().clock), 0, 0, asyncio.Event()

    async def request() -> None:
        nonlocal inside, most
        async with pacer.turn():
            inside += 1
            most = max(most, inside)
            if inside == 4:
                leave.set()
            await leave.wait()
            inside -= 1

    await asyncio.gather(*(request() for _ in range(20)))
    assert most == 4


async def test_a_rest_holds_back_all() -> None:
    watch, begun = Watch(), list[float]()
    pacer = Pacer(8, None, watch.clock)
    pacer.rest(30)
    pacer.rest(5)

    async def request() -> None:
        async with pacer.turn():
            begun.append(watch.time)

    await asyncio.gather(*(request() for _ in range(3)))
    assert min(begun) >= 1030

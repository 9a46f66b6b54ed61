"""Where images are looked at."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
from prometheus_client import CollectorRegistry

from sparring.referee import bench as room
from sparring.referee.bench import Bench
from sparring.referee.config import Opponent, RefereeConfig
from sparring.referee.correlation import Pixels
from sparring.referee.metrics import RefereeMetrics
from sparring.samples.images import BadImage, decode
from sparring.samples.sample import Sample
from sparring.samples.shapes import Shapes, World

NOBODY = Opponent(address="127.0.0.1:1")


@pytest.fixture
def bench() -> Iterator[Bench]:
    with ThreadPoolExecutor(2) as threads:
        yield Bench(RefereeConfig(attacker=NOBODY, defender=NOBODY), threads, RefereeMetrics(CollectorRegistry()))


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """What has been decoded."""
    files: list[bytes] = []

    def counted(data: bytes, *, max_pixels: int, max_bytes: int) -> Pixels:
        files.append(data)
        return decode(data, max_pixels=max_pixels, max_bytes=max_bytes)

    monkeypatch.setattr(room, "decode", counted)
    return files


def sample(index: int = 0) -> Sample:
    return Shapes(World(), 3, "bench").sample(index)


async def test_who_asks_meanwhile_shares_one_look(bench: Bench, decoded: list[bytes]) -> None:
    one, other = sample(0), sample(1)
    found = await asyncio.gather(*(bench.examine(each) for each in (one, one, other, one)))
    assert sorted(decoded) == sorted([one.image, other.image])
    truth = [decode(each.image, max_pixels=1 << 20, max_bytes=1 << 20) for each in (one, one, other, one)]
    np.testing.assert_array_equal(found, truth)
    await bench.examine(one)
    assert len(decoded) == 3


async def test_who_gives_up_takes_it_from_nobody(bench: Bench) -> None:
    one = sample()
    first, second = (asyncio.create_task(bench.examine(one)) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    assert (await second).shape == (64, 64, 3)


async def test_a_broken_image_is_told_to_everyone(bench: Bench) -> None:
    broken = replace(sample(), image=sample().image[:200])
    found = await asyncio.gather(*(bench.examine(broken) for _ in range(3)), return_exceptions=True)
    assert [type(each) for each in found] == [BadImage] * 3

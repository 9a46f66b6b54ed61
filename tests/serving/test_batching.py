from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

import pytest
from prometheus_client import CollectorRegistry

from sparring.serving.batching import Batcher
from sparring.serving.config import QueueConfig
from sparring.serving.errors import DeadlinePassed, QueueFull, TooLarge
from sparring.serving.queue_metrics import QueueMetrics

from .conftest import Bell

FAR = float("inf")


@dataclass
class Model:
    """Doubles numbers, and waits for `gate` before it does. `entered` says that a batch has reached it."""

    batches: list[list[int]] = field(default_factory=list)
    gate: threading.Event = field(default_factory=threading.Event)
    entered: Bell = field(default_factory=Bell)

    def __call__(self, numbers: list[int]) -> list[int]:
        self.batches.append(numbers)
        self.entered.ring()
        self.gate.wait()
        if 13 in numbers:
            raise ArithmeticError("thirteen")
        return [2 * number for number in numbers]


@pytest.fixture
async def model() -> AsyncIterator[Model]:
    """Its gate is open in the end, lest the thread of a test that failed wait there for ever."""
    model = Model()
    yield model
    model.gate.set()


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
def make(registry: CollectorRegistry) -> Callable[..., Batcher[int, int]]:
    def batcher(
        model: Callable[[list[int]], list[int]],
        *,
        key: Callable[[int], object] = lambda number: 0,
        cost: Callable[[int], int] = lambda number: 1,
        **config: float,
    ) -> Batcher[int, int]:
        return Batcher(model, key=key, cost=cost, config=QueueConfig(**config), metrics=QueueMetrics(registry, "q"))

    return batcher


async def ask(batcher: Batcher[int, int], number: int, deadline: float = FAR) -> int:
    with batcher.submit([number], deadline) as (future,):
        return await future


async def behind(batcher: Batcher[int, int], model: Model, *numbers: int) -> list[asyncio.Task[int]]:
    """Tasks that ask for `numbers` in this order, while the model is busy with the first of them."""
    first = asyncio.create_task(ask(batcher, numbers[0]))
    await model.entered.wait()
    rest = [asyncio.create_task(ask(batcher, number)) for number in numbers[1:]]
    await asyncio.sleep(0)
    return [first, *rest]


async def rounds(count: int = 20) -> None:
    """Let the event loop do all that can be done at this moment."""
    for _ in range(count):
        await asyncio.sleep(0)


async def test_what_arrives_while_the_model_is_busy_goes_together(make, model):
    async with make(model, batch=4, wait_seconds=0) as batcher:
        tasks = await behind(batcher, model, 1, 2, 3, 4, 5, 6)
        model.gate.set()
        assert await asyncio.gather(*tasks) == [2, 4, 6, 8, 10, 12]
    assert model.batches == [[1], [2, 3, 4, 5], [6]]


async def test_an_idle_worker_waits_for_company_no_longer_than_until_the_batch_is_full(make, model, advance):
    model.gate.set()
    async with make(model, batch=3, wait_seconds=1) as batcher:
        assert await asyncio.gather(*(ask(batcher, number) for number in (1, 2, 3))) == [2, 4, 6]
    assert model.batches == [[1, 2, 3]]


async def test_an_idle_worker_waits_for_company_no_longer_than_it_was_told(make, model, advance):
    model.gate.set()
    async with make(model, batch=3, wait_seconds=1) as batcher:
        alone = asyncio.create_task(ask(batcher, 1))
        await rounds()
        assert model.batches == []
        advance(1.1)
        assert await alone == 2


async def test_keys_never_meet_in_a_batch_and_the_oldest_key_goes_first(make, model):
    async with make(model, key=lambda number: number % 2, batch=8, wait_seconds=0) as batcher:
        tasks = await behind(batcher, model, 0, 1, 2, 3, 4, 5)
        model.gate.set()
        await asyncio.gather(*tasks)
    assert model.batches == [[0], [1, 3, 5], [2, 4]]


async def test_a_batch_is_filled_by_cost_in_order_and_one_that_costs_more_runs_alone(make, model):
    async with make(model, cost=lambda number: number, batch=6, limit=40, wait_seconds=0) as batcher:
        tasks = await behind(batcher, model, 1, 3, 3, 2, 9, 1)
        model.gate.set()
        await asyncio.gather(*tasks)
    assert model.batches == [[1], [3, 3], [2], [9], [1]]


async def test_a_full_queue_refuses_and_says_when_there_will_be_room(make, model, registry):
    async with make(model, batch=1, limit=2, wait_seconds=0) as batcher:
        tasks = await behind(batcher, model, 1, 2, 3)
        with pytest.raises(QueueFull, match="2 wait already") as caught:
            await ask(batcher, 4)
        assert caught.value.retry_seconds > 0
        model.gate.set()
        assert await asyncio.gather(*tasks) == [2, 4, 6]
        assert await ask(batcher, 5) == 10
    assert registry.get_sample_value("sparring_queue_lost_total", {"queue": "q", "reason": "refused"}) == 1


async def test_a_call_is_admitted_whole_or_not_at_all(make, model):
    async with make(model, limit=3, wait_seconds=0) as batcher:
        tasks = await behind(batcher, model, 1, 2)
        with pytest.raises(QueueFull), batcher.submit([3, 4, 5], FAR):
            pass
        with pytest.raises(TooLarge, match="asks for 4"), batcher.submit([3, 4, 5, 6], FAR):
            pass
        model.gate.set()
        await asyncio.gather(*tasks)
    assert model.batches == [[1], [2]]


async def test_a_batch_that_raises_fails_its_own_entries_alone(make, model, registry):
    async with make(model, key=lambda number: number > 9, wait_seconds=0) as batcher:
        tasks = await behind(batcher, model, 1, 13, 14, 2)
        model.gate.set()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        assert await ask(batcher, 3) == 6
    assert [results[0], results[3]] == [2, 4]
    assert [str(results[1]), str(results[2])] == ["thirteen", "thirteen"]
    assert registry.get_sample_value("sparring_queue_lost_total", {"queue": "q", "reason": "failed"}) == 2


async def test_a_model_that_loses_results_is_found_out(make):
    async with make(lambda numbers: numbers[1:], wait_seconds=0) as batcher:
        with pytest.raises(RuntimeError, match="a batch of 1 gave 0 results"):
            await ask(batcher, 1)


async def test_who_is_late_is_not_run(make, model, registry):
    async with make(model, wait_seconds=0) as batcher:
        tasks = await behind(batcher, model, 1)
        late = asyncio.create_task(ask(batcher, 2, time.monotonic()))
        punctual = asyncio.create_task(ask(batcher, 3))
        await asyncio.sleep(0)
        model.gate.set()
        assert await asyncio.gather(*tasks, punctual) == [2, 6]
        with pytest.raises(DeadlinePassed):
            await late
    assert model.batches == [[1], [3]]
    assert registry.get_sample_value("sparring_queue_lost_total", {"queue": "q", "reason": "late"}) == 1


async def test_who_has_gone_is_not_run_and_makes_room_at_once(make, model, registry):
    async with make(model, limit=1, wait_seconds=0) as batcher:
        first, gone = await behind(batcher, model, 1, 2)
        gone.cancel()
        await asyncio.wait([gone])
        await asyncio.sleep(0)
        assert registry.get_sample_value("sparring_queue_depth", {"queue": "q"}) == 0
        third = asyncio.create_task(ask(batcher, 3))
        await asyncio.sleep(0)
        model.gate.set()
        assert await asyncio.gather(first, third) == [2, 6]
    assert model.batches == [[1], [3]]


async def test_one_who_goes_while_the_batch_runs_harms_nobody(make, model):
    async with make(model, batch=2, wait_seconds=1) as batcher:
        gone, other = (asyncio.create_task(ask(batcher, number)) for number in (1, 2))
        await model.entered.wait()
        gone.cancel()
        await asyncio.wait([gone])
        model.gate.set()
        assert await other == 4


async def test_leaving_drops_what_waits(make, model):
    async with make(model, wait_seconds=0) as batcher:
        tasks = await behind(batcher, model, 1, 2)
    model.gate.set()
    await asyncio.wait(tasks)
    assert [task.cancelled() for task in tasks] == [True, True]


async def test_counts_batches_and_time(make, model, registry):
    async with make(model, batch=4, wait_seconds=0) as batcher:
        tasks = await behind(batcher, model, 1, 2, 3)
        assert registry.get_sample_value("sparring_queue_depth", {"queue": "q"}) == 2
        model.gate.set()
        await asyncio.gather(*tasks)
    value = registry.get_sample_value
    assert value("sparring_batch_size_sum", {"queue": "q"}) == 3
    assert value("sparring_batch_size_count", {"queue": "q"}) == 2
    assert value("sparring_batch_seconds_count", {"queue": "q"}) == 2
    assert value("sparring_queue_age_seconds_count", {"queue": "q"}) == 3
    assert value("sparring_queue_depth", {"queue": "q"}) == 0

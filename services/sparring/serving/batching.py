"""Dynamic batching: calls that arrive together, or while the model is busy, go through it together.

One worker thread runs one batch at a time. Whatever has arrived meanwhile makes up the next: all entries with the
key of the oldest, in order of arrival, up to the largest batch. Keys keep apart what must not meet in a batch, above
all revisions. The queue is bounded; entries whose caller has gone or whose time is over leave it unrun.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Hashable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Generic, Self, TypeVar

from sparring.serving.config import QueueConfig
from sparring.serving.errors import DeadlinePassed, QueueFull, TooLarge
from sparring.serving.queue_metrics import QueueMetrics

ReqT = TypeVar("ReqT")
ResT = TypeVar("ResT")


@dataclass(eq=False)
class _Entry(Generic[ReqT, ResT]):
    """One request that waits. `deadline` and `arrived` are on the clock of `time.monotonic`, seconds."""

    request: ReqT
    key: Hashable
    cost: int
    deadline: float
    arrived: float
    result: asyncio.Future[ResT]


class Batcher(Generic[ReqT, ResT]):
    """Gathers requests into batches for `run`. Use it as an async context manager: leaving drops what waits, and a
    batch that runs then keeps the process alive until it ends.

    Args:
        run: does a batch, in the worker thread; returns one result per request, in order. What it raises ends the
            requests of that batch, and no other.
        key: requests with different keys never share a batch.
        cost: units of the largest batch and of the queue's limit that a request takes.
        config: the sizes. A request that costs more than a whole batch runs alone.
        metrics: where it counts.
    """

    def __init__(
        self,
        run: Callable[[list[ReqT]], Sequence[ResT]],
        *,
        key: Callable[[ReqT], Hashable],
        cost: Callable[[ReqT], int],
        config: QueueConfig,
        metrics: QueueMetrics,
    ) -> None:
        self._run, self._key, self._cost = run, key, cost
        self._config, self._metrics = config, metrics
        self._waiting: dict[_Entry[ReqT, ResT], None] = {}
        self._depth = 0
        self._arrival = asyncio.Event()
        self._unit_seconds = 0.0
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="batcher")

    async def __aenter__(self) -> Self:
        self._loop = asyncio.create_task(self._serve(), name="batcher")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.cancel()
        await asyncio.wait([self._loop])
        for entry in list(self._waiting):
            entry.result.cancel()
        self._worker.shutdown(wait=False)

    @contextmanager
    def submit(self, requests: Sequence[ReqT], deadline: float) -> Iterator[list[asyncio.Future[ResT]]]:
        """Queue all requests or none; leaving the block takes out those whose results nobody waits for any more.

        Args:
            requests: they may end up in different batches.
            deadline: when the caller stops waiting, on the clock of `time.monotonic`, seconds.

        Yields:
            A future per request. It raises what `run` raised, or `DeadlinePassed`.

        Raises:
            TooLarge: they would not fit into an empty queue.
            QueueFull: they do not fit now.
        """
        costs = [self._cost(request) for request in requests]
        self._admit(sum(costs), len(requests))
        futures = [self._enqueue(request, cost, deadline) for request, cost in zip(requests, costs, strict=True)]
        try:
            yield futures
        finally:
            for future in futures:
                if not future.cancel() and not future.cancelled():
                    future.exception()  # seen, so that asyncio does not complain of an error nobody waited for

    def _admit(self, cost: int, count: int) -> None:
        limit = self._config.limit
        if cost > limit:
            self._metrics.lost("refused", count)
            raise TooLarge(f"one call asks for {cost} at once; at most {limit} may wait: split it")
        if self._depth + cost > limit:
            self._metrics.lost("refused", count)
            message = f"{self._depth} wait already and {cost} more would exceed {limit}"
            raise QueueFull(message, retry_seconds=max(0.05, self._unit_seconds * self._depth))

    def _enqueue(self, request: ReqT, cost: int, deadline: float) -> asyncio.Future[ResT]:
        result: asyncio.Future[ResT] = asyncio.get_running_loop().create_future()
        entry = _Entry(request, self._key(request), cost, deadline, time.monotonic(), result)
        self._waiting[entry] = None
        self._add_depth(cost)
        result.add_done_callback(lambda future: self._forget(entry, future))
        self._arrival.set()
        return result

    def _forget(self, entry: _Entry[ReqT, ResT], future: asyncio.Future[ResT]) -> None:
        self._take(entry)
        if future.cancelled():
            self._metrics.lost("cancelled")

    def _take(self, entry: _Entry[ReqT, ResT]) -> None:
        if entry in self._waiting:
            del self._waiting[entry]
            self._add_depth(-entry.cost)

    def _add_depth(self, cost: int) -> None:
        self._depth += cost
        self._metrics.depth.set(self._depth)

    async def _serve(self) -> None:
        while True:
            if not self._waiting:
                self._arrival.clear()
                await self._arrival.wait()
                await self._gather_company()
            batch = self._next_batch()
            if batch:
                await self._execute(batch)

    async def _gather_company(self) -> None:
        end = time.monotonic() + self._config.wait_seconds
        while self._depth < self._config.batch and (left := end - time.monotonic()) > 0:
            self._arrival.clear()
            try:
                async with asyncio.timeout(left):
                    await self._arrival.wait()
            except TimeoutError:
                return

    def _next_batch(self) -> list[_Entry[ReqT, ResT]]:
        """Take the oldest entry that still has time, and what may go with it, out of the queue."""
        self._drop_lost()
        batch: list[_Entry[ReqT, ResT]] = []
        cost = 0
        for entry in list(self._waiting):
            if batch and entry.key != batch[0].key:
                continue
            if batch and cost + entry.cost > self._config.batch:
                break
            batch.append(entry)
            cost += entry.cost
            self._take(entry)
        return batch

    def _drop_lost(self) -> None:
        now = time.monotonic()
        for entry in [e for e in self._waiting if e.deadline <= now or e.result.cancelled()]:
            self._take(entry)
            if not entry.result.cancelled():
                self._metrics.lost("late")
                entry.result.set_exception(DeadlinePassed("the deadline passed before a batch was free"))

    async def _execute(self, batch: list[_Entry[ReqT, ResT]]) -> None:
        start, cost = time.monotonic(), sum(entry.cost for entry in batch)
        self._metrics.batch.observe(cost)
        for entry in batch:
            self._metrics.age.observe(start - entry.arrived)
        requests = [entry.request for entry in batch]
        try:
            results = await asyncio.get_running_loop().run_in_executor(self._worker, self._run_all, requests)
        except asyncio.CancelledError:
            for entry in batch:
                entry.result.cancel()
            raise
        except Exception as error:  # a boundary like an RPC's: the error belongs to the callers of this batch
            self._fail(batch, error)
        else:
            _deliver(batch, results)
        seconds = time.monotonic() - start
        self._metrics.run.observe(seconds)
        self._unit_seconds = seconds / cost

    def _run_all(self, requests: list[ReqT]) -> Sequence[ResT]:
        results = self._run(requests)
        if len(results) != len(requests):
            raise RuntimeError(f"a batch of {len(requests)} gave {len(results)} results")
        return results

    def _fail(self, batch: list[_Entry[ReqT, ResT]], error: Exception) -> None:
        self._metrics.lost("failed", len(batch))
        for entry in batch:
            if not entry.result.done():
                entry.result.set_exception(error)


def _deliver(batch: list[_Entry[ReqT, ResT]], results: Sequence[ResT]) -> None:
    for entry, result in zip(batch, results, strict=True):
        if not entry.result.done():
            entry.result.set_result(result)

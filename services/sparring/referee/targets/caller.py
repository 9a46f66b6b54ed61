"""Asks one endpoint until it answers: as often and as fast as it is configured, and as it is told to wait."""

from __future__ import annotations

from dataclasses import replace

import grpc

from sparring.client.errors import Refused
from sparring.referee.errors import OpponentError
from sparring.referee.targets.admission import Admission
from sparring.referee.targets.config import HttpConfig
from sparring.referee.targets.faults import Fault
from sparring.referee.targets.metrics import TargetMetrics
from sparring.referee.targets.pacing import Clock, Pacer
from sparring.referee.targets.wire import Headers, Wire

WHO = "target"
"""What an `OpponentError` calls a target that is not ours."""


class Caller:
    """Calls one endpoint.

    Args:
        config: how patiently.
        admission: where, and with what key.
        metrics: what is counted.
        clock: time and chance.
    """

    def __init__(self, config: HttpConfig, admission: Admission, metrics: TargetMetrics, clock: Clock) -> None:
        self._config, self._host = config, admission.place.authority
        self._metrics, self._clock = metrics, clock
        self._pacer = Pacer(config.concurrency, config.requests_per_second, clock)
        self._wire = Wire(config, admission, clock.today)

    async def post(self, path: str, body: bytes, headers: Headers) -> bytes:
        """The body of the reply; the arguments are those of `Wire.post`.

        Raises:
            OpponentError: there was none, however often it was asked for.
        """
        attempt = 1
        while True:
            try:
                async with self._pacer.turn():
                    reply = await self._wire.post(path, body, headers)
            except Fault as fault:
                self._metrics.request(self._host, fault.kind)
                wait = self._wait(fault, attempt)
                if wait is None:
                    raise OpponentError(WHO, self._advised(fault.failure), f"{self._config.url}{path}") from fault
            else:
                self._metrics.request(self._host, "answered")
                return reply
            await self._clock.sleep(wait)
            attempt += 1

    async def close(self) -> None:
        await self._wire.close()

    def _advised(self, failure: Refused) -> Refused:
        """The same with what to do about it, where it is about the key."""
        if failure.code not in (grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED):
            return failure
        name = self._config.key_env
        advice = f"the key comes from the environment variable {name}" if name else "no key_env is configured"
        return replace(failure, message=f"{failure.message}; {advice}")

    def _wait(self, fault: Fault, attempt: int) -> float | None:
        """Seconds until the next attempt; None if there is none."""
        config, asked = self._config, fault.failure.retry_seconds
        if not fault.passing or attempt >= config.attempts or (asked or 0) > config.longest_wait_seconds:
            return None
        if asked is None:
            step = min(config.longest_wait_seconds, config.backoff_seconds * 2 ** (attempt - 1))
            return step * (1 + self._clock.draw()) / 2
        self._pacer.rest(asked)
        return asked + config.backoff_seconds * self._clock.draw()

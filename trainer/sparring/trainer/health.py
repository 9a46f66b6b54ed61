"""Training health: numbers by name, for the manifest and for /metrics."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from prometheus_client import CollectorRegistry, Counter, Gauge, start_http_server

from sparring.trainer.config import TrainerConfig
from sparring.trainer.feed import Drop

DESCRIPTIONS = {
    "reward_mean": "Mean reward of all groups seen since the last step, 0 to 1",
    "advantage_spread": "Mean over groups of the standard deviation of rewards",
    "asr": "Share of wrong answers among groups seen since the last step",
    "validity": "Share of edits accepted among groups seen since the last step",
    "dropped_signal_free": "Groups without signal passed over since the last step",
    "dropped_stale": "Groups too old passed over since the last step",
    "dropped_failed": "Failed groups passed over since the last step",
    "dropped_abandoned": "Groups of revisions that are no ancestors passed over since the last step",
    "dropped_consumed": "Groups trained on before passed over since the last step",
    "entropy": "Mean entropy of the next token, nats",
    "clipped_low": "Share of tokens that the lower clip held",
    "clipped_high": "Share of tokens that the upper clip held",
    "clipped": "Share of denoising steps that the clip held",
    "kl": "Approximate divergence from the policy that sampled",
    "kl_k1": "The same as a mean difference of log-probabilities, nats per token",
    "importance": "Mean weight of tokens by truncated importance sampling",
    "kl_start": "Divergence from the revision that the phase started from",
    "loss": "Value of the objective",
    "grad_norm": "Norm of the gradient before clipping",
    "staleness": "Mean steps that the groups' revisions lay behind",
    "wanting": "Groups that the next step still waits for",
    "wait_seconds": "Seconds that the step waited for its groups",
    "tokens_per_second": "Answer tokens, or edits, trained on per second",
    "mismatch_mean": "Mean difference of service and trainer log-probabilities, zero-lag groups",
    "mismatch_max": "Largest such difference",
}


class Clock:
    """Seconds by part of a step."""

    def __init__(self) -> None:
        self._seconds: defaultdict[str, float] = defaultdict(float)

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        began = time.monotonic()
        try:
            yield
        finally:
            self._seconds[name] += time.monotonic() - began

    def read(self) -> dict[str, float]:
        """`seconds_PART` of each part since the last reading."""
        read = {f"seconds_{name}": seconds for name, seconds in self._seconds.items()}
        self._seconds.clear()
        return read


class Gauges:
    """The numbers of the last step as /metrics, named `sparring_trainer_NAME`.

    Attributes:
        port: where they are served; None if they are not.
    """

    def __init__(self, config: TrainerConfig) -> None:
        self._registry = CollectorRegistry()
        self._labels = {"campaign": config.campaign, "phase": config.phase, "role": config.role}
        self._gauges: dict[str, Gauge] = {}
        self._steps = Counter("sparring_trainer_steps", "Steps published", list(self._labels), registry=self._registry)
        self.port: int | None = None
        if config.metrics_port is not None:
            server, _ = start_http_server(config.metrics_port, addr=config.metrics_host, registry=self._registry)
            self.port = server.server_port

    def watch(self, wanting: int, dropped: Mapping[Drop, int]) -> None:
        """The next step waits for so many groups; so many were passed over since the last one, by reason."""
        self._set({"wanting": wanting, **{f"dropped_{reason}": count for reason, count in dropped.items()}})

    def show(self, numbers: Mapping[str, float | None]) -> None:
        """Publish one step's numbers; what is None keeps its last value."""
        self._set(numbers)
        self._steps.labels(**self._labels).inc()

    def _set(self, numbers: Mapping[str, float | None]) -> None:
        for name, value in numbers.items():
            if value is not None:
                self._gauge(name).labels(**self._labels).set(value)

    def _gauge(self, name: str) -> Gauge:
        if name not in self._gauges:
            text = DESCRIPTIONS.get(name, name.replace("_", " "))
            self._gauges[name] = Gauge(f"sparring_trainer_{name}", text, list(self._labels), registry=self._registry)
        return self._gauges[name]

"""Training health: numbers by name, for the manifest and for /metrics."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from prometheus_client import CollectorRegistry, Counter, Gauge, start_http_server

DESCRIPTIONS = {
    "reward_mean": "Mean reward of all groups since the last step, 0 to 1",
    "advantage_spread": "Mean over groups of the standard deviation of rewards",
    "asr": "Share of wrong answers since the last step",
    "entropy": "Mean entropy of the next token, nats",
    "clipped_low": "Share of tokens or steps that the lower clip held",
    "clipped_high": "Share of tokens or steps that the upper clip held",
    "clipped": "Share of steps that the clip held",
    "kl": "Approximate divergence from the policy that sampled",
    "kl_start": "Divergence from the revision that the phase started from",
    "loss": "Value of the objective",
    "grad_norm": "Norm of the gradient before clipping",
    "staleness": "Mean steps that the groups' revisions lay behind",
    "tokens_per_second": "Answer tokens (or edit steps) trained on per second",
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
    """The same numbers as /metrics, named `sparring_trainer_NAME`."""

    def __init__(self, port: int | None, campaign: str, phase: str, role: str) -> None:
        self._registry = CollectorRegistry()
        self._labels = {"campaign": campaign, "phase": phase, "role": role}
        self._gauges: dict[str, Gauge] = {}
        self._steps = Counter("sparring_trainer_steps", "Steps published", list(self._labels), registry=self._registry)
        if port is not None:
            start_http_server(port, addr="0.0.0.0", registry=self._registry)

    def show(self, numbers: Mapping[str, float]) -> None:
        """Publish one step's numbers."""
        for name, value in numbers.items():
            if name not in self._gauges:
                text = DESCRIPTIONS.get(name, name.replace("_", " "))
                self._gauges[name] = Gauge(
                    f"sparring_trainer_{name}", text, list(self._labels), registry=self._registry
                )
            self._gauges[name].labels(**self._labels).set(value)
        self._steps.labels(**self._labels).inc()

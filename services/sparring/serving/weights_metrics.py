"""What a service counts about the revisions it holds."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info

from sparring.serving.metrics import SECONDS


class WeightsMetrics:
    """Loads, failures, and what is active."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.load = Histogram(
            "sparring_weights_load_seconds", "Pull, verify and load one revision.", buckets=SECONDS, registry=registry
        )
        self.failed = Counter("sparring_weights_failed", "Targets that could not be loaded.", registry=registry)
        self.resident = Gauge("sparring_weights_resident", "Revisions loaded.", registry=registry)
        self._active = Info("sparring_weights_active", "The revision that requests without one get.", registry=registry)

    def activate(self, name: str, digest: str) -> None:
        """Tell which revision is active now."""
        self._active.info({"revision": name, "digest": digest})

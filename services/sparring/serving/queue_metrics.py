"""What a batching queue counts, by name of the queue."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from sparring.serving.metrics import SECONDS


class QueueMetrics:
    """Depth, waiting, batches and losses of one queue."""

    def __init__(self, registry: CollectorRegistry, queue: str) -> None:
        names = ("queue",)
        sizes = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)
        self.depth = Gauge("sparring_queue_depth", "Units that wait.", names, registry=registry).labels(queue)
        self.age = Histogram(
            "sparring_queue_age_seconds", "Time waited before a batch ran.", names, buckets=SECONDS, registry=registry
        ).labels(queue)
        self.batch = Histogram(
            "sparring_batch_size", "Units in a batch.", names, buckets=sizes, registry=registry
        ).labels(queue)
        self.run = Histogram(
            "sparring_batch_seconds", "Time that a batch ran.", names, buckets=SECONDS, registry=registry
        ).labels(queue)
        self._lost = Counter(
            "sparring_queue_lost",
            "Entries without a result: refused, late, cancelled or failed.",
            (*names, "reason"),
            registry=registry,
        )
        self._queue = queue

    def lost(self, reason: str, count: int = 1) -> None:
        """Count entries that got no result."""
        self._lost.labels(self._queue, reason).inc(count)

"""What is counted about targets that are not ours."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter


class TargetMetrics:
    """Requests by what became of them, answers by what they are worth, and changes of the model behind an endpoint."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._requests = Counter(
            "sparring_target_requests",
            "HTTP requests to foreign targets, by outcome: answered, http_STATUS, timeout, connection, redirect, ...",
            ("host", "outcome"),
            registry=registry,
        )
        self._answers = Counter(
            "sparring_target_answers",
            "Answers of foreign targets: whole, truncated, empty, or recalled from the cache.",
            ("host", "kind"),
            registry=registry,
        )
        self._changes = Counter(
            "sparring_target_model_changes",
            "Answers by another model than the one that gave the first.",
            ("host",),
            registry=registry,
        )

    def request(self, host: str, outcome: str) -> None:
        """A request has ended."""
        self._requests.labels(host, outcome).inc()

    def answers(self, host: str, kind: str, count: int) -> None:
        """There are answers of one kind."""
        self._answers.labels(host, kind).inc(count)

    def changed(self, host: str) -> None:
        """An answer is by another model than the first."""
        self._changes.labels(host).inc()

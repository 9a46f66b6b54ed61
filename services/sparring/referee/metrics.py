"""What a referee counts about its matches."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from sparring.ledgers.records import EpisodeRecord, Outcome
from sparring.referee.errors import OpponentError
from sparring.referee.integrity import Verdict
from sparring.serving.metrics import SECONDS


class RefereeMetrics:
    """Matches by outcome, edits by what was objected to, answers by how they were read, opponents' failures, and checks
    by how they ended."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._matches = Counter(
            "sparring_matches",
            "Matches: played, rejected, skipped, failed, or recalled from the ledger.",
            ("learner", "outcome"),
            registry=registry,
        )
        self._edits = Counter("sparring_edits_judged", "Edits judged.", ("valid",), registry=registry)
        self._objections = Counter(
            "sparring_edit_objections",
            "Objections to edits; one edit may meet several.",
            ("reason",),
            registry=registry,
        )
        self._answers = Counter(
            "sparring_answers", "Answers, by the rule that read them.", ("rule", "correct"), registry=registry
        )
        self._errors = Counter(
            "sparring_opponent_errors",
            "Calls to attacker or defender without a usable reply.",
            ("opponent", "code"),
            registry=registry,
        )
        self._judging = Histogram(
            "sparring_judging_seconds", "Time to judge the edits of a match.", buckets=SECONDS, registry=registry
        )
        self._checks = Counter("sparring_checks_ended", "Checks, by how they ended.", ("ending",), registry=registry)
        self._checking = Gauge("sparring_checks_open", "Checks that wait or are played.", registry=registry)

    def match(self, learner: str, outcome: str) -> None:
        """A match has ended."""
        self._matches.labels(learner, outcome).inc()

    def played(self, episodes: Sequence[EpisodeRecord]) -> None:
        """A match has been played to its end."""
        valid = any(episode.outcome is Outcome.PLAYED for episode in episodes)
        self.match(episodes[0].learner, "played" if valid else "rejected")
        for episode in episodes:
            for answer in episode.answers:
                self._answers.labels(answer.rule, str(answer.correct).lower()).inc()

    def judged(self, verdicts: Iterable[Verdict], seconds: float) -> None:
        """The edits of a match have been judged."""
        self._judging.observe(seconds)
        for verdict in verdicts:
            self._edits.labels(str(verdict.valid).lower()).inc()
            for reason in verdict.reasons:
                self._objections.labels(reason).inc()

    def failed(self, learner: str, error: OpponentError) -> None:
        """An opponent let a match down."""
        self.match(learner, "failed")
        self._errors.labels(error.who, error.code.name).inc()

    def checking(self, checks: int) -> None:
        """So many checks wait or are played."""
        self._checking.set(checks)

    def checked(self, ending: str) -> None:
        """A check has ended."""
        self._checks.labels(ending).inc()

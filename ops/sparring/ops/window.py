"""How many matches may be in flight: enough to keep the trainer busy, no more than it can use while they are fresh.

A group that was accepted waits until a manifest says that it was trained on, or until its revision lies too far behind.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import count

from sparring.ledgers.records import RevisionName


@dataclass
class Window:
    """The books of one phase.

    Attributes:
        batch: groups that make a step.
        staleness: most steps that a group's revision may lie behind.
        steps: of the whole phase.
        lineage: the revision of each step that is done; the first is the one that the phase starts from.
        accepted: by the slot of each group that waits, the revision it was played with.
        in_flight: matches that have been started and not ended.
    """

    batch: int
    staleness: int
    steps: int
    lineage: list[RevisionName]
    accepted: dict[int, RevisionName] = field(default_factory=dict)
    in_flight: int = 0

    @property
    def done(self) -> int:
        """Steps that have their manifest."""
        return len(self.lineage) - 1

    @property
    def newest(self) -> RevisionName:
        """The learner as it is now."""
        return self.lineage[-1]

    @property
    def pending(self) -> int:
        """Groups that wait to be trained on."""
        return len(self.accepted)

    @property
    def room(self) -> int:
        """Matches that may be started now."""
        ahead = min(self.staleness + 1, self.steps - self.done) * self.batch
        return max(0, ahead - self.pending - self.in_flight)

    def accept(self, slot: int, revision: RevisionName) -> None:
        """A group with signal is in the ledger, played in `slot` with `revision`."""
        if self._fresh(revision):
            self.accepted[slot] = revision

    def train(self, step: int, revision: RevisionName, consumed: Iterable[int]) -> None:
        """The manifest of `step` exists, and says of which slots it consumed the groups.

        What an earlier manifest of that step led to is abandoned.
        """
        self.lineage = [*self.lineage[:step], revision]
        gone = frozenset(consumed)
        self.accepted = {slot: made for slot, made in self.accepted.items() if slot not in gone and self._fresh(made)}

    def _fresh(self, revision: RevisionName) -> bool:
        return revision in self.lineage[-self.staleness - 1 :]


def slots(taken: Iterable[int]) -> Iterator[int]:
    """Numbers of matches, from 0 on, without those that are in the ledger already."""
    known = frozenset(taken)
    return (number for number in count() if number not in known)


@dataclass
class Patience:
    """How long to wait before the next match when they come to nothing.

    Attributes:
        fruitless: matches in a row that ended without signal.
        failed: matches in a row that failed.
    """

    fruitless: int = 0
    failed: int = 0

    def fruit(self) -> None:
        """A match gave something to learn from."""
        self.fruitless = self.failed = 0

    def nothing(self) -> None:
        """A match was skipped, or all its rewards are alike."""
        self.fruitless += 1
        self.failed = 0

    def failure(self) -> None:
        """A match failed."""
        self.failed += 1

    def wait_seconds(self) -> float:
        """0 while things go well; grows to a second once hundreds came to nothing, and faster if matches fail."""
        idle = min(0.001 * max(0, self.fruitless - 100), 1.0)
        return max(idle, min(0.1 * 2**self.failed, 3.0) if self.failed else 0.0)

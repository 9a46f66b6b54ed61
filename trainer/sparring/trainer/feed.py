"""Which groups make the next step: read on in the ledger, and take what can be learned from."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Literal

import structlog

from sparring.ledgers.episodes import EpisodeLedger
from sparring.ledgers.records import EpisodeRecord, GroupId, Learner, Outcome, RevisionName
from sparring.ledgers.tail import Cursor
from sparring.trainer.advantages import has_signal

POLL_SECONDS = 0.05
COMPLAIN_SECONDS = 15.0
logger = structlog.get_logger()

Drop = Literal["failed", "signal_free", "stale", "abandoned", "consumed"]


class Starved(RuntimeError):
    """No group came for too long."""


@dataclass(frozen=True)
class TrainGroup:
    """A whole group of the learning side. `lag` is how many steps its revision lies behind."""

    group_id: GroupId
    episodes: tuple[EpisodeRecord, ...]
    lag: int

    @property
    def rewards(self) -> list[float]:
        return [reward for episode in self.episodes for reward in episode.rewards]


@dataclass(frozen=True)
class Harvest:
    """What a step is made of.

    Attributes:
        groups: with signal, fresh enough, in the ledger's order.
        dropped: groups that were passed over since the last step, by reason.
        reward_mean: over all groups that were seen since the last step, signal or not.
        failure_rate: share of wrong answers among those groups' answers.
        wait_seconds: how long it took to have them.
    """

    groups: tuple[TrainGroup, ...]
    dropped: dict[Drop, int]
    reward_mean: float
    failure_rate: float
    wait_seconds: float


class Feed:
    """Groups of one phase, each given out once. Holds no more than what has arrived and not been taken.

    Args:
        ledger: to read.
        campaign, phase: whose groups.
        learner: the side that learns.
        max_staleness: most steps that a group's revision may lie behind.
        consumed: groups that an ancestor was trained on.
        starve_seconds: give up after waiting so long without any new group.
    """

    def __init__(
        self,
        ledger: EpisodeLedger,
        campaign: str,
        phase: str,
        learner: Learner,
        max_staleness: int,
        consumed: Collection[GroupId],
        starve_seconds: float,
    ) -> None:
        self._ledger, self._campaign, self._phase, self._learner = ledger, campaign, phase, learner
        self._max_staleness = max_staleness
        self._consumed = set(consumed)
        self._starve_seconds = starve_seconds
        self._cursor = Cursor()
        self._waiting: deque[tuple[EpisodeRecord, ...]] = deque()
        self._dropped: Counter[Drop] = Counter()
        self._rewards: list[float] = []
        self._wrong: list[bool] = []

    def take(self, count: int, lineage: Sequence[RevisionName]) -> Harvest:
        """Wait for `count` groups that the newest revision of `lineage` (oldest first) can be trained on.

        Raises:
            Starved: nothing arrived for `starve_seconds`.
        """
        began = heard = complained = time.monotonic()
        ages = {name: age for age, name in enumerate(reversed(lineage))}
        taken: list[TrainGroup] = []
        while True:
            if self._read():
                heard = time.monotonic()
            while self._waiting and len(taken) < count:
                group = self._admit(self._waiting.popleft(), ages)
                if group is not None:
                    taken.append(group)
                    self._consumed.add(group.group_id)
            now = time.monotonic()
            if len(taken) == count:
                return self._harvest(taken, now - began)
            if now - heard > self._starve_seconds:
                raise Starved(f"{self._wants(count, taken)}, and nothing new came for {self._starve_seconds:g} s")
            if now - complained > COMPLAIN_SECONDS:
                complained = now
                logger.info("waiting", what=self._wants(count, taken), dropped=dict(self._dropped))
            time.sleep(POLL_SECONDS)

    def _wants(self, count: int, taken: Sequence[TrainGroup]) -> str:
        return f"phase {self._phase} of {self._campaign} waits for {count - len(taken)} of {count} groups"

    def _read(self) -> bool:
        tail = self._ledger.tail(self._cursor, campaign=self._campaign, phase=self._phase)
        self._cursor = tail.cursor
        mine = [episode for episode in tail.episodes if episode.learner is self._learner]
        for _, group in groupby(mine, key=lambda episode: episode.group_id):
            self._waiting.append(tuple(group))
        return bool(mine)

    def _admit(self, episodes: tuple[EpisodeRecord, ...], ages: dict[RevisionName, int]) -> TrainGroup | None:
        """The group, or None with the reason counted."""
        revision = behaviour(episodes, self._learner)
        group = TrainGroup(episodes[0].group_id, episodes, ages.get(revision, -1))
        reason = self._objection(group)
        if reason in (None, "signal_free"):
            self._rewards += group.rewards
            self._wrong += [not answer.correct for episode in episodes for answer in episode.answers]
        if reason is None:
            return group
        self._dropped[reason] += 1
        return None

    def _objection(self, group: TrainGroup) -> Drop | None:
        if any(episode.outcome is Outcome.FAILED for episode in group.episodes):
            return "failed"
        if group.group_id in self._consumed:
            return "consumed"
        if group.lag < 0:
            return "abandoned"
        if group.lag > self._max_staleness:
            return "stale"
        return None if has_signal(group.rewards) else "signal_free"

    def _harvest(self, groups: Iterable[TrainGroup], seconds: float) -> Harvest:
        harvest = Harvest(tuple(groups), dict(self._dropped), mean(self._rewards), mean(self._wrong), seconds)
        self._dropped.clear()
        self._rewards, self._wrong = [], []
        return harvest


def behaviour(episodes: Sequence[EpisodeRecord], learner: Learner) -> RevisionName:
    """The revision of the learning side that acted."""
    first = episodes[0]
    return RevisionName(first.attacker if learner is Learner.ATTACKER else first.defender)


def mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else float("nan")

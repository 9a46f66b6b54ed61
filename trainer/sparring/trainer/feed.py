"""Which groups make the next step: read on in the ledger, and take what can be learned from."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Literal

import numpy as np
import structlog

from sparring.ledgers.episodes import EpisodeLedger
from sparring.ledgers.records import EpisodeRecord, GroupId, Learner, Outcome, RevisionName
from sparring.ledgers.signal import has_signal
from sparring.ledgers.tail import Cursor
from sparring.trainer.config import TrainerConfig
from sparring.trainer.errors import Starved
from sparring.trainer.supply import Batch

POLL_SECONDS = 0.05
COMPLAIN_SECONDS = 15.0
AT_ONCE = 512
"""Episodes read at a time, so that a long phase that is taken up again is not held in memory."""
logger = structlog.get_logger()

Drop = Literal["failed", "signal_free", "stale", "abandoned", "consumed"]


@dataclass(frozen=True)
class TrainGroup:
    """A whole group of the learning side. `lag` is how many steps its revision lies behind."""

    group_id: GroupId
    episodes: tuple[EpisodeRecord, ...]
    lag: int

    @property
    def rewards(self) -> list[float]:
        return [reward for episode in self.episodes for reward in episode.rewards]


@dataclass
class Tally:
    """What was seen since the last step, signal or not."""

    rewards: list[float] = field(default_factory=list)
    wrong: list[bool] = field(default_factory=list)
    played: list[bool] = field(default_factory=list)
    dropped: Counter[Drop] = field(default_factory=Counter)

    def see(self, group: TrainGroup) -> None:
        self.rewards += group.rewards
        self.wrong += [not answer.correct for episode in group.episodes for answer in episode.answers]
        self.played += [episode.outcome is Outcome.PLAYED for episode in group.episodes]

    def health(self, taken: Sequence[TrainGroup], seconds: float) -> dict[str, float]:
        """Numbers for the manifest; what there was none of is left out."""
        means: dict[str, Sequence[float]] = {
            "reward_mean": self.rewards,
            "asr": self.wrong,
            "validity": self.played,
            "staleness": [group.lag for group in taken],
            "advantage_spread": [float(np.std(group.rewards)) for group in taken],
        }
        return {
            **{name: float(np.mean(values)) for name, values in means.items() if values},
            **{f"dropped_{reason}": float(count) for reason, count in self.dropped.items()},
            "wait_seconds": seconds,
        }


class Feed:
    """Groups of one phase, each given out once. Holds no more than what it has read last.

    Args:
        ledger: to read.
        config: whose groups, how many make a step, how old they may be, how long to wait for them.
        consumed: groups that an ancestor was trained on.
        watch: is told, while it waits, how many groups are wanting and how many were passed over, by reason.
    """

    def __init__(
        self,
        ledger: EpisodeLedger,
        config: TrainerConfig,
        consumed: Collection[GroupId],
        watch: Callable[[int, Mapping[Drop, int]], None] = lambda wanting, dropped: None,
    ) -> None:
        self._ledger, self._config, self._watch = ledger, config, watch
        self._learner = Learner(config.role)
        self._consumed = set(consumed)
        self._cursor = Cursor()
        self._waiting: deque[tuple[EpisodeRecord, ...]] = deque()
        self._tally = Tally()

    def take(self, step: int, lineage: Sequence[RevisionName]) -> Batch[TrainGroup]:
        """Wait for as many groups as a step takes that the newest revision of `lineage` can be trained on.

        Raises:
            Starved: none came for `limits.starve_seconds`, whatever else did.
        """
        began = fed = complained = time.monotonic()
        ages = {name: age for age, name in enumerate(reversed(lineage))}
        taken: list[TrainGroup] = []
        while len(taken) < self._config.groups:
            seen = bool(self._waiting) or self._read()
            found = self._admit(self._waiting.popleft(), ages) if seen else []
            taken += found
            now = time.monotonic()
            fed = now if found else fed
            if seen:
                continue
            if now - fed > self._config.limits.starve_seconds:
                raise Starved(f"{self._wants(taken)}; none came for {now - fed:.0f} s")
            if now - complained > COMPLAIN_SECONDS:
                complained = now
                logger.info("waiting", what=self._wants(taken))
            self._watch(self._config.groups - len(taken), self._tally.dropped)
            time.sleep(POLL_SECONDS)
        self._watch(0, self._tally.dropped)
        tally, self._tally = self._tally, Tally()
        consumed = tuple(group.group_id for group in taken)
        return Batch(tuple(taken), consumed, tally.health(taken, time.monotonic() - began))

    def _wants(self, taken: Sequence[TrainGroup]) -> str:
        count, dropped = self._config.groups, self._tally.dropped
        seen = ", ".join(f"{number} {reason.replace('_', '-')}" for reason, number in dropped.items()) or "none"
        return (
            f"phase {self._config.phase} of {self._config.campaign} waits for {count - len(taken)} of {count} groups "
            f"of the {self._config.role} with signal (passed over since the last step: {seen})"
        )

    def _read(self) -> bool:
        """Read on; whether there is anything of the learner's."""
        tail = self._ledger.tail(self._cursor, campaign=self._config.campaign, phase=self._config.phase, limit=AT_ONCE)
        self._cursor = tail.cursor
        mine = [episode for episode in tail.episodes if episode.learner is self._learner]
        self._waiting += [tuple(group) for _, group in groupby(mine, key=lambda episode: episode.group_id)]
        return bool(mine)

    def _admit(self, episodes: tuple[EpisodeRecord, ...], ages: dict[RevisionName, int]) -> list[TrainGroup]:
        """The group, or nothing with the reason counted."""
        group = TrainGroup(episodes[0].group_id, episodes, ages.get(behaviour(episodes, self._learner), -1))
        reason = self._objection(group)
        if reason in (None, "signal_free"):
            self._tally.see(group)
        if reason is not None:
            self._tally.dropped[reason] += 1
            return []
        self._consumed.add(group.group_id)
        return [group]

    def _objection(self, group: TrainGroup) -> Drop | None:
        if group.group_id in self._consumed:
            return "consumed"
        if any(episode.outcome is Outcome.FAILED for episode in group.episodes):
            return "failed"
        if group.lag < 0:
            return "abandoned"
        if group.lag > self._config.max_staleness:
            return "stale"
        return None if has_signal(group.rewards) else "signal_free"


def behaviour(episodes: Sequence[EpisodeRecord], learner: Learner) -> RevisionName:
    """The revision of the learning side that acted."""
    first = episodes[0]
    return RevisionName(first.attacker if learner is Learner.ATTACKER else first.defender)

"""What a campaign is doing right now, for whoever watches. Decides nothing and is not kept."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from sparring.ledgers.entries import Measures


@dataclass
class Status:
    """The campaign at this moment.

    Attributes:
        campaign: its id.
        say: tells the watcher that something is done: one line.
        doing: the action in progress, in words.
        step, steps: how far it is, in steps of a phase or samples of a check; `steps` is 0 where nothing is counted.
        reward, asr: of the last training step; None before the first.
        waiting: what is being waited for; empty if nothing in particular.
        outcomes: matches of the phase by how they ended.
        measures: of the latest check.
        episodes: played since the action began.
        began: monotonic clock at the start of this run, seconds.
        acting: the same at the start of the action.
    """

    campaign: str
    say: Callable[[str], None]
    doing: str = "starting"
    step: int = 0
    steps: int = 0
    reward: float | None = None
    asr: float | None = None
    waiting: str = ""
    outcomes: Counter[str] = field(default_factory=Counter)
    measures: Measures | None = None
    episodes: int = 0
    began: float = field(default_factory=time.monotonic)
    acting: float = field(default_factory=time.monotonic)

    def begin(self, doing: str, steps: int = 0, step: int = 0) -> None:
        """Another action begins."""
        self.doing, self.step, self.steps, self.waiting = doing, step, steps, ""
        self.reward = self.asr = None
        self.episodes, self.acting = 0, time.monotonic()
        self.outcomes.clear()
        self.say(doing)

    @property
    def rate(self) -> float:
        """Episodes per second since the action began."""
        return self.episodes / max(1e-9, time.monotonic() - self.acting)

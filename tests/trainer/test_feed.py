"""Which groups a trainer takes, from a real ledger."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sparring.ledgers.episodes import EpisodeLedger
from sparring.ledgers.records import Group, GroupId, Learner, Outcome, RevisionName
from sparring.ledgers.storage import Storage
from sparring.policies.config import AnswerSampling, MllmConfig
from sparring.policies.policy import Ask, Reply
from sparring.trainer import feed as feeding
from sparring.trainer.config import TrainerConfig
from sparring.trainer.errors import Starved
from sparring.trainer.feed import Feed, TrainGroup
from sparring.trainer.supply import Batch
from tests.trainer.conftest import CAMPAIGN, PHASE, answered

LINEAGE = [RevisionName(f"{CAMPAIGN}/defender/{number:06d}") for number in range(4)]
NEWEST = LINEAGE[-1]


class Stand:
    """A ledger and what a trainer reads of it."""

    def __init__(self, root: Path) -> None:
        self.root, self.ledger = root, EpisodeLedger(root)
        self.rng = np.random.default_rng(0)

    def add(self, *names: str, **changes: object) -> None:
        self.ledger.append_groups([self.group(name, **changes) for name in names])

    def group(self, name: str, **changes: object) -> Group:
        ask = Ask(np.zeros((8, 8, 3), dtype=np.uint8), "where?", seed=0)
        reply = Reply("", np.zeros(3, dtype=np.int32), np.zeros(3, dtype=np.float32), finished=True)
        return answered(name, ask, [reply] * 4, self.rng, **({"defender": NEWEST} | changes))

    def feed(
        self, groups: int = 2, max_staleness: int = 1, consumed: frozenset[str] = frozenset(), **options: Any
    ) -> Feed:
        config = TrainerConfig.model_validate(
            {
                "storage": Storage(root=str(self.root)),
                "campaign": CAMPAIGN,
                "phase": PHASE,
                "role": "defender",
                "policy": MllmConfig(base="b"),
                "sampling": AnswerSampling(),
                "start": LINEAGE[0],
                "steps": 9,
                "groups": groups,
                "max_staleness": max_staleness,
                "objective": {"kind": "dapo"},
                "limits": {"starve_seconds": 0.1},
                "checkpoints": "checkpoints",
            }
        )
        return Feed(self.ledger, config, {GroupId(name) for name in consumed}, **options)


@pytest.fixture
def stand(tmp_path: Path) -> Stand:
    return Stand(tmp_path)


def names(batch: Batch[TrainGroup]) -> list[str]:
    assert batch.consumed == tuple(group.group_id for group in batch.items)
    return list(batch.consumed)


def test_groups_are_given_out_once_in_their_order(stand: Stand) -> None:
    stand.add("a", "b", "c")
    feed = stand.feed()
    assert names(feed.take(1, LINEAGE)) == ["a", "b"]
    stand.add("d", "e")
    assert names(feed.take(2, LINEAGE)) == ["c", "d"]


def test_only_the_phase_and_its_learner_count(stand: Stand) -> None:
    stand.add("other", phase="i2-defender")
    stand.add("foreign", campaign="d")
    stand.add("control", learner=Learner.NONE)
    stand.add("opponent", learner=Learner.ATTACKER)
    stand.add("a", "b")
    batch = stand.feed().take(1, LINEAGE)
    assert names(batch) == ["a", "b"]
    assert not [name for name in batch.health if name.startswith("dropped")]


@pytest.mark.parametrize(
    ("reason", "changes"),
    [
        ("failed", {"outcome": Outcome.FAILED, "answers": (), "rewards": (), "error": "the defender is gone"}),
        ("stale", {"defender": LINEAGE[1]}),
        ("abandoned", {"defender": f"{CAMPAIGN}/defender/000009"}),
        ("abandoned", {"defender": "some-endpoint"}),
        ("signal_free", {"rewards": (1.0, 1.0, 1.0, 1.0)}),
        ("signal_free", {"rewards": (0.0, 0.0, 0.0, 0.02)}),
        ("signal_free", {"outcome": Outcome.REJECTED, "answers": (), "rewards": ()}),
    ],
)
def test_what_teaches_nothing_is_passed_over_and_counted(stand: Stand, reason: str, changes: dict[str, object]) -> None:
    stand.add("a")
    stand.add("bad", "worse", **changes)
    stand.add("b")
    batch = stand.feed().take(1, LINEAGE)
    assert names(batch) == ["a", "b"]
    dropped = {name: value for name, value in batch.health.items() if name.startswith("dropped")}
    assert dropped == {f"dropped_{reason}": 2.0}


def test_what_an_ancestor_was_trained_on_is_not_trained_on_again(stand: Stand) -> None:
    stand.add("a", "b", "c", "d")
    batch = stand.feed(consumed=frozenset({"a", "c"})).take(1, LINEAGE)
    assert names(batch) == ["b", "d"]
    assert batch.health["dropped_consumed"] == 2


def test_a_group_that_failed_in_part_is_void(stand: Stand) -> None:
    """One edit of an attacker's group without a result leaves no baseline for the others."""
    first = stand.group("half", group_size=2)
    second = replace(first.episodes[0], episode_id="half/1", index=1, outcome=Outcome.FAILED, answers=(), rewards=())
    stand.ledger.append_group(replace(first, episodes=(*first.episodes, second)))
    stand.add("a", "b")
    batch = stand.feed().take(1, LINEAGE)
    assert names(batch) == ["a", "b"]
    assert batch.health["dropped_failed"] == 1


@pytest.mark.parametrize(("max_staleness", "taken"), [(0, ["g3"]), (1, ["g2", "g3"]), (3, ["g0", "g1", "g2", "g3"])])
def test_staleness_is_counted_along_the_lineage(stand: Stand, max_staleness: int, taken: list[str]) -> None:
    for number, revision in enumerate(LINEAGE):
        stand.add(f"g{number}", defender=revision)
    batch = stand.feed(len(taken), max_staleness).take(1, LINEAGE)
    assert names(batch) == taken
    assert [group.lag for group in batch.items] == list(range(len(taken)))[::-1]
    assert batch.health["staleness"] == pytest.approx((len(taken) - 1) / 2)


def test_a_group_ages_while_it_waits(stand: Stand) -> None:
    stand.add("a", "b", "c", defender=LINEAGE[2])
    feed = stand.feed(groups=1)
    assert names(feed.take(1, LINEAGE[:3])) == ["a"]
    assert names(feed.take(2, LINEAGE)) == ["b"]
    with pytest.raises(Starved):
        feed.take(3, [*LINEAGE, RevisionName(f"{CAMPAIGN}/defender/000004")])


def test_health_is_of_all_that_was_seen(stand: Stand) -> None:
    stand.add("a", rewards=(0.0, 0.0, 1.0, 1.0))
    stand.add("b", rewards=(1.0, 1.0, 1.0, 1.0))
    stand.add("stale", rewards=(0.0, 0.0, 0.0, 0.0), defender=LINEAGE[0])
    stand.add("c", rewards=(0.0, 1.0, 1.0, 1.0))
    health = stand.feed().take(1, LINEAGE).health
    assert health["reward_mean"] == pytest.approx(9 / 12), "signal or not, but fresh"
    assert health["advantage_spread"] == pytest.approx((0.5 + np.std([0, 1, 1, 1])) / 2), "of those taken"
    assert health["asr"] == pytest.approx(0.5), "of the answers, half of which are wrong here"
    assert health["validity"] == 1


def test_a_starved_trainer_says_what_it_waits_for(stand: Stand) -> None:
    stand.add("a")
    stand.add("same", "also", rewards=(1.0,) * 4)
    stand.add("old", defender=LINEAGE[0])
    with pytest.raises(Starved) as caught:
        stand.feed(groups=3).take(1, LINEAGE)
    assert str(caught.value).startswith(
        "phase i1-defender of c waits for 2 of 3 groups of the defender with signal (passed over since the last step: "
        "2 signal-free, 1 stale); none came for "
    )


def test_it_starves_when_nothing_that_teaches_comes(stand: Stand, monkeypatch: pytest.MonkeyPatch) -> None:
    stand.add("a")
    told: list[tuple[int, dict[str, int]]] = []
    feed = stand.feed(watch=lambda wanting, dropped: told.append((wanting, dict(dropped))))
    monkeypatch.setattr(feeding.time, "sleep", lambda seconds: stand.add(f"dull{len(told)}", rewards=(1.0,) * 4))
    with pytest.raises(Starved, match=r"waits for 1 of 2 groups .* signal-free\); none came for "):
        feed.take(1, LINEAGE)
    assert told[0] == (1, {})
    assert told[1] == (1, {"signal_free": 1})


def test_groups_that_come_while_it_waits_are_taken(stand: Stand, monkeypatch: pytest.MonkeyPatch) -> None:
    stand.add("a")
    waiting = iter([["dull"], ["b"]])

    def sleep(seconds: float) -> None:
        stand.add(*next(waiting), rewards=(0.0, 0.0, 0.0, 1.0))

    monkeypatch.setattr(feeding.time, "sleep", sleep)
    assert names(stand.feed().take(1, LINEAGE)) == ["a", "dull"]


def test_a_long_phase_is_not_held_in_memory(stand: Stand, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feeding, "AT_ONCE", 16)
    old = [f"old{number}" for number in range(400)]
    stand.add(*old)
    stand.add("a", "b")
    feed = stand.feed(consumed=frozenset(old))
    most = 0
    admit = feed._admit

    def watch(*arguments: object) -> list[TrainGroup]:
        nonlocal most
        most = max(most, len(feed._waiting))
        return admit(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(feed, "_admit", watch)
    assert names(feed.take(1, LINEAGE)) == ["a", "b"]
    assert most < 16

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from sparring.ledgers.committer import Committer
from sparring.ledgers.episodes import EpisodeLedger
from sparring.ledgers.errors import InvalidGroup
from sparring.ledgers.records import Group

MakeGroup = Callable[..., Group]


class Counting(EpisodeLedger):
    """Remembers the sizes of its commits, and fails once if told to."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.commits: list[int] = []
        self.compactions = 0
        self.failing = False

    def append_groups(self, groups: Sequence[Group]) -> list[bool]:
        self.commits.append(len(groups))
        if self.failing:
            self.failing = False
            raise OSError("no space")
        return super().append_groups(groups)

    def compact(self, *arguments: object) -> bool:
        self.compactions += 1
        return super().compact()


@pytest.fixture
def ledger(tmp_path: Path) -> Counting:
    return Counting(tmp_path)


def test_groups_share_commits(ledger: Counting, make_group: MakeGroup) -> None:
    async def run() -> list[bool]:
        committer = Committer(ledger, most=4, wait_seconds=5)
        names = [f"g{i}" for i in range(7)] + ["g0"]
        appended = await asyncio.gather(*(committer.append(make_group(name)) for name in names))
        await committer.close()
        return appended

    assert asyncio.run(run()) == [True] * 7 + [False]
    assert ledger.commits == [4, 4]
    assert len({episode.group_id for episode in ledger.scan()}) == 7


def test_a_lone_group_waits_no_longer_than_told(ledger: Counting, make_group: MakeGroup) -> None:
    async def run() -> None:
        committer = Committer(ledger, most=64, wait_seconds=0.01)
        assert await asyncio.wait_for(committer.append(make_group("a")), timeout=30)
        assert await committer.append(make_group("b"))
        assert not await committer.append(make_group("a"))
        await committer.close()

    asyncio.run(run())
    assert ledger.commits == [1, 1, 1]


def test_a_bad_group_spoils_no_other(ledger: Counting, make_group: MakeGroup) -> None:
    async def run() -> list[bool | BaseException]:
        committer = Committer(ledger, most=2, wait_seconds=5)
        groups = [make_group("a"), Group((), (), (), ()), make_group("b")]
        results = await asyncio.gather(*map(committer.append, groups), return_exceptions=True)
        await committer.close()
        return results

    first, second, third = asyncio.run(run())
    assert (first, third) == (True, True)
    assert isinstance(second, InvalidGroup)


def test_a_failed_commit_reaches_everybody_in_it(ledger: Counting, make_group: MakeGroup) -> None:
    async def run() -> None:
        committer = Committer(ledger, most=2, wait_seconds=5)
        ledger.failing = True
        results = await asyncio.gather(*(committer.append(make_group(name)) for name in "ab"), return_exceptions=True)
        assert [str(result) for result in results] == ["no space"] * 2
        assert await asyncio.gather(*(committer.append(make_group(name)) for name in "ab")) == [True, True]
        await committer.close()

    asyncio.run(run())


def test_a_cancelled_caller_takes_nothing_back(ledger: Counting, make_group: MakeGroup) -> None:
    async def run() -> None:
        committer = Committer(ledger, most=2, wait_seconds=5)
        gone = asyncio.create_task(committer.append(make_group("a")))
        await asyncio.sleep(0)
        gone.cancel()
        assert await committer.append(make_group("b"))
        await committer.close()

    asyncio.run(run())
    assert sorted({episode.group_id for episode in ledger.scan()}) == ["a", "b"]


def test_close_waits_for_what_was_handed_in(ledger: Counting, make_group: MakeGroup) -> None:
    async def run() -> None:
        committer = Committer(ledger, most=64, wait_seconds=0.05, compact_every=1)
        waiting = asyncio.create_task(committer.append(make_group("a")))
        await asyncio.sleep(0)
        await committer.close()
        assert await waiting

    asyncio.run(run())
    assert ledger.compactions == 1
    assert [episode.group_id for episode in ledger.scan()] == ["a"] * 3

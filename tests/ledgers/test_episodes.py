from __future__ import annotations

import dataclasses
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import IO, Any

import lance
import numpy as np
import pyarrow.parquet as pq
import pytest

from sparring.ledgers.episodes import EpisodeLedger
from sparring.ledgers.errors import InvalidGroup
from sparring.ledgers.records import EditId, Group, GroupId, Outcome, Purpose, SampleId
from sparring.ledgers.tail import Cursor

MakeGroup = Callable[..., Group]
WRITER = Path(__file__).parent / "writer.py"


def same(left: object, right: object) -> bool:
    """Deep equality that looks into arrays, dtypes included."""
    if isinstance(left, np.ndarray) and isinstance(right, np.ndarray):
        return left.dtype == right.dtype and np.array_equal(left, right)
    if isinstance(left, tuple) and isinstance(right, tuple):
        return len(left) == len(right) and all(map(same, left, right))
    if dataclasses.is_dataclass(left) and type(left) is type(right):
        return all(same(getattr(left, f.name), getattr(right, f.name)) for f in dataclasses.fields(left))
    return left == right


def names(episodes: Any) -> list[str]:
    return [episode.group_id for episode in episodes if episode.index == 0]


def start(root: Path, *arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, str(WRITER), str(root), *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def lines(process: subprocess.Popen[str]) -> IO[str]:
    assert process.stdout is not None
    return process.stdout


def test_reads_what_was_appended(ledger: EpisodeLedger, make_group: MakeGroup) -> None:
    group = make_group("a")
    original = dataclasses.replace(
        group.episodes[0], edit_id=None, group_id=GroupId("b"), group_size=1, outcome=Outcome.FAILED, error="gone"
    )
    assert ledger.append_group(group)
    assert ledger.append_group(Group((), (), (), (original,)))
    assert same(tuple(ledger.scan()), (*group.episodes, original))
    edits = ledger.get_edits(edit.edit_id for edit in group.edits)
    assert same(tuple(edits[edit.edit_id] for edit in group.edits), group.edits)
    trajectories = ledger.get_trajectories(edits)
    assert same(tuple(trajectories[edit.edit_id] for edit in group.edits), group.trajectories)
    (sample,) = group.samples
    assert ledger.get_samples([sample.sample_id]) == {sample.sample_id: sample}
    light = dataclasses.replace(sample, image=b"")
    assert ledger.get_samples([sample.sample_id], images=False) == {sample.sample_id: light}
    bare = [dataclasses.replace(edit, image=b"") for edit in group.edits]
    assert same(tuple(ledger.get_edits(edits, images=False)[edit.edit_id] for edit in bare), tuple(bare))
    groups = ledger.get_groups([GroupId("b"), GroupId("a"), GroupId("c")])
    assert same(groups[GroupId("a")], group.episodes)
    assert set(groups) == {"a", "b"}


def test_what_is_not_there_is_left_out(ledger: EpisodeLedger) -> None:
    assert ledger.get_edits([EditId("x")]) == {}
    assert ledger.get_samples([SampleId("x' OR 'a' = 'a")]) == {}
    assert ledger.get_trajectories([]) == {}
    assert list(ledger.scan()) == []
    assert ledger.tail().episodes == ()


def test_a_group_is_appended_once(ledger: EpisodeLedger, make_group: MakeGroup, tmp_path: Path) -> None:
    group = make_group("a")
    assert not ledger.has(group.group_id)
    assert ledger.append_groups([group, group, make_group("b")]) == [True, False, True]
    assert not ledger.append_group(group)
    other = EpisodeLedger(tmp_path)
    assert other.has(group.group_id)
    assert not other.append_group(group)
    assert other.append_group(make_group("c"))
    assert not ledger.append_group(make_group("c"))
    assert names(ledger.scan()) == ["a", "b", "c"]


def rows(ledger: EpisodeLedger, table: str, folder: Path) -> Any:
    ledger.export_parquet(folder)
    return pq.read_table(folder / f"{table}.parquet")


def test_samples_and_edits_are_stored_once(ledger: EpisodeLedger, make_group: MakeGroup, tmp_path: Path) -> None:
    first, second = make_group("a", sample="s"), make_group("b", sample="s")
    changed = dataclasses.replace(first.edits[0], image=b"another")
    again = Group(second.samples, (*second.edits, changed), (), second.episodes)
    third = make_group("c", sample="s")
    ledger.append_group(first)
    ledger.append_groups([again, third])
    assert rows(ledger, "samples", tmp_path).num_rows == 1
    assert rows(ledger, "edits", tmp_path).num_rows == 9
    assert ledger.get_edits([first.edits[0].edit_id]) == {first.edits[0].edit_id: first.edits[0]}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda g: dataclasses.replace(g, episodes=()), "without episodes"),
        (lambda g: dataclasses.replace(g, episodes=g.episodes[:2]), "index 0 to 1"),
        (lambda g: dataclasses.replace(g, episodes=g.episodes[::-1]), "index 0 to 2"),
        (lambda g: dataclasses.replace(g, edits=g.edits[:2]), "without their edits: \\['a/e2'\\]"),
        (lambda g: dataclasses.replace(g, edits=(*g.edits, g.edits[0])), "two of its edits"),
        (lambda g: dataclasses.replace(g, samples=g.samples * 2), "two of its samples"),
        (
            lambda g: dataclasses.replace(
                g, episodes=(dataclasses.replace(g.episodes[0], group_id=GroupId("z")), *g.episodes[1:])
            ),
            "several groups",
        ),
    ],
)
def test_a_group_that_does_not_belong_together_is_refused(
    ledger: EpisodeLedger, make_group: MakeGroup, change: Callable[[Group], Group], message: str
) -> None:
    with pytest.raises(InvalidGroup, match=message):
        ledger.append_groups([make_group("good"), change(make_group("a"))])
    assert list(ledger.scan()) == []


def test_scan_filters(ledger: EpisodeLedger, make_group: MakeGroup) -> None:
    ledger.append_group(make_group("a", campaign="o'neil", phase="p"))
    ledger.append_group(make_group("b", campaign="c", phase="p", purpose=Purpose.EVALUATE))
    ledger.append_group(make_group("d", campaign="c", phase="q", defender="openai:x"))
    assert names(ledger.scan()) == ["a", "b", "d"]
    assert names(ledger.scan(campaign="o'neil")) == ["a"]
    assert names(ledger.scan(campaign="c", phase="p")) == ["b"]
    assert names(ledger.scan(purpose=Purpose.TRAIN, phase="q")) == ["d"]
    assert names(ledger.scan(defender="openai:x")) == ["d"]
    assert names(ledger.scan(campaign="c", defender="nobody")) == []


def test_tail_reads_each_group_once(ledger: EpisodeLedger, make_group: MakeGroup, tmp_path: Path) -> None:
    other = EpisodeLedger(tmp_path)
    cursor = Cursor()
    read: list[str] = []
    for number in range(12):
        (ledger if number % 3 else other).append_group(make_group(f"g{number}"))
        if number in (4, 8):
            ledger.compact(timedelta(0))
        if number % 2:
            tail = ledger.tail(cursor)
            assert [episode.index for episode in tail.episodes] == list(range(3)) * (len(tail.episodes) // 3)
            read += names(tail.episodes)
            cursor = tail.cursor
    assert read == [f"g{number}" for number in range(12)]
    assert ledger.tail(cursor).episodes == ()
    assert ledger.tail(cursor).cursor == cursor


@pytest.mark.parametrize("limit", [1, 3, 4, 7])
@pytest.mark.parametrize("compacted", [False, True])
def test_tail_stops_at_whole_groups(ledger: EpisodeLedger, make_group: MakeGroup, limit: int, compacted: bool) -> None:
    for number in "012":
        ledger.append_groups([make_group(f"g{number}/{i}") for i in range(3)])
    if compacted:
        ledger.compact()
    cursor, read = Cursor(), []
    while tail := ledger.tail(cursor, limit=limit):
        assert len(tail.episodes) <= limit + 2
        if not tail.episodes:
            break
        read += names(tail.episodes)
        cursor = tail.cursor
    assert read == [f"g{number}/{i}" for number in range(3) for i in range(3)]


def test_tail_of_a_phase(ledger: EpisodeLedger, make_group: MakeGroup) -> None:
    ledger.append_group(make_group("a", phase="p"))
    ledger.append_group(make_group("b", phase="q"))
    first = ledger.tail(phase="q")
    ledger.append_group(make_group("c", phase="p"))
    ledger.append_group(make_group("d", phase="q"))
    assert names(first.episodes) == ["b"]
    assert names(ledger.tail(first.cursor, phase="q").episodes) == ["d"]


def test_expired_trajectories_are_gone(ledger: EpisodeLedger, make_group: MakeGroup) -> None:
    old, new = make_group("a", phase="p"), make_group("b", phase="q")
    ledger.append_groups([old, new])
    assert ledger.expire_trajectories("c", "p") == 3
    assert ledger.compact(timedelta(0))
    assert ledger.get_trajectories(edit.edit_id for edit in old.edits) == {}
    assert len(ledger.get_trajectories(edit.edit_id for edit in new.edits)) == 3
    assert len(ledger.get_edits(edit.edit_id for edit in old.edits)) == 3


def test_compaction_keeps_everything(ledger: EpisodeLedger, make_group: MakeGroup) -> None:
    groups = [make_group(f"g{number}") for number in range(6)]
    for group in groups:
        ledger.append_group(group)
    assert ledger.compact(timedelta(0))
    assert same(tuple(ledger.scan()), tuple(episode for group in groups for episode in group.episodes))
    assert same(ledger.get_edits([groups[4].edits[1].edit_id])[groups[4].edits[1].edit_id], groups[4].edits[1])
    assert not ledger.append_group(groups[2])


def test_a_ledger_gains_the_columns_that_it_lacks(tmp_path: Path, make_group: MakeGroup) -> None:
    EpisodeLedger(tmp_path).append_group(make_group("old"))
    lance.dataset(tmp_path / "episodes" / "samples.lance").drop_columns(["groups", "image_digest"])
    lance.dataset(tmp_path / "episodes" / "edits.lance").drop_columns(["attack_type"])
    ledger, new = EpisodeLedger(tmp_path), make_group("new")
    ledger.append_group(new)
    samples = ledger.get_samples([SampleId("sample of old"), SampleId("sample of new")])
    assert samples[SampleId("sample of new")] == new.samples[0]
    assert (samples[SampleId("sample of old")].groups, samples[SampleId("sample of old")].image_digest) == ((), "")
    edits = ledger.get_edits([EditId("old/e0"), EditId("new/e0")])
    assert [edits[EditId(name)].attack_type for name in ("old/e0", "new/e0")] == ["", "add"]


def test_export_is_plain_parquet(ledger: EpisodeLedger, make_group: MakeGroup, tmp_path: Path) -> None:
    ledger.append_groups([make_group("a"), make_group("b")])
    files = ledger.export_parquet(tmp_path / "out")
    assert {file.name: pq.read_table(file).num_rows for file in files} == {
        "samples.parquet": 2,
        "edits.parquet": 6,
        "trajectories.parquet": 6,
        "episodes.parquet": 6,
    }
    assert pq.read_table(tmp_path / "out" / "episodes.parquet")["group_id"].to_pylist() == ["a"] * 3 + ["b"] * 3


def test_threads_and_ledgers_append_at_once(make_group: MakeGroup, tmp_path: Path) -> None:
    ledgers = [EpisodeLedger(tmp_path) for _ in range(2)]
    wanted = [f"g{number}" for number in range(5)]

    def work(ledger: EpisodeLedger) -> list[str]:
        return [name for name in wanted if ledger.append_group(make_group(name))]

    with ThreadPoolExecutor(4) as pool:
        won = [name for names in pool.map(work, ledgers * 2) for name in names]
    assert sorted(won) == wanted
    assert sorted(names(ledgers[0].scan())) == sorted(won)


def test_acknowledged_groups_survive_sigkill(tmp_path: Path, make_group: MakeGroup) -> None:
    writers = [start(tmp_path, prefix) for prefix in ("x", "y")]
    acknowledged = {lines(writer).readline().strip() for writer in writers for _ in range(6)}
    for writer in writers:
        writer.kill()
    for writer in writers:
        acknowledged |= set(writer.communicate()[0].split())
    ledger = EpisodeLedger(tmp_path)
    ledger.append_group(make_group("after"))
    read = names(ledger.scan())
    assert len(read) == len(set(read))
    assert acknowledged <= set(read)
    assert len(acknowledged) >= 12
    edits = rows(ledger, "edits", tmp_path / "out")["edit_id"].to_pylist()
    assert sorted(edits) == sorted(episode.edit_id for episode in ledger.scan())


@pytest.mark.parametrize("table", ["samples", "edits", "trajectories", "episodes"])
def test_a_death_between_two_tables_leaves_no_trace(tmp_path: Path, make_group: MakeGroup, table: str) -> None:
    ledger = EpisodeLedger(tmp_path)
    ledger.append_group(make_group("before"))
    writer = start(tmp_path, "x", table)
    assert lines(writer).readline() == "stopped\n"
    writer.kill()
    writer.communicate()
    assert names(ledger.scan()) == ["before"]
    assert names(ledger.tail().episodes) == ["before"]
    assert ledger.append_group(make_group("x/0"))
    assert names(ledger.scan()) == ["before", "x/0"]
    ledger.export_parquet(tmp_path / "out")
    for name, count in (("samples", 2), ("edits", 6), ("trajectories", 6), ("episodes", 6)):
        assert pq.read_table(tmp_path / "out" / f"{name}.parquet").num_rows == count


def test_a_death_after_the_last_table_loses_nothing(
    ledger: EpisodeLedger, make_group: MakeGroup, tmp_path: Path
) -> None:
    ledger.append_group(make_group("a"))
    first = ledger.tail()
    (writer,) = first.cursor.positions
    (tmp_path / "episodes" / "pending.json").write_text(f'{{"writer": "{writer}", "sequence": 0}}')
    assert ledger.append_group(make_group("b"))
    assert len(ledger.get_edits([EditId("a/e0"), EditId("b/e0")])) == 2
    assert not (tmp_path / "episodes" / "pending.json").exists()

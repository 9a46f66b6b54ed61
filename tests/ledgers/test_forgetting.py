"""Forgetting: a campaign goes whole, and takes along nothing that another one needs."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from sparring.ledgers.episodes import EpisodeLedger
from sparring.ledgers.records import EditId, Group, GroupId, SampleId

from .conftest import MakeGroup


def of(group: Group, campaign: str) -> Group:
    return replace(group, episodes=tuple(replace(episode, campaign=campaign) for episode in group.episodes))


def renamed(group: Group, name: str, campaign: str) -> Group:
    """The same edits and samples, shown to somebody else."""
    episodes = [replace(e, episode_id=f"{name}/{e.index}", group_id=GroupId(name)) for e in group.episodes]
    return of(replace(group, trajectories=(), episodes=tuple(episodes)), campaign)


def ids(group: Group) -> tuple[list[EditId], list[SampleId]]:
    return [edit.edit_id for edit in group.edits], [sample.sample_id for sample in group.samples]


def test_what_nobody_else_names_goes_along(ledger: EpisodeLedger, make_group: MakeGroup) -> None:
    own, other = of(make_group("own"), "gone"), of(make_group("other"), "stays")
    ledger.append_groups([own, other])
    assert ledger.forget("gone") == len(own.episodes)
    edits, samples = ids(own)
    assert {e.campaign for e in ledger.scan()} == {"stays"}
    assert (ledger.get_edits(edits), ledger.get_samples(samples), ledger.get_trajectories(edits)) == ({}, {}, {})
    edits, samples = ids(other)
    assert (len(ledger.get_edits(edits)), len(ledger.get_samples(samples))) == (len(edits), len(samples))


def test_what_another_names_stays(ledger: EpisodeLedger, make_group: MakeGroup) -> None:
    own = of(make_group("own"), "gone")
    ledger.append_groups([own, renamed(own, "again", "stays")])
    ledger.forget("gone")
    edits, samples = ids(own)
    assert set(ledger.get_edits(edits)) == set(edits)
    assert set(ledger.get_samples(samples)) == set(samples)
    assert ledger.forget("stays") == len(own.episodes)
    assert (ledger.get_edits(edits), ledger.get_samples(samples)) == ({}, {})


def test_everybody_learns_of_it(tmp_path: Path, make_group: MakeGroup) -> None:
    one, other = EpisodeLedger(tmp_path), EpisodeLedger(tmp_path)
    group = of(make_group("own"), "gone")
    one.append_group(group)
    assert other.has(group.group_id)
    one.forget("gone")
    assert not one.has(group.group_id)
    assert not other.has(group.group_id)
    assert other.append_group(group), "it can be appended anew, edits and samples with it"
    edits, samples = ids(group)
    assert (len(one.get_edits(edits)), len(one.get_samples(samples))) == (len(edits), len(samples))
    assert not one.append_group(group)


def test_compaction_takes_it_off_the_disk(tmp_path: Path, ledger: EpisodeLedger, make_group: MakeGroup) -> None:
    groups = [of(make_group(f"g{number}"), "gone" if number % 2 else "stays") for number in range(8)]
    for group in groups:
        ledger.append_group(group)
    ledger.forget("gone")
    assert found(tmp_path, b"image of sample of g1"), "it is out of sight, but still there"
    ledger.compact(timedelta(0))
    assert not found(tmp_path, b"image of sample of g1")
    assert found(tmp_path, b"image of sample of g2")
    assert {e.campaign for e in ledger.scan()} == {"stays"}
    assert sum(1 for _ in ledger.scan()) == sum(len(group.episodes) for group in groups[::2])


def found(folder: Path, text: bytes) -> bool:
    return any(text in file.read_bytes() for file in folder.rglob("*") if file.is_file())

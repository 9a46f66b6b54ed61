from __future__ import annotations

import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from subprocess import PIPE

import pytest

from sparring.ledgers.errors import CorruptJournal, InvalidName, JournalLocked
from sparring.ledgers.journal import (
    CampaignFinished,
    CampaignStarted,
    CheckFinished,
    GateDecided,
    Journal,
    JournalEntry,
    Measures,
    PhaseFinished,
    PhaseStarted,
    Promoted,
    Share,
    SuiteExtended,
    Usage,
)
from sparring.ledgers.records import RevisionName

SHARE = Share(value=0.5, low=0.25, high=0.75, n=12)
DEFENDER = RevisionName("c/defender/000003")
ATTACKER = RevisionName("c/attacker/000007")
ENTRIES: list[JournalEntry] = [
    CampaignStarted(campaign="c", config={"a": {"b": [1, 2.5, "x", None]}}, seed=7, commit=""),
    PhaseStarted(phase="i1-defender", role="defender", iteration=1, parent=DEFENDER, opponent=ATTACKER, steps=4),
    PhaseFinished(phase="i1-defender", revision=DEFENDER),
    SuiteExtended(suite="s", attacker="procedural:noise", samples=5, edits=10, valid=9),
    CheckFinished(
        check="check-3",
        defender=DEFENDER,
        attackers=(ATTACKER,),
        measures=Measures(clean=SHARE, control=SHARE, robust=SHARE, asr=SHARE, validity=SHARE, missing=0),
    ),
    GateDecided(phase="i1-defender", candidate=DEFENDER, accepted=False, reasons=("clean",), numbers={"clean": SHARE}),
    Promoted(role="defender", revision=DEFENDER),
    Usage(wall_seconds=1.5, peak_pss_bytes=10),
    CampaignFinished(iterations=1),
]


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(tmp_path, "c")


def write(journal: Journal, *entries: JournalEntry) -> None:
    with journal.writer() as writer:
        for entry in entries:
            writer.append(entry)


def test_reads_what_was_written(journal: Journal) -> None:
    assert list(journal.entries()) == []
    write(journal, *ENTRIES[:4])
    write(journal, *ENTRIES[4:])
    read = list(journal.entries())
    assert read == ENTRIES
    assert {type(entry) for entry in read} == {type(entry) for entry in ENTRIES}
    assert all(entry.time.utcoffset() == timedelta(0) for entry in read)


def test_nan_becomes_none() -> None:
    nan = float("nan")
    assert Share(value=nan, low=nan, high=nan, n=0) == Share(value=None, low=None, high=None, n=0)


@pytest.mark.parametrize("kept", range(1, 40, 3))
def test_a_torn_last_line_never_counted(journal: Journal, kept: int) -> None:
    write(journal, *ENTRIES[:2])
    whole = journal.path.read_bytes()
    journal.path.write_bytes(whole + whole[:kept])
    assert list(journal.entries()) == ENTRIES[:2]
    write(journal, ENTRIES[2])
    assert list(journal.entries()) == ENTRIES[:3]


@pytest.mark.parametrize("line", [b"{}\n", b"not json\n", b'{"kind": "usage", "wall_seconds": -1}\n', b"\n"])
def test_a_bad_line_is_named(journal: Journal, line: bytes) -> None:
    write(journal, *ENTRIES[:2])
    journal.path.write_bytes(journal.path.read_bytes() + line)
    with pytest.raises(CorruptJournal, match=r"journal\.jsonl, line 3"):
        list(journal.entries())


def test_one_writer_at_a_time(journal: Journal) -> None:
    with journal.writer(), pytest.raises(JournalLocked), journal.writer():
        pass
    write(journal, ENTRIES[0])


HOLD = """
import sys
from sparring.ledgers.journal import Journal, Usage
with Journal(sys.argv[1], "c").writer() as writer:
    writer.append(Usage(wall_seconds=1, peak_pss_bytes=2))
    print("ready", flush=True)
    sys.stdin.read()
"""


def test_the_lock_falls_with_the_process(journal: Journal, tmp_path: Path) -> None:
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdin=PIPE, stdout=PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    with pytest.raises(JournalLocked), journal.writer():
        pass
    process.kill()
    process.communicate()
    write(journal, ENTRIES[1])
    assert [entry.kind for entry in journal.entries()] == ["usage", "phase_started"]


def test_a_refused_write_leaves_no_trace(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(descriptor: int) -> None:
        raise OSError("no space")

    with journal.writer() as writer:
        writer.append(ENTRIES[0])
        with monkeypatch.context() as patch:
            patch.setattr("sparring.ledgers.journal.os.fsync", refuse)
            with pytest.raises(OSError, match="no space"):
                writer.append(ENTRIES[1])
        writer.append(ENTRIES[2])
    assert list(journal.entries()) == [ENTRIES[0], ENTRIES[2]]


@pytest.mark.parametrize("name", ["", "..", "a/b", ".hidden", "x" * 101, "a b", "a\n"])
def test_a_campaign_is_one_plain_folder(tmp_path: Path, name: str) -> None:
    with pytest.raises(InvalidName):
        Journal(tmp_path, name)

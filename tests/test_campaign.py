"""A campaign of a few steps through the real processes, each of which is killed on the way, the conductor too."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from sparring.ledgers.episodes import EpisodeLedger
from sparring.ledgers.journal import CampaignFinished, Journal
from sparring.ledgers.manifest import Manifest
from sparring.ledgers.revision import ROLES, Role
from sparring.ledgers.weights import WeightsLedger

CAMPAIGN = "test"
# The attacker is trained on one rank without ZeRO, the defender on two with ZeRO-2.
SETTINGS = (
    "attacker.phase.steps=3",
    "defender.phase.steps=4",
    "defender.phase.processes=2",
    "defender.phase.engine.zero_stage=2",
)
PATIENCE = 240.0
"""Seconds until something that must happen has not happened."""


def sparring(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "sparring.ops.cli", *arguments]


def until(happened: Callable[[], bool], what: str) -> None:
    """Return once something outside this process has happened."""
    end, tick = time.monotonic() + PATIENCE, threading.Event()
    while not happened():
        assert time.monotonic() < end, f"{what} did not happen within {PATIENCE:g} s"
        tick.wait(0.1)


def processes(run: Path, name: str = "") -> list[psutil.Process]:
    """Living processes of the campaign in `run`, those of one module if it is named."""
    found = []
    for process in psutil.process_iter(["cmdline", "status"]):
        words = process.info["cmdline"] or []
        mine = any(word.startswith(str(run)) for word in words) and (not name or f"sparring.{name}" in words)
        if mine and process.info["status"] != psutil.STATUS_ZOMBIE:
            found.append(process)
    return found


def kill(run: Path, name: str) -> None:
    until(lambda: bool(processes(run, name)), f"the start of {name}")
    processes(run, name)[-1].send_signal(signal.SIGKILL)


def revisions(run: Path, role: Role) -> list[Manifest]:
    return WeightsLedger(run).revisions(CAMPAIGN, role)


@contextmanager
def conductor(run: Path, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """A conductor as a process of its own; what it leaves behind is ended with the block."""
    with (run.parent / "output").open("ab") as output:
        process = subprocess.Popen(sparring(*arguments), stdout=output, stderr=output, env={**os.environ, "CI": "true"})
        try:
            yield process
        finally:
            process.kill()
            process.wait()


@pytest.mark.campaign
@pytest.mark.timeout(900)
def test_a_campaign_survives_the_death_of_every_process(tmp_path: Path) -> None:
    run = tmp_path / "run"
    settings = [word for setting in SETTINGS for word in ("--set", setting)]
    with conductor(run, "run", "--preset", "test", "--out", str(run), *settings) as first:
        until(lambda: len(revisions(run, "attacker")) > 1 or first.poll() is not None, "the attacker's first step")
        assert first.poll() is None, (tmp_path / "output").read_text()[-2000:]
        kill(run, "attacker")
        kill(run, "referee")
        until(lambda: len(revisions(run, "defender")) > 1, "the defender's first step")
        kill(run, "defender")
        kill(run, "trainer")
        until(lambda: len(revisions(run, "defender")) > 2, "a step after the trainer's death")
    until(lambda: not processes(run), "the end of the conductor's children")

    acknowledged = {episode.episode_id for episode in EpisodeLedger(run).scan()}
    done = subprocess.run(sparring("resume", str(run)), capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    assert not processes(run)
    check_ledger(run, acknowledged)
    for role in ROLES:
        check_lineage(run, role)
    check_results(run)


def check_ledger(run: Path, acknowledged: set[str]) -> None:
    """Every episode is there once, nothing that was acknowledged is lost, and every group is whole."""
    episodes = list(EpisodeLedger(run).scan())
    ids = [episode.episode_id for episode in episodes]
    assert len(set(ids)) == len(ids)
    assert acknowledged <= set(ids)
    groups: dict[str, list[int]] = {}
    for episode in episodes:
        groups.setdefault(episode.group_id, []).append(episode.index)
    sizes = {episode.group_id: episode.group_size for episode in episodes}
    assert all(sorted(places) == list(range(sizes[group])) for group, places in groups.items())
    consumed = {group for role in ROLES for manifest in revisions(run, role) for group in manifest.consumed}
    assert consumed <= set(groups)


def check_lineage(run: Path, role: Role) -> None:
    """Along the ancestors of the last revision no group occurs twice, and steps count up from 1."""
    weights = WeightsLedger(run)
    newest = revisions(run, role)[-1]
    chain = list(weights.lineage(newest.name))[::-1]
    consumed = [group for manifest in chain for group in manifest.consumed]
    assert len(set(consumed)) == len(consumed)
    assert [manifest.step for manifest in chain] == list(range(len(chain)))
    numbers = [manifest.number for manifest in revisions(run, role)]
    assert numbers == sorted(set(numbers))


def check_results(run: Path) -> None:
    """The campaign has finished, and says what came of it."""
    assert isinstance(list(Journal(run, CAMPAIGN).entries())[-1], CampaignFinished)
    (summary,) = run.rglob("summary.json")
    found = json.loads(summary.read_text())
    assert {
        "before",
        "after",
        "difference",
        "phases",
        "seed",
        "wall_seconds",
        "peak_pss_bytes",
        "commit",
        "config",
    } <= set(found)
    for side in ("before", "after"):
        for measure in ("clean", "control", "robust", "asr", "validity"):
            assert set(found[side][measure]) == {"value", "low", "high", "n"}
    assert [phase["role"] for phase in found["phases"]] == ["attacker", "defender"]
    assert found["peak_pss_bytes"] > 0
    (report,) = run.rglob("report.html")
    assert "http://" not in report.read_text().replace("http://www.w3.org", "")

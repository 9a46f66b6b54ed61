"""A check that is killed at any moment goes on where it was, and comes to the same report."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
from pathlib import Path

from tests.oracle import Oracle, oracle

KILLS = 10
SAMPLES, ATTACKS, BUDGET, CONCURRENCY = 60, ("add", "noise"), 3, 8
VIEWS = 2 + len(ATTACKS) * BUDGET
"""Answers about a sample at most: original, control, edits."""
SECONDS = 120


def start(*arguments: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "sparring.ops.cli", "check", *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True)


def begin(endpoint: Oracle, out: Path) -> list[str]:
    asked = ["--target", endpoint.url, "--model", "oracle", "--data", "shapes:kills?seed=0&bystanders=1-1"]
    sized = ["--limit", f"{SAMPLES}", "--attacks", ",".join(ATTACKS), "--budget", f"{BUDGET}"]
    return [*asked, *sized, "--concurrency", f"{CONCURRENCY}", "--out", str(out)]


def finish(process: subprocess.Popen[bytes]) -> None:
    told, _ = process.communicate(timeout=SECONDS)
    assert process.returncode == 0, told.decode()


def test_ten_kills_change_nothing(tmp_path: Path) -> None:
    whole, torn, chance = tmp_path / "whole", tmp_path / "torn", random.Random(0)
    with oracle() as endpoint:
        finish(start(*begin(endpoint, whole)))
        calls, endpoint.asked = endpoint.asked, 0
        process = start(*begin(endpoint, torn))
        for _ in range(KILLS):
            moment = chance.randint(1, calls // KILLS - CONCURRENCY)
            assert endpoint.wait_for(endpoint.asked + moment, SECONDS), "it ended before it could be killed"
            os.kill(process.pid, signal.SIGKILL)
            assert process.wait(SECONDS) == -signal.SIGKILL
            process = start("--resume", str(torn))
        finish(process)
    assert (whole / "report.json").read_bytes() == (torn / "report.json").read_bytes()
    assert json.loads((torn / "report.json").read_text())["samples"] == SAMPLES
    # An original and a control that is equal to it are both asked about if both are in flight, else one of them.
    assert endpoint.asked <= SAMPLES * VIEWS + KILLS * CONCURRENCY, "at most the calls in flight are lost"

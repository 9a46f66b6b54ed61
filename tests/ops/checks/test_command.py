"""`sparring check` as somebody meets it who has an endpoint and a folder of questions."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from sparring.referee.report import CheckReport
from tests.oracle import oracle

from .test_loading import rows

SAMPLES = 12


def sparring(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "sparring.ops.cli", "check", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=240)


@pytest.mark.timeout(600)
def test_an_endpoint_is_checked_compared_and_gone_on_with(tmp_path: Path) -> None:
    data = rows(tmp_path, SAMPLES, broken=1)
    with oracle() as endpoint:
        asked = ["--target", endpoint.url, "--data", data, "--attacks", "noise,jpeg", "--budget", 2]
        planned = sparring(*asked, "--model", "one", "--dry-run")
        assert endpoint.asked == 0
        first = sparring(*asked, "--model", "one", "--out", tmp_path / "one")
        calls = endpoint.asked
        again = sparring("--resume", tmp_path / "one")
        assert endpoint.asked == calls, "nothing is asked twice"
        second = sparring(*asked, "--model", "two", "--out", tmp_path / "two", "--label", "number two")
        other = sparring(*asked, "--model", "one", "--out", tmp_path / "other", "--seed", 1)
    assert (planned.returncode, first.returncode, again.returncode, second.returncode) == (0, 0, 0, 0), first.stderr
    assert f"{SAMPLES} samples" in planned.stdout
    assert f"at most {SAMPLES * 6} calls" in planned.stdout
    assert calls <= SAMPLES * 6, "of two edits that are the same to the last byte one is asked about"
    report = CheckReport.model_validate_json((tmp_path / "one" / "report.json").read_text())
    assert (report.samples, report.ended, dict(report.dataset.skipped)) == (SAMPLES, "finished", {"path": 1})
    assert (report.corruption is not None, report.counts.answers) == (True, SAMPLES * 6)
    for told in ("clean accuracy", "procedural:jpeg", "rows that are no samples", "unreliable", "report.html"):
        assert told in first.stdout
    page = (tmp_path / "one" / "report.html").read_text()
    assert "<svg" in page
    assert "http://" not in page.replace(endpoint.url, "").replace("http://www.w3.org/", "")

    compared = sparring("--compare", tmp_path / "one", tmp_path / "two", "--out", tmp_path / "both")
    assert compared.returncode == 0, compared.stderr
    assert "number two" in compared.stdout
    comparison = json.loads((tmp_path / "both" / "comparison.json").read_text())
    assert comparison["schema"] == "sparring.comparison/1"
    assert (tmp_path / "both" / "comparison.html").exists()
    refused = sparring("--compare", tmp_path / "one", tmp_path / "other")
    assert other.returncode == 0
    assert refused.returncode == 2
    assert "can't be compared" in refused.stderr


def test_an_endpoint_that_is_away_is_told(tmp_path: Path) -> None:
    data = rows(tmp_path, 3)
    out, patience = tmp_path / "away", ["--set", "target.attempts=1"]
    done = sparring(
        "--target",
        "http://127.0.0.1:1/v1",
        "--model",
        "m",
        "--data",
        data,
        "--attacks",
        "noise",
        "--out",
        out,
        *patience,
    )
    assert done.returncode == 0
    report = json.loads((out / "report.json").read_text())
    assert report["counts"]["failed"] == {"target: UNAVAILABLE": 6}
    assert "unreliable" in done.stdout


def test_an_attack_that_nobody_knows_is_told(tmp_path: Path) -> None:
    data, out = rows(tmp_path, 3), tmp_path / "unknown"
    with oracle() as endpoint:
        done = sparring("--target", endpoint.url, "--model", "m", "--data", data, "--attacks", "noice", "--out", out)
    assert done.returncode == 2
    assert "no attack is called 'noice'; there are ['add', 'blur'" in done.stderr
    assert endpoint.asked == 0

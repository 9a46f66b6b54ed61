"""The command line as a user meets it: quick help, one clear line for a mistake."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from sparring.ledgers.journal import Journal
from sparring.ops.cli import app
from sparring.ops.errors import ProcessFailed
from sparring.ops.folder import RunFolder

from .conftest import cut_journal


def sparring(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "sparring.ops.cli", *arguments],
        capture_output=True,
        text=True,
        env={**os.environ, **variables},
        check=False,
    )


def test_help_is_quick_and_lists_every_command() -> None:
    before = os.times()
    done = sparring("--help")
    after = os.times()
    assert done.returncode == 0
    for command in ("demo", "run", "check", "status", "resume", "report", "episodes", "make-weights", "serve"):
        assert command in done.stdout
    # This machine may be busy, so what is counted is the time that the process had.
    assert after.children_user + after.children_system - before.children_user - before.children_system < 0.5


def test_help_imports_nothing_heavy() -> None:
    heavy = ["torch", "numpy", "lance", "grpc", "pydantic", "rich"]
    source = f"import sys, sparring.ops.cli; print([name for name in {heavy} if name in sys.modules])"
    assert subprocess.check_output([sys.executable, "-c", source], text=True).strip() == "[]"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["run", "--preset", "lapdog"], "preset 'lapdog' is unknown; there are demo, laptop, qwen, test"),
        (["run", "--preset", "test", "--set", "defender.fase=1"], "did you mean defender.phase"),
        (["run", "--preset", "test", "--config", "absent.toml"], "absent.toml is not there"),
        (["run", "--preset", "test", "--data", "absent"], "absent: there is no such file or folder"),
        (["resume", "nowhere"], "nowhere holds no campaign"),
        (["status", "nowhere"], "nowhere holds no campaign"),
        (["report", "nowhere"], "nowhere holds no campaign"),
        (["serve", "referee", "--config", "absent.json"], "absent.json"),
        (["serve", "umpire", "--config", "absent.json"], "umpire"),
        (["make-weights", "--only", "hat"], "hat"),
    ],
)
def test_mistakes_are_told_in_a_line(arguments: list[str], told: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "sparring.ops.cli", *arguments],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=False,
    )
    assert done.returncode == 2
    assert told in done.stderr
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_wrong_environment_variable_is_named() -> None:
    done = sparring("run", "--preset", "test", "--dry-run", SPARRING__ITERATIONS="many")
    assert done.returncode == 2
    assert "iterations (environment variable SPARRING__ITERATIONS)" in done.stderr


def test_a_dry_run_prints_the_resolved_settings() -> None:
    done = sparring("run", "--preset", "test", "--set", "seed=5", "--set", "attacker.policy.base=hub/id", "--dry-run")
    resolved = json.loads(done.stdout)
    assert (resolved["seed"], resolved["campaign"]) == (5, "test")


def test_a_campaign_has_one_conductor(toy: RunFolder) -> None:
    cut_journal(toy, 8)
    path = toy.own / "journal.jsonl"
    entries = path.read_text().splitlines(keepends=True)
    settings = sparring("run", "--preset", "test", "--set", "attacker.policy.base=hub/id", "--dry-run").stdout
    first = json.loads(entries[0]) | {"config": json.loads(settings)}
    path.write_text("".join([json.dumps(first) + "\n", *entries[1:]]))
    with Journal(toy.root, toy.campaign).writer():
        done = sparring("resume", str(toy.root))
        standing = sparring("status", str(toy.root))
    assert done.returncode == 2
    assert "another process conducts this campaign" in done.stderr
    assert standing.stdout.startswith("toy: running")


def test_status_report_and_export(toy: RunFolder, tmp_path: Path) -> None:
    runner = CliRunner()
    standing = runner.invoke(app, ["status", str(toy.root)])
    assert "toy: finished after 35 s" in standing.output
    assert "i1-attacker: step 4 of 4, reward 0.400, released" in standing.output
    reported = runner.invoke(app, ["report", str(toy.root)])
    assert "robust accuracy" in reported.output
    assert toy.summary.exists()
    assert toy.report.exists()
    exported = runner.invoke(app, ["episodes", "export", str(toy.root), "--out", str(tmp_path / "parquet")])
    assert exported.exit_code == 0
    assert pq.read_table(tmp_path / "parquet" / "episodes.parquet").num_rows == 2 * 12 * 6


def test_a_campaign_that_breaks_off_says_how_to_go_on(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def broken(*_: object) -> None:
        raise BaseExceptionGroup("", [ExceptionGroup("", [ProcessFailed("attacker exited with status 1")])])

    monkeypatch.setattr("sparring.ops.running.conduct", broken)
    arguments = ["run", "--preset", "test", "--set", "attacker.policy.base=hub/id", "--out", str(tmp_path / "r")]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 1
    assert "attacker exited with status 1" in done.output
    assert f"go on with `sparring resume {tmp_path / 'r'}`" in done.output

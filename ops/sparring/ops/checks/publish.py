"""Writes the pages of a check, and of two; all can be made again at any time."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sparring.ledgers.episodes import EpisodeLedger
from sparring.ledgers.records import EpisodeRecord
from sparring.ops.checks.folder import CheckFolder
from sparring.ops.errors import NoCampaign, UserError
from sparring.ops.report.check_page import render_check, render_comparison
from sparring.ops.report.flips import flips
from sparring.referee.comparison import Checked, Comparison, compare
from sparring.referee.evidence import Evidence, gather
from sparring.referee.report import CheckReport
from sparring.referee.suites import OtherSuite

EXHIBITS = 12
"""Edits in the gallery."""


@dataclass(frozen=True)
class Found:
    """What a check found.

    Attributes:
        report: its numbers.
        ledger, episodes, evidence: what they are made of.
    """

    report: CheckReport
    ledger: EpisodeLedger
    episodes: list[EpisodeRecord]
    evidence: Evidence


def find(folder: CheckFolder) -> Found:
    """Read a check that has ended.

    Raises:
        NoCampaign: there is none.
    """
    if not folder.report.exists():
        raise NoCampaign(f"{folder.root} holds no check that has ended; go on with it by `sparring check --resume`")
    ledger = EpisodeLedger(folder.root)
    episodes = list(ledger.scan(campaign=folder.check_id))
    report = CheckReport.model_validate_json(folder.report.read_text())
    return Found(report, ledger, episodes, gather(ledger, episodes))


def publish(folder: CheckFolder) -> CheckReport:
    """Write `report.html`, with the edits that tell most.

    Raises:
        NoCampaign: there is no check that has ended.
    """
    found = find(folder)
    exhibits = flips(found.ledger, found.episodes, found.evidence, EXHIBITS)
    folder.page.write_text(render_check(found.report, exhibits))
    return found.report


def publish_comparison(before: CheckFolder, after: CheckFolder, out: Path | None) -> Comparison:
    """Compare two models on the same edits; write `comparison.json` and `comparison.html` to `out`, if it is given.

    Raises:
        NoCampaign: one is no check that has ended.
        UserError: the two are not of the same suite.
    """
    try:
        comparison = compare(*(Checked(found.report, found.evidence) for found in (find(before), find(after))))
    except OtherSuite as error:
        raise UserError(f"{before.root} and {after.root} can't be compared: {error}") from error
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        (out / "comparison.json").write_text(comparison.model_dump_json(by_alias=True, indent=2) + "\n")
        (out / "comparison.html").write_text(render_comparison(comparison))
    return comparison

"""Writes summary and report of a campaign; both can be made again at any time."""

from __future__ import annotations

import os
from pathlib import Path

from sparring.ledgers.records import EditId
from sparring.ops.assemble import Assembly
from sparring.ops.findings import Findings
from sparring.ops.folder import RunFolder
from sparring.ops.report.gallery import Exhibit, exhibit, telling
from sparring.ops.report.page import render
from sparring.ops.report.picture import draw
from sparring.ops.summary import summarise

EXHIBITS = 8
"""Edits in the gallery."""


def write_reports(folder: RunFolder) -> Findings:
    """Write `summary.json`, `report.html` and, once edits have been answered, `match.png` into the folder of the run.

    Raises:
        NoCampaign: it has not begun.
    """
    assembly = Assembly(folder)
    found = assembly.findings()
    _write(folder.summary, summarise(found).model_dump_json(indent=2) + "\n")
    exhibits = _gallery(assembly, found)
    _write(folder.report, render(found, exhibits))
    if exhibits:
        folder.picture.write_bytes(draw(exhibits[0]))
    return found


def _gallery(assembly: Assembly, found: Findings) -> list[Exhibit]:
    """The edits that tell most about the first defender and the last."""
    if not assembly.defenders:
        return []
    last = next(side for side in assembly.defenders if side.label == found.last)
    before = assembly.evaluation(assembly.defenders[0].name)
    after = assembly.evaluation(last.name)
    flips = telling(before, after, EXHIBITS)
    chosen = {flip.sample for flip in flips}
    controls = {e.sample_id: e.edit_id for e in before if e.attacker == "control" and e.sample_id in chosen}
    samples = assembly.episodes.get_samples(chosen)
    edits = assembly.episodes.get_edits([flip.edit for flip in flips])
    blurred = assembly.episodes.get_edits([EditId(name) for name in controls.values() if name])
    return [
        exhibit(
            flip,
            samples[flip.sample],
            edits[flip.edit],
            blurred.get(EditId(controls.get(flip.sample) or "")),
            assembly.labels,
        )
        for flip in flips
    ]


def _write(path: Path, text: str) -> None:
    """Whoever reads it sees the old one or the new one."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.write_text(text)
    draft.replace(path)

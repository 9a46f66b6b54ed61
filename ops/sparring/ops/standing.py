"""Where a campaign stands, in a few lines."""

from __future__ import annotations

from collections.abc import Sequence

from sparring.ledgers.entries import CampaignFinished, CheckFinished, GateDecided, JournalEntry, PhaseStarted, Usage
from sparring.ledgers.journal import Journal
from sparring.ledgers.lock import exclusive
from sparring.ledgers.revision import ROLES
from sparring.ledgers.weights import WeightsLedger
from sparring.ops.conductor import current
from sparring.ops.folder import RunFolder
from sparring.ops.text import duration, percent


def describe_standing(folder: RunFolder) -> str:
    """Journal and manifests in words."""
    journal = list(Journal(folder.root, folder.campaign).entries())
    return "\n".join([_headline(folder, journal), *_phases(folder, journal), *_checks(journal), *_releases(journal)])


def _headline(folder: RunFolder, journal: Sequence[JournalEntry]) -> str:
    spent = duration(sum(entry.wall_seconds for entry in journal if isinstance(entry, Usage)))
    if any(isinstance(entry, CampaignFinished) for entry in journal):
        return f"{folder.campaign}: finished after {spent}"
    if _is_conducted(folder):
        return f"{folder.campaign}: running, {spent} so far"
    return f"{folder.campaign}: stopped after {spent}; go on with `sparring resume {folder.root}`"


def _is_conducted(folder: RunFolder) -> bool:
    """Whether a process holds the campaign."""
    try:
        with exclusive(folder.own / "lock", wait=False):
            return False
    except BlockingIOError:
        return True


def _phases(folder: RunFolder, journal: Sequence[JournalEntry]) -> list[str]:
    weights = WeightsLedger(folder.root)
    manifests = [manifest for role in ROLES for manifest in weights.revisions(folder.campaign, role)]
    decided = {entry.phase: entry.accepted for entry in journal if isinstance(entry, GateDecided)}
    lines: list[str] = []
    for started in (entry for entry in journal if isinstance(entry, PhaseStarted)):
        mine = [manifest for manifest in manifests if manifest.phase == started.phase]
        reward = mine[-1].metrics.get("reward_mean") if mine else None
        state = "" if started.phase not in decided else ", released" if decided[started.phase] else ", refused"
        told = "" if reward is None else f", reward {reward:.3f}"
        lines.append(f"  {started.phase}: step {mine[-1].step if mine else 0} of {started.steps}{told}{state}")
    return lines


def _checks(journal: Sequence[JournalEntry]) -> list[str]:
    return [
        f"  {entry.defender} against {len(entry.attackers)} attackers: clean {percent(entry.measures.clean.value)}, "
        f"robust {percent(entry.measures.robust.value)}, attack success {percent(entry.measures.asr.value)}"
        for entry in journal
        if isinstance(entry, CheckFinished)
    ]


def _releases(journal: Sequence[JournalEntry]) -> list[str]:
    return [f"  {role} released: {name}" for role in ROLES if (name := current(journal, role)) is not None]

"""Puts together what a campaign found, from ledger, journal and manifests alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from sparring.ledgers.entries import (
    CampaignFinished,
    CampaignStarted,
    CheckFinished,
    GateDecided,
    JournalEntry,
    PhaseFinished,
    PhaseStarted,
    Promoted,
    Share,
    SuiteExtended,
    Usage,
)
from sparring.ledgers.episodes import EpisodeLedger
from sparring.ledgers.journal import Journal
from sparring.ledgers.records import EpisodeRecord, Purpose, RevisionName
from sparring.ledgers.weights import WeightsLedger
from sparring.ops.conductor import current, defenders, suite_attackers
from sparring.ops.errors import NoCampaign
from sparring.ops.findings import Cell, Change, Findings, Phase, Side, Step
from sparring.ops.folder import RunFolder
from sparring.ops.gate import to_share
from sparring.ops.suites import (
    asr_by_attacker,
    asr_by_defender,
    difference,
    only,
    read_suite,
    robust_by_attacker,
    robust_by_defender,
    to_measures,
)
from sparring.referee.items import Suite
from sparring.referee.measures import asr, pool


def find(folder: RunFolder) -> Findings:
    """What the campaign in `folder` has found so far.

    Raises:
        NoCampaign: it has not begun.
        CorruptJournal: see there.
    """
    return Assembly(folder).findings()


@dataclass(frozen=True)
class Assembly:
    """Reads a campaign. Suites are kept in memory, one answer a view."""

    folder: RunFolder

    @cached_property
    def journal(self) -> Sequence[JournalEntry]:
        return list(Journal(self.folder.root, self.folder.campaign).entries())

    @cached_property
    def episodes(self) -> EpisodeLedger:
        return EpisodeLedger(self.folder.root)

    @cached_property
    def weights(self) -> WeightsLedger:
        return WeightsLedger(self.folder.root)

    @cached_property
    def attackers(self) -> tuple[Side, ...]:
        """Whose edits the suite holds."""
        known = {entry.attacker for entry in self.journal if isinstance(entry, SuiteExtended)}
        return self._sides([name for name in suite_attackers(self.journal) if name in known], "A")

    @cached_property
    def defenders(self) -> tuple[Side, ...]:
        """Who has been checked."""
        known = {entry.defender for entry in self.journal if isinstance(entry, CheckFinished)}
        return self._sides([name for name in defenders(self.journal) if name in known], "D")

    def _sides(self, names: Sequence[RevisionName], letter: str) -> tuple[Side, ...]:
        released = {entry.revision for entry in self.journal if isinstance(entry, Promoted)}
        return tuple(Side(name, f"{letter}{number}", name in released) for number, name in enumerate(names))

    @cached_property
    def labels(self) -> Mapping[str, str]:
        """Short names of all revisions that took part."""
        return {side.name: side.label for side in (*self.attackers, *self.defenders)}

    @cached_property
    def suites(self) -> Mapping[RevisionName, Suite]:
        """What each defender answered."""
        return {side.name: read_suite(self.episodes, self.folder.campaign, side.name) for side in self.defenders}

    def evaluation(self, defender: RevisionName) -> list[EpisodeRecord]:
        """Every episode of a defender's checks."""
        return list(self.episodes.scan(campaign=self.folder.campaign, purpose=Purpose.EVALUATE, defender=defender))

    def findings(self) -> Findings:
        """All of it."""
        started = next((entry for entry in self.journal if isinstance(entry, CampaignStarted)), None)
        if started is None:
            raise NoCampaign(f"the campaign in {self.folder.root} has not begun; `sparring resume {self.folder.root}`")
        usage = [entry for entry in self.journal if isinstance(entry, Usage)]
        robust, clean, success = self._differences()
        last = self._last()
        return Findings(
            campaign=started.campaign,
            seed=started.seed,
            commit=started.commit,
            config=started.config,
            finished=any(isinstance(entry, CampaignFinished) for entry in self.journal),
            defenders=tuple((side, to_measures(self.suites[side.name])) for side in self.defenders),
            last=last.label if last else "",
            attackers=self.attackers,
            cells=self._cells(),
            robust=robust,
            clean=clean,
            asr=success,
            phases=tuple(self._phase(entry) for entry in self.journal if isinstance(entry, PhaseStarted)),
            wall_seconds=sum(entry.wall_seconds for entry in usage),
            peak_pss_bytes=max((entry.peak_pss_bytes for entry in usage), default=0),
            samples=max((entry.samples for entry in self.journal if isinstance(entry, SuiteExtended)), default=0),
            edits=sum(entry.edits for entry in self.journal if isinstance(entry, SuiteExtended)),
        )

    def _last(self) -> Side | None:
        """The defender that is released; the base if that has not been checked, None if nobody has been."""
        name = current(self.journal, "defender")
        return next(
            (side for side in self.defenders if side.name == name), self.defenders[0] if self.defenders else None
        )

    def _differences(self) -> tuple[Share | None, Share | None, Share | None]:
        """Robust and clean accuracy and attack success, last defender less first."""
        last = self._last()
        if last is None or len(self.defenders) == 1:
            return None, None, None
        if last is self.defenders[0]:
            measures = to_measures(self.suites[last.name])
            return _none(measures.robust), _none(measures.clean), _none(measures.asr)
        before, after = self._common(self.defenders[0].name, last.name)
        change = difference(before, after)
        return to_share(change.robust), to_share(change.clean), asr_by_defender(before, after).difference

    def _common(self, *names: RevisionName) -> list[Suite]:
        """What defenders answered about the edits that all of them were shown."""
        shown = [set(self._faced(name)) for name in names]
        both = set.intersection(*shown)
        return [only(self.suites[name], both) for name in names]

    def _faced(self, defender: RevisionName) -> tuple[RevisionName, ...]:
        """Attackers whose edits `defender` was shown."""
        checks = [e.attackers for e in self.journal if isinstance(e, CheckFinished) and e.defender == defender]
        return tuple(RevisionName(name) for name in max(checks, key=len, default=()))

    def _cells(self) -> dict[tuple[str, str], Cell]:
        return {
            (attacker.label, side.label): self._cell(attacker.name, side.name)
            for side in self.defenders
            for attacker in self.attackers
            if attacker.name in self._faced(side.name)
        }

    def _cell(self, attacker: RevisionName, defender: RevisionName) -> Cell:
        suite = only(self.suites[defender], [attacker])
        return Cell(to_share(pool(suite, asr)), to_measures(suite).robust)

    def _phase(self, started: PhaseStarted) -> Phase:
        outcome = next((e for e in self.journal if isinstance(e, PhaseFinished) and e.phase == started.phase), None)
        decided = next((e for e in self.journal if isinstance(e, GateDecided) and e.phase == started.phase), None)
        changes = self._changes(started, outcome.revision) if outcome and decided else (None, None)
        end = decided.time if decided else self.journal[-1].time
        return Phase(
            iteration=started.iteration,
            role=started.role,
            name=started.phase,
            parent=self._label(started.parent),
            outcome=self._label(outcome.revision) if outcome else "",
            opponent=self._label(started.opponent),
            steps=self._steps(started, outcome.revision if outcome else None),
            asr=changes[0],
            robust=changes[1],
            promoted=decided.accepted if decided else None,
            reasons=decided.reasons if decided else (),
            seconds=(end - started.time).total_seconds(),
        )

    def _label(self, name: RevisionName) -> str:
        return self.labels.get(name, name)

    def _changes(self, started: PhaseStarted, outcome: RevisionName) -> tuple[Change, Change]:
        """Attack success and robust accuracy before and after a phase."""
        if started.role == "attacker":
            suite = self.suites[started.opponent]
            return asr_by_attacker(suite, started.parent, outcome), robust_by_attacker(suite, started.parent, outcome)
        attackers = suite_attackers(self.journal, started.iteration)
        before, after = only(self.suites[started.parent], attackers), only(self.suites[outcome], attackers)
        return asr_by_defender(before, after), robust_by_defender(before, after)

    def _steps(self, started: PhaseStarted, outcome: RevisionName | None) -> tuple[Step, ...]:
        """Steps on the way to the outcome, or to the newest revision of a phase that is not over."""
        if outcome is None:
            found = self.weights.revisions(self.folder.campaign, started.role)
            outcome = next((m.name for m in reversed(found) if m.phase == started.phase), None)
        chain = self.weights.lineage(outcome) if outcome else iter(())
        # After a rewind the trainer publishes what it goes on from once more, as the same step; the older has numbers.
        steps = {
            manifest.step: Step(manifest.step, manifest.metrics.get("reward_mean"), manifest.metrics.get("asr"))
            for manifest in chain
            if manifest.phase == started.phase
        }
        return tuple(steps[number] for number in sorted(steps))


def _none(share: Share) -> Share:
    """The difference of a defender from itself."""
    return Share(value=0.0, low=0.0, high=0.0, n=share.n)

"""All that a report on one defender is made of, read from the ledger without a single picture."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

from sparring.ledgers.episodes import EpisodeLedger
from sparring.ledgers.records import EditId, EditRecord, EpisodeRecord, Kind, SampleId, SampleRecord
from sparring.referee.items import Suite, read


@dataclass(frozen=True)
class Evidence:
    """What one defender was shown and answered.

    Attributes:
        suite: its answers.
        samples: what was asked, without images.
        edits: what was shown, without images; controls are not among them.
    """

    suite: Suite
    samples: Mapping[SampleId, SampleRecord]
    edits: Mapping[EditId, EditRecord]

    @cached_property
    def images(self) -> dict[SampleId, str]:
        """The image that each sample is about; a sample of an old ledger has one of its own."""
        return {name: sample.image_digest or name for name, sample in self.samples.items()}

    @cached_property
    def kinds(self) -> dict[str, Kind]:
        """What each attacker does; of one none of whose edits is known, the stricter is assumed."""
        met = {failure.attacker for item in self.suite.values() for failure in item.failed.values()} - {""}
        return dict.fromkeys(met, Kind.SEMANTIC) | {edit.attacker: edit.kind for edit in self.edits.values()}

    def of(self, kind: Kind) -> Suite:
        """The answers, with edits of one kind only."""
        chosen = frozenset(name for name, its in self.kinds.items() if its is kind)
        return {name: item.by(chosen) for name, item in self.suite.items()}


def gather(ledger: EpisodeLedger, episodes: Iterable[EpisodeRecord]) -> Evidence:
    """The evidence in the episodes of one defender."""
    suite = read(episodes)
    return Evidence(
        suite=suite,
        samples=ledger.get_samples(suite, images=False),
        edits=ledger.get_edits((edit for item in suite.values() for edit in item.attackers), images=False),
    )

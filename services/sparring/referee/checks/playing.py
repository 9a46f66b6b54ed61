"""Plays one check from where it stands to its end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

from sparring.ledgers.entries import CheckEnded, Ending
from sparring.ledgers.episodes import EpisodeLedger
from sparring.ledgers.records import EpisodeRecord, Outcome
from sparring.referee.allowance import Allowance
from sparring.referee.check import Check, Progress
from sparring.referee.checks.asking import to_asked
from sparring.referee.checks.endpoint import to_endpoint
from sparring.referee.checks.messages import to_plan
from sparring.referee.checks.probe import probe
from sparring.referee.checks.record import CheckRecord
from sparring.referee.checks.store import CheckStore
from sparring.referee.config import RefereeConfig
from sparring.referee.errors import OpponentError
from sparring.referee.facts import DatasetFacts, to_facts
from sparring.referee.match import Table
from sparring.referee.targets.admission import BadTarget
from sparring.referee.targets.cache import BadCache
from sparring.referee.targets.metrics import TargetMetrics
from sparring.referee.targets.opening import open_target
from sparring.referee.targets.target import Target
from sparring.samples.catalog import BadDataset, open_dataset
from sparring.samples.reader import Limits, Reader
from sparring.samples.roots import OutsideRoots
from sparring.samples.sample import Sample, SampleSource
from sparring.samples.uploads import Uploads
from sparring.v1 import revision_pb2

UNPLAYABLE = (OpponentError, BadTarget, BadCache, BadDataset, OutsideRoots, OSError)
"""What ends a check as failed. What was answered before stays."""


@dataclass(frozen=True)
class Tested:
    """The model under test: how it is asked, its name in the ledger, and how many requests it takes at a time."""

    target: Target
    revision: revision_pb2.Revision
    concurrency: int


@dataclass(frozen=True)
class Court:
    """Where checks are played.

    Attributes:
        config: of the referee.
        table: for their matches.
        store: has the samples that were sent.
        metrics: of calls to endpoints.
    """

    config: RefereeConfig
    table: Table
    store: CheckStore
    metrics: TargetMetrics


class Playing:
    """One check that is played from where it stands.

    Args:
        court: where.
        record: the check.

    Attributes:
        progress: how far it has come.
    """

    def __init__(self, court: Court, record: CheckRecord) -> None:
        self._court, self._record = court, record
        self._source: SampleSource | None = None
        self._shuffled = False
        self.progress = Progress({}, 0)

    async def run(self, tell: Callable[[Progress], None]) -> None:
        """Play all that is missing.

        Args:
            tell: told how far it is, now and then.

        Raises:
            Enough: more could cost more than it may.
            UNPLAYABLE: it can't go on.
        """
        record, court = self._record, self._court
        source = self._source = await asyncio.to_thread(self._open)
        async with self._tested() as tested:
            plan = to_plan(record, tested.revision, court.config.option_seed)
            await probe(court.table.attacker, plan.attacks)
            allowance = await asyncio.to_thread(self._allowance)
            check = Check(replace(court.table, defender=tested.target), plan, allowance)
            first = record.spec.dataset.offset
            samples = self._seen(islice(source, first, first + record.wanted))
            async for progress in check.run(samples, max(court.config.check_window, tested.concurrency)):
                self.progress = progress
                tell(progress)
        if not self.progress.done:
            raise BadDataset(f"{record.uri} has no sample from {first} on{self._excuse}")

    def _seen(self, samples: Iterable[Sample]) -> Iterator[Sample]:
        """The samples; notices whether the options of any of them are shuffled."""
        for sample in samples:
            self._shuffled |= sample.shuffle
            yield sample

    def ended(self, ending: Ending, error: str = "") -> CheckEnded:
        """The entry that says how it ended, with what is known by now."""
        reader = self._source if isinstance(self._source, Reader) else None
        facts = to_facts(reader.report) if reader else DatasetFacts()
        asked = to_asked(self._record, self._court.config, shuffled=self._shuffled)
        return CheckEnded(
            check=self._record.check_id,
            ending=ending,
            error=error,
            done=self.progress.done,
            missing=self.progress.missing,
            asked=asked.model_dump(mode="json"),
            dataset=facts.model_dump(mode="json"),
        )

    @property
    def _excuse(self) -> str:
        skipped = self._source.report.skipped if isinstance(self._source, Reader) else []
        return "".join(f"; skipped: {row}" for row in skipped[:5])

    @asynccontextmanager
    async def _tested(self) -> AsyncIterator[Tested]:
        model, court = self._record.spec.model, self._court
        endpoint = to_endpoint(model, court.config.targets)
        if endpoint is None:
            yield Tested(court.table.defender, model.defender, 1)
            return
        async with open_target(endpoint.target, endpoint.rules, court.metrics) as target:
            yield Tested(target, revision_pb2.Revision(name=target.name), endpoint.target.concurrency)

    def _open(self) -> SampleSource:
        record, config = self._record, self._court.config
        limits = Limits(pixels=config.serving.max_pixels, bytes=config.serving.max_image_bytes)
        if record.uploaded:
            file = self._court.store.samples(record.check_id)
            return Uploads(file, [file.parent], limits)
        return open_dataset(record.spec.dataset.uri, [Path(root) for root in config.dataset_roots], limits)

    def _allowance(self) -> Allowance:
        most = self._record.spec.max_calls
        return Allowance(max(0, most - spent(self._court.table.ledger, self._record))) if most else Allowance()


def spent(ledger: EpisodeLedger, record: CheckRecord) -> int:
    """Answers that a check has asked for. Of a match without result it is not known, and the most is assumed."""
    return sum(cost(episode, record) for episode in ledger.scan(campaign=record.check_id))


def cost(episode: EpisodeRecord, record: CheckRecord) -> int:
    """Answers that one episode may have taken."""
    if episode.outcome is not Outcome.FAILED:
        return len(episode.answers)
    return record.spec.budget + 1 if episode.attacker else 1 + record.spec.again

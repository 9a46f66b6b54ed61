"""The Referee service: messages in, messages out."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from itertools import islice
from pathlib import Path

import grpc
import structlog

from sparring.ledgers.records import EditId, EditRecord, SampleId
from sparring.referee.check import Check, Plan, fingerprint, suite_name
from sparring.referee.checks.errors import Elsewhere, NotEnded, OtherCheck, UnknownCheck
from sparring.referee.config import RefereeConfig
from sparring.referee.items import Item
from sparring.referee.match import Table
from sparring.referee.measures import measure
from sparring.referee.messages import check_terms, to_attack, to_played, to_report, to_sample, to_terms
from sparring.referee.targets.admission import BadTarget
from sparring.referee.terms import Original, Recorded, View
from sparring.samples.boxes import BadBox
from sparring.samples.catalog import BadDataset, open_dataset
from sparring.samples.images import BadImage
from sparring.samples.reader import Limits, Reader
from sparring.samples.roots import OutsideRoots
from sparring.samples.sample import Sample, SampleSource
from sparring.serving.errors import InvalidRequest, QueueFull, Violation
from sparring.serving.interceptor import Context
from sparring.serving.statuses import Rule, Rules
from sparring.v1 import referee_pb2, sample_pb2
from sparring.v1.referee_pb2_grpc import RefereeServicer

RETRY_SECONDS = 1.0
"""When to come again if too many matches are being played."""
_log = structlog.get_logger(__name__)


class UnknownEdit(ValueError):
    """An edit id that the ledger does not have, or that belongs to another sample."""


RULES: Rules = {
    BadImage: Rule(grpc.StatusCode.INVALID_ARGUMENT, "sample.image"),
    BadBox: Rule(grpc.StatusCode.INVALID_ARGUMENT, "sample.targets"),
    UnknownEdit: Rule(grpc.StatusCode.INVALID_ARGUMENT, "recorded.edit_ids"),
    BadDataset: Rule(grpc.StatusCode.INVALID_ARGUMENT, "dataset.uri"),
    OutsideRoots: Rule(grpc.StatusCode.INVALID_ARGUMENT, "dataset.uri"),
    UnknownCheck: Rule(grpc.StatusCode.NOT_FOUND),
    OtherCheck: Rule(grpc.StatusCode.ALREADY_EXISTS),
    NotEnded: Rule(grpc.StatusCode.FAILED_PRECONDITION),
    Elsewhere: Rule(grpc.StatusCode.FAILED_PRECONDITION),
    BadTarget: Rule(grpc.StatusCode.INVALID_ARGUMENT, "spec.model"),
}
"""Statuses of the referee's own errors; an opponent's bring theirs."""


class RefereeService(RefereeServicer):
    """Plays what it is asked to; see the contract.

    Args:
        config: limits.
        table: where matches are played.
    """

    def __init__(self, config: RefereeConfig, table: Table) -> None:
        self._config, self._table = config, table
        self._playing = 0

    async def Play(  # noqa: N802  # gRPC's name
        self, request: referee_pb2.PlayRequest, context: Context
    ) -> AsyncIterator[referee_pb2.PlayResponse]:
        refuse(unplayable(request))
        if self._playing >= self._config.matches:
            raise QueueFull(f"{self._playing} matches are being played; no more fit", RETRY_SECONDS)
        self._playing += 1
        try:
            sample = to_sample(request.sample)
            view = await asyncio.to_thread(self._view, request, sample)
            match = await self._table.play(sample, view, to_terms(request))
        finally:
            self._playing -= 1
        for edit in (shown.edit for shown in match.shown if shown.edit is not None and not shown.is_control):
            verdict = edit.verdict
            judged = referee_pb2.Judged(edit_id=edit.edit_id, valid=verdict.valid, reasons=verdict.reasons)
            yield referee_pb2.PlayResponse(judged=judged)
        yield referee_pb2.PlayResponse(played=to_played(match, request.key.match_id))

    def _view(self, request: referee_pb2.PlayRequest, sample: Sample) -> View:
        match request.WhichOneof("view"):
            case "fresh":
                return to_attack(request.fresh)
            case "recorded":
                return Recorded(tuple(self._look_up(sample, [EditId(name) for name in request.recorded.edit_ids])))
            case _:
                return Original()

    def _look_up(self, sample: Sample, ids: Sequence[EditId]) -> list[EditRecord]:
        found = self._table.ledger.get_edits(ids)
        for name in ids:
            if name not in found or str(found[name].sample_id) != sample.digest:
                raise UnknownEdit(f"edit {name!r} of sample {sample.digest[:12]} ({sample.source}) is not recorded")
        return [found[name] for name in ids]

    async def Check(  # noqa: N802  # gRPC's name
        self, request: referee_pb2.CheckRequest, context: Context
    ) -> AsyncIterator[referee_pb2.CheckResponse]:
        refuse(unpinned(request))
        dataset = request.dataset
        source = await asyncio.to_thread(self._open, dataset)
        check = Check(self._table, self._plan(request))
        items: dict[SampleId, Item] = {}
        samples = islice(source, dataset.offset, dataset.offset + dataset.limit)
        async for progress in check.run(samples, self._config.check_window):
            items = progress.items
            shown = referee_pb2.CheckProgress(done=progress.done, total=dataset.limit)
            yield referee_pb2.CheckResponse(progress=shown)
        skipped = tell_skipped(dataset, source)
        if not items:
            raise BadDataset(f"{dataset.uri} has no sample from {dataset.offset} on{skipped}")
        yield referee_pb2.CheckResponse(report=to_report(measure(items)))

    def _open(self, dataset: sample_pb2.Dataset) -> SampleSource:
        serving, roots = self._config.serving, [Path(root) for root in self._config.dataset_roots]
        return open_dataset(dataset.uri, roots, Limits(pixels=serving.max_pixels, bytes=serving.max_image_bytes))

    def _plan(self, request: referee_pb2.CheckRequest) -> Plan:
        dataset = request.dataset
        return Plan(
            suite=suite_name(dataset.uri, dataset.offset, dataset.limit, request.seed),
            attacks=tuple(to_attack(attack) for attack in request.attacks),
            terms=check_terms(request),
            asking=fingerprint(request.sampling.SerializeToString(deterministic=True), self._config.option_seed),
            again=request.again,
        )


def refuse(violations: Iterator[Violation]) -> None:
    """Raises: InvalidRequest if there is any violation."""
    if found := tuple(violations):
        raise InvalidRequest(found)


def unplayable(request: referee_pb2.PlayRequest) -> Iterator[Violation]:
    """What the contract's field rules can't say about a match."""
    by_editor = request.HasField("fresh") and request.fresh.HasField("learned")
    if request.learner == referee_pb2.LEARNER_ATTACKER and not by_editor:
        yield Violation("learner", "an attacker learns from fresh edits of its own alone", "play.learner")
    ids = request.recorded.edit_ids
    if len(set(ids)) != len(ids):
        yield Violation("recorded.edit_ids", "an edit is named twice", "play.edit_ids")


def unpinned(request: referee_pb2.CheckRequest) -> Iterator[Violation]:
    """Revisions that a check leaves open. Its episodes are found again by these names; tomorrow another one may be
    active."""
    if not request.defender.name:
        yield Violation("defender.name", "a check must name the revision that it measures", "check.pinned")
    for index, attack in enumerate(request.attacks):
        if attack.HasField("learned") and not attack.learned.revision.name:
            field = f"attacks[{index}].learned.revision.name"
            yield Violation(field, "a check must name the revision that edits", "check.pinned")


def tell_skipped(dataset: sample_pb2.Dataset, source: SampleSource) -> str:
    """Log the rows of a dataset that were no samples, and tell of the first few."""
    skipped = source.report.skipped if isinstance(source, Reader) else []
    for row in skipped:
        _log.warning("row skipped", dataset=dataset.uri, place=row.place, fault=row.fault, reason=row.reason)
    return "".join(f"; skipped: {row}" for row in skipped[:5])

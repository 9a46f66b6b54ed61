"""The Referee service: messages in, messages out."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from itertools import islice
from pathlib import Path

import grpc
import structlog

from sparring.ledgers.records import EditId, EditRecord, Learner, Outcome, Purpose, SampleId
from sparring.referee.check import Plan, check, suite_name
from sparring.referee.config import RefereeConfig
from sparring.referee.match import Match, Table
from sparring.referee.measures import Item, Report, measure
from sparring.referee.opponents import OpponentError
from sparring.referee.statistics import Share
from sparring.referee.terms import Attack, Original, Recorded, Terms, View
from sparring.samples.catalog import open_dataset
from sparring.samples.sample import Box, Sample, Target
from sparring.serving.errors import QueueFull
from sparring.v1 import referee_pb2, sample_pb2
from sparring.v1.referee_pb2_grpc import RefereeServicer

LEARNERS = {
    referee_pb2.LEARNER_ATTACKER: Learner.ATTACKER,
    referee_pb2.LEARNER_DEFENDER: Learner.DEFENDER,
    referee_pb2.LEARNER_NONE: Learner.NONE,
}
RETRY_SECONDS = 1.0
LEAST_SIGNAL, MOST_SIGNAL = 0.01, 0.99
logger = structlog.get_logger()


class UnknownEdit(ValueError):
    """An edit id that the ledger does not have, or that belongs to another sample."""


class Away(RuntimeError):
    """Attacker or defender gave no result."""


class Late(TimeoutError):
    """Attacker or defender gave no result in time."""


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
        self, request: referee_pb2.PlayRequest, context: grpc.aio.ServicerContext
    ) -> AsyncIterator[referee_pb2.PlayResponse]:
        if self._playing >= self._config.matches:
            raise QueueFull(f"{self._playing} matches are being played; no more fit", RETRY_SECONDS)
        self._playing += 1
        try:
            sample = to_sample(request.sample)
            view = await asyncio.to_thread(self._view, request, sample)
            match = await self._table.play(sample, view, to_terms(request))
        except OpponentError as error:
            raise (Late if error.late else Away)(str(error)) from error
        finally:
            self._playing -= 1
        for shown in match.shown:
            if shown.edit is not None:
                verdict = shown.edit.verdict
                judged = referee_pb2.Judged(edit_id=shown.edit.edit_id, valid=verdict.valid, reasons=verdict.reasons)
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
        found = self._table.edits(ids)
        for name in ids:
            if name not in found or str(found[name].sample_id) != sample.digest:
                raise UnknownEdit(f"edit {name!r} of sample {sample.digest[:12]} ({sample.source}) is not recorded")
        return [found[name] for name in ids]

    async def Check(  # noqa: N802  # gRPC's name
        self, request: referee_pb2.CheckRequest, context: grpc.aio.ServicerContext
    ) -> AsyncIterator[referee_pb2.CheckResponse]:
        dataset = request.dataset
        source = open_dataset(dataset.uri, [Path(root) for root in self._config.dataset_roots])
        samples = islice(iter(source), dataset.offset, dataset.offset + dataset.limit)
        suite = suite_name(dataset.uri, dataset.offset, dataset.limit, request.seed)
        plan = Plan(suite, tuple(to_attack(attack) for attack in request.attacks), check_terms(request))
        items: dict[SampleId, Item] = {}
        async for progress in check(self._table, samples, plan, self._config.check_window):
            items = progress.items
            shown = referee_pb2.CheckProgress(done=progress.done, total=dataset.limit)
            yield referee_pb2.CheckResponse(progress=shown)
        yield referee_pb2.CheckResponse(report=to_report(measure(items)))


def to_sample(message: sample_pb2.Sample) -> Sample:
    """The sample of a message that has passed the contract's rules."""
    targets = tuple(
        Target(target.name, Box(target.box.x, target.box.y, target.box.width, target.box.height))
        for target in message.targets
    )
    return Sample(
        message.image,
        message.question,
        tuple(message.options),
        message.answer,
        targets,
        message.category,
        message.source or "request",
    )


def to_attack(message: referee_pb2.FreshEdits | referee_pb2.SuiteAttack) -> Attack:
    by = message.learned if message.WhichOneof("attack") == "learned" else message.procedural
    return Attack(message.count, by)


def to_terms(request: referee_pb2.PlayRequest) -> Terms:
    return Terms(
        match_id=request.key.match_id,
        campaign=request.key.campaign,
        phase=request.key.phase,
        purpose=Purpose.CHECK if request.learner == referee_pb2.LEARNER_NONE else Purpose.TRAIN,
        learner=LEARNERS[request.learner],
        seed=request.seed,
        defender=request.defender,
        answers=request.answers,
        sampling=request.sampling,
    )


def check_terms(request: referee_pb2.CheckRequest) -> Terms:
    return Terms(
        match_id=request.key.match_id,
        campaign=request.key.campaign,
        phase=request.key.phase,
        purpose=Purpose.EVALUATE,
        learner=Learner.NONE,
        seed=request.seed,
        defender=request.defender,
        answers=1,
        sampling=request.sampling,
    )


def to_played(match: Match, match_id: str) -> referee_pb2.Played:
    """The summary of a match."""
    episodes = match.episodes
    rewards = [reward for episode in episodes for reward in episode.rewards]
    mean = sum(rewards) / len(rewards) if rewards else 0.0
    answers = [answer for episode in episodes for answer in episode.answers]
    return referee_pb2.Played(
        group_id=match_id,
        outcome=outcome(match),
        reward_mean=mean,
        signal=len(set(rewards)) > 1 and LEAST_SIGNAL < mean < MOST_SIGNAL,
        edits=sum(episode.edit_id is not None for episode in episodes),
        valid=sum(episode.edit_id is not None and episode.outcome is Outcome.PLAYED for episode in episodes),
        failure_rate=sum(not answer.correct for answer in answers) / len(answers) if answers else 0.0,
        error=next((episode.error for episode in episodes if episode.error), ""),
    )


def outcome(match: Match) -> referee_pb2.Outcome:
    found = {episode.outcome for episode in match.episodes}
    if match.skipped:
        return referee_pb2.OUTCOME_SKIPPED
    if Outcome.FAILED in found:
        return referee_pb2.OUTCOME_FAILED
    return referee_pb2.OUTCOME_PLAYED if Outcome.PLAYED in found else referee_pb2.OUTCOME_REJECTED


def to_report(report: Report) -> referee_pb2.CheckReport:
    return referee_pb2.CheckReport(
        clean=to_share(report.clean),
        control=to_share(report.control),
        robust=to_share(report.robust),
        asr=to_share(report.asr),
        validity=to_share(report.validity),
        missing=report.missing,
    )


def to_share(share: Share) -> referee_pb2.Share:
    return referee_pb2.Share(value=share.value, low=share.low, high=share.high, n=share.n)

"""The contract's messages as the referee's values, and back."""

from __future__ import annotations

from itertools import groupby

from sparring.ledgers.records import Learner, Outcome, Purpose
from sparring.ledgers.signal import has_signal
from sparring.referee.match import Match
from sparring.referee.measures import Report
from sparring.referee.statistics import Share
from sparring.referee.terms import CONTROL, Attack, Terms
from sparring.samples.sample import Box, Sample, Target
from sparring.v1 import referee_pb2, sample_pb2

LEARNERS = {
    referee_pb2.LEARNER_ATTACKER: Learner.ATTACKER,
    referee_pb2.LEARNER_DEFENDER: Learner.DEFENDER,
    referee_pb2.LEARNER_NONE: Learner.NONE,
}


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
        tuple((group.name, group.value) for group in message.groups),
        shuffle=not message.unshuffled,
    )


def to_attack(message: referee_pb2.FreshEdits | referee_pb2.SuiteAttack) -> Attack:
    """New edits, by a trained editor or by none."""
    by = message.learned if message.WhichOneof("attack") == "learned" else message.procedural
    return Attack(message.count, by)


def to_terms(request: referee_pb2.PlayRequest) -> Terms:
    """The terms of one match."""
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
    """The terms of every match of a check."""
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
    """The summary of a match, its control left out."""
    episodes = [episode for episode in match.episodes if episode.attacker != CONTROL]
    rewards = [reward for episode in episodes for reward in episode.rewards]
    answers = [answer for episode in episodes for answer in episode.answers]
    edits = [episode for episode in episodes if episode.edit_id is not None]
    groups = [list(group) for _, group in groupby(episodes, key=lambda episode: episode.group_id)]
    return referee_pb2.Played(
        group_id=match_id,
        outcome=outcome(match),
        reward_mean=sum(rewards) / len(rewards) if rewards else 0.0,
        signal=any(has_signal([reward for episode in group for reward in episode.rewards]) for group in groups),
        edits=len(edits),
        valid=sum(episode.outcome is Outcome.PLAYED for episode in edits),
        failure_rate=sum(not answer.correct for answer in answers) / len(answers) if answers else 0.0,
        error=next((episode.error for episode in episodes if episode.error), ""),
    )


def outcome(match: Match) -> referee_pb2.Outcome:
    if match.skipped:
        return referee_pb2.OUTCOME_SKIPPED
    found = {episode.outcome for episode in match.episodes if episode.attacker != CONTROL}
    if Outcome.FAILED in found:
        return referee_pb2.OUTCOME_FAILED
    return referee_pb2.OUTCOME_PLAYED if Outcome.PLAYED in found else referee_pb2.OUTCOME_REJECTED


def to_report(report: Report) -> referee_pb2.CheckReport:
    """All numbers of a check."""
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

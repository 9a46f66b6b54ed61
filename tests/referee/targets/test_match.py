"""A match against a target that is not ours: what the ledger has of it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from sparring.client.channel import Endpoint as Address
from sparring.ledgers.committer import Committer
from sparring.ledgers.episodes import EpisodeLedger
from sparring.ledgers.records import EpisodeRecord, Learner, Outcome, Purpose
from sparring.referee.bench import Bench
from sparring.referee.config import Opponent, RefereeConfig
from sparring.referee.errors import OpponentError
from sparring.referee.match import Table
from sparring.referee.metrics import RefereeMetrics
from sparring.referee.opponents import Attacker
from sparring.referee.rewards import attacker_reward
from sparring.referee.targets.asking import digest_of
from sparring.referee.targets.target import Target
from sparring.referee.terms import Original, Terms
from sparring.samples.sample import Sample
from sparring.samples.shapes import Shapes, World
from sparring.v1 import defender_pb2, revision_pb2

from .conftest import Endpoint, Opened, completion, reply

SAMPLE: Sample = Shapes(World(), 0, "targets").sample(0)
NOBODY = Opponent(address="127.0.0.1:1")


@asynccontextmanager
async def table(folder: Path, target: Target) -> AsyncIterator[Table]:
    """Where the target plays; no attacker is there."""
    config, ledger = RefereeConfig(attacker=NOBODY, defender=NOBODY), EpisodeLedger(folder)
    metrics, committer, attacker = RefereeMetrics(CollectorRegistry()), Committer(ledger), Attacker(Address("a:1"), 1)
    with ThreadPoolExecutor(1) as threads:
        bench = Bench(config, threads, metrics)
        yield Table(config, attacker_reward("excess"), attacker, target, bench, ledger, committer, metrics)
        await committer.close()
        await attacker.close()


def terms(name: str, match: str) -> Terms:
    sampling, revision = defender_pb2.AnswerSampling(max_tokens=24), revision_pb2.Revision(name=name)
    return Terms(match, "c", "p", Purpose.CHECK, Learner.NONE, 7, revision, 2, sampling)


async def test_what_is_said_is_judged_and_what_was_cut_off_is_named(
    endpoint: Endpoint, openai: Opened, tmp_path: Path
) -> None:
    endpoint.script = [reply(completion("(A)")), reply(completion("it is \\box", finish="length"))]
    async with openai(concurrency=1) as it, table(tmp_path, it.target) as at:
        await at.play(SAMPLE, Original(), terms(it.target.name, "m"))
        (episode,) = at.ledger.scan()
    assert (episode.outcome, episode.defender) == (Outcome.PLAYED, it.target.name)
    assert episode.defender_digest == digest_of(["house/model-0613"])
    assert [(answer.letter, answer.rule) for answer in episode.answers] == [("A", "bare"), (None, "none_truncated")]
    assert all(answer.tokens.size == answer.logprobs.size == 0 for answer in episode.answers)


async def test_what_could_not_be_measured_is_no_wrong_answer(
    endpoint: Endpoint, openai: Opened, tmp_path: Path
) -> None:
    endpoint.usual = reply({"error": "no such model"}, 404)
    async with openai() as it, table(tmp_path, it.target) as at:
        with pytest.raises(OpponentError):
            await at.play(SAMPLE, Original(), terms(it.target.name, "m"))
        episode: EpisodeRecord
        (episode,) = at.ledger.scan()
    assert (episode.outcome, episode.answers, episode.defender) == (Outcome.FAILED, (), it.target.name)
    assert f"target at {endpoint.url}/chat/completions: NOT_FOUND: HTTP 404" in episode.error

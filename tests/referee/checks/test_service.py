"""Checks as their owners see them: submitted, watched, read, cancelled, deleted."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Callable
from typing import Any

import grpc
import numpy as np
import pytest

from sparring.client.channel import Endpoint
from sparring.client.checks import CHUNK_BYTES, ChecksClient
from sparring.client.errors import Refused
from sparring.ledgers.records import Outcome, Purpose
from sparring.referee.config import ChecksConfig
from sparring.samples.images import encode_png
from sparring.serving.config import Caller, ServingConfig
from sparring.v1 import attacker_pb2, checks_pb2, revision_pb2, sample_pb2
from tests.referee.conftest import DEFENDER, Open, Ring, learned, to_message

from .conftest import SAMPLES, URI, client, finish, spec, suite, teach

VIEWS = 4
"""Answers about a sample: the original, the control, and two edits."""


def callers(*names: str) -> ServingConfig:
    return ServingConfig(
        callers=tuple(Caller(name=name, token_sha256=hashlib.sha256(name.encode()).hexdigest()) for name in names)
    )


async def read(it: Ring, check_id: str) -> dict[str, Any]:
    async with client(it) as checks:
        found: dict[str, Any] = json.loads(await checks.report(check_id))
    return found


async def test_a_dataset_is_checked(ring: Open) -> None:
    async with ring() as it, client(it) as checks:
        teach(it)
        submitted = await checks.submit(spec())
        told = [check async for check in checks.watch(submitted.check_id)]
        report = await read(it, submitted.check_id)
        episodes = it.episodes
        assert it.value("sparring_checks_ended_total", ending="finished") == 1
        assert it.value("sparring_checks_open") == 0
    assert told[-1].state == checks_pb2.CHECK_STATE_FINISHED
    assert (told[-1].done, told[-1].wanted, told[-1].missing, told[-1].error) == (SAMPLES, SAMPLES, 0, "")
    assert [check.done for check in told] == sorted(check.done for check in told)
    assert told[-1].ended.ToDatetime() >= told[-1].submitted.ToDatetime()
    assert report["schema"] == "sparring.check/1"
    assert (report["samples"], report["semantic"]["clean"]["value"]) == (SAMPLES, 1)
    assert (report["semantic"]["robust"]["value"], report["semantic"]["asr"]["value"]) == (0, 0.5)
    assert (report["asked"]["target"], report["asked"]["dataset"]) == (DEFENDER, URI)
    assert report["asked"]["attacks"] == ["procedural:mark plain"]
    assert {(e.purpose, e.campaign) for e in episodes} == {(Purpose.CHECK, submitted.check_id)}


async def test_samples_are_sent_in_pieces(ring: Open) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (700, 700, 3), dtype=np.uint8)
    large = to_message(suite()[0])
    large.image = encode_png(noise)
    assert large.ByteSize() > CHUNK_BYTES
    broken = to_message(suite()[2])
    broken.image = b"no picture"
    sent = [large, to_message(suite()[1]), broken, to_message(suite()[1])]
    async with ring() as it, client(it) as checks:
        teach(it)
        submitted = await checks.submit(spec(dataset=None), sent)
        last = await finish(checks, submitted.check_id)
        report = await read(it, submitted.check_id)
    assert (last.state, last.done, last.wanted) == (checks_pb2.CHECK_STATE_FINISHED, 2, 4)
    assert report["asked"]["dataset"].startswith("uploads:")
    assert report["dataset"]["skipped"] == {"image": 1, "repeat": 1}
    assert report["samples"] == 2


async def test_options_stay_where_the_sample_says_so(ring: Open) -> None:
    sent = [to_message(sample) for sample in suite()]
    for message in sent:
        message.unshuffled = True
    async with ring() as it, client(it) as checks:
        teach(it)
        shuffled, fixed = await checks.submit(spec("shuffled")), await checks.submit(spec("fixed", dataset=None), sent)
        for check in (shuffled, fixed):
            await finish(checks, check.check_id)
        told = [(await read(it, check.check_id))["asked"]["options"] for check in (shuffled, fixed)]
        orders = {e.option_order for e in it.ledger.scan(campaign=fixed.check_id)}
    assert told == ["shuffled", "unshuffled"]
    assert orders == {tuple(range(len(sample.options))) for sample in suite()}


async def test_the_same_request_again_begins_nothing(ring: Open) -> None:
    async with ring() as it, client(it) as checks:
        teach(it)
        samples = [to_message(sample) for sample in suite()]
        first = await checks.submit(spec(dataset=None), samples)
        again = await checks.submit(spec(dataset=None), samples)
        await finish(checks, first.check_id)
        report, asked = await read(it, first.check_id), len(it.pupil.asked)
        later = await checks.submit(spec(dataset=None, max_calls=1000), samples)
        assert first.check_id == again.check_id == later.check_id
        assert (later.state, len(it.pupil.asked)) == (checks_pb2.CHECK_STATE_FINISHED, asked)
        assert report == await read(it, first.check_id)
        assert len(await checks.mine()) == 1


@pytest.mark.parametrize("other", [spec(seed=9), spec(attacks=()), spec(dataset=None)])
async def test_a_request_id_stands_for_one_check(ring: Open, other: checks_pb2.CheckSpec) -> None:
    async with ring() as it, client(it) as checks:
        teach(it)
        await checks.submit(spec())
        samples = [] if other.HasField("dataset") else [to_message(suite()[0])]
        with pytest.raises(Refused) as caught:
            await checks.submit(other, samples)
    assert caught.value.code is grpc.StatusCode.ALREADY_EXISTS
    assert "'one' was used for another check" in caught.value.message


async def test_a_check_is_its_owners(ring: Open) -> None:
    async with ring(serving=callers("ann", "bob")) as it, client(it, "ann") as ann, client(it, "bob") as bob:
        teach(it)
        hers, his = await ann.submit(spec()), await bob.submit(spec())
        assert hers.check_id != his.check_id
        await finish(ann, hers.check_id)
        assert [check.check_id for check in await ann.mine()] == [hers.check_id]
        for call in (bob.report, bob.cancel, bob.delete, lambda name: finish(bob, name)):
            with pytest.raises(Refused) as caught:
                await call(hers.check_id)
            assert caught.value.code is grpc.StatusCode.NOT_FOUND
        assert json.loads(await ann.report(hers.check_id))["samples"] == SAMPLES


async def test_edits_are_shared_and_answers_are_not(ring: Open) -> None:
    async with ring() as it, client(it) as checks:
        teach(it)
        one, other = await checks.submit(spec("one")), await checks.submit(spec("two"))
        await finish(checks, one.check_id)
        await finish(checks, other.check_id)
        episodes = {name: list(it.ledger.scan(campaign=name)) for name in (one.check_id, other.check_id)}
    edits = [sorted(e.edit_id for e in found if e.edit_id) for found in episodes.values()]
    assert edits[0] == edits[1]
    assert len(it.pupil.asked) == 2 * SAMPLES * VIEWS


async def test_a_cancelled_check_goes_on_when_it_is_wanted_again(ring: Open) -> None:
    async with ring(check_window=1) as it, client(it) as checks:
        teach(it)
        it.pupil.release.clear()
        submitted = await checks.submit(spec())
        await it.pupil.entered.wait()
        with pytest.raises(Refused, match="has not ended"):
            await checks.report(submitted.check_id)
        cancelled = await checks.cancel(submitted.check_id)
        assert cancelled.state == checks_pb2.CHECK_STATE_CANCELLED
        assert (await finish(checks, submitted.check_id)).state == checks_pb2.CHECK_STATE_CANCELLED
        assert any("cancel" in doubt for doubt in (await read(it, submitted.check_id))["unreliable"])
        it.pupil.release.set()
        await checks.submit(spec())
        last = await finish(checks, submitted.check_id)
        assert (last.state, last.done) == (checks_pb2.CHECK_STATE_FINISHED, SAMPLES)


async def test_no_more_is_asked_than_is_allowed(ring: Open) -> None:
    async with ring() as it, client(it) as checks:
        teach(it)
        submitted = await checks.submit(spec(max_calls=9))
        last = await finish(checks, submitted.check_id)
        report = await read(it, submitted.check_id)
        assert last.state == checks_pb2.CHECK_STATE_CAPPED
        assert 0 < len(it.pupil.asked) <= 9
        assert report["unreliable"]
        await checks.submit(spec(max_calls=SAMPLES * VIEWS))
        last = await finish(checks, submitted.check_id)
        assert (last.state, last.done) == (checks_pb2.CHECK_STATE_FINISHED, SAMPLES)
        assert len(it.pupil.asked) == SAMPLES * VIEWS, "what was answered before is not asked again"


async def test_what_is_deleted_is_gone(ring: Open) -> None:
    async with ring() as it, client(it) as checks:
        teach(it)
        one, other = await checks.submit(spec("one")), await checks.submit(spec("two", attacks=["mark"]))
        for check in (one, other):
            await finish(checks, check.check_id)
        await checks.delete(one.check_id)
        left = it.episodes
        edits = it.ledger.get_edits(e.edit_id for e in left if e.edit_id)
        assert {e.campaign for e in left} == {other.check_id}
        assert len(edits) == 3 * SAMPLES, "control and edits of the other check are its own still"
        assert len(it.ledger.get_samples(e.sample_id for e in left)) == SAMPLES
        with pytest.raises(Refused) as caught:
            await checks.report(one.check_id)
        assert caught.value.code is grpc.StatusCode.NOT_FOUND
        await checks.submit(spec("one"))
        assert (await finish(checks, one.check_id)).done == SAMPLES
        assert (await read(it, one.check_id))["samples"] == SAMPLES


async def test_a_referee_takes_up_what_the_last_one_left(ring: Open) -> None:
    async with ring(check_window=1) as it, client(it) as checks:
        teach(it)
        submitted = await checks.submit(spec(dataset=None), [to_message(sample) for sample in suite()])
        async for check in checks.watch(submitted.check_id):
            if check.done:
                break
        before = len(it.pupil.asked)
    async with ring(check_window=1) as it, client(it) as checks:
        teach(it)
        last = await finish(checks, submitted.check_id)
        assert (last.state, last.done) == (checks_pb2.CHECK_STATE_FINISHED, SAMPLES)
        assert before + len(it.pupil.asked) <= SAMPLES * VIEWS + VIEWS, "at most what was in flight is asked again"
        assert len(it.episodes) == SAMPLES * VIEWS


async def test_an_attack_that_nobody_knows_costs_nothing(ring: Open) -> None:
    async with ring() as it, client(it) as checks:
        teach(it)
        it.painter.status = grpc.StatusCode.INVALID_ARGUMENT
        submitted = await checks.submit(spec())
        last = await finish(checks, submitted.check_id)
    assert last.state == checks_pb2.CHECK_STATE_FAILED
    assert "the painter is away" in last.error
    assert it.pupil.asked == []


async def test_a_model_that_is_away_ends_a_check_that_goes_on_later(ring: Open) -> None:
    async with ring() as it, client(it) as checks:
        teach(it)
        it.pupil.status = grpc.StatusCode.UNAUTHENTICATED
        submitted = await checks.submit(spec())
        last = await finish(checks, submitted.check_id)
        report = await read(it, submitted.check_id)
        assert (last.state, last.missing) == (checks_pb2.CHECK_STATE_FINISHED, 2 * SAMPLES)
        assert report["counts"]["failed"] == {"defender: UNAUTHENTICATED": 2 * SAMPLES}
        it.pupil.status = None
        await checks.submit(spec())
        last = await finish(checks, submitted.check_id)
        assert last.missing == 0
        assert {e.outcome for e in it.episodes} == {Outcome.FAILED, Outcome.PLAYED}
        assert (await read(it, submitted.check_id))["semantic"]["clean"]["n"] == SAMPLES


async def test_too_many_checks_wait(ring: Open) -> None:
    async with ring(checks=ChecksConfig(at_once=1, waiting=1)) as it, client(it) as checks:
        teach(it)
        it.pupil.release.clear()
        await checks.submit(spec("one"))
        await it.pupil.entered.wait()
        second = await checks.submit(spec("two"))
        assert second.state == checks_pb2.CHECK_STATE_WAITING
        with pytest.raises(Refused) as caught:
            await checks.submit(spec("three"))
        assert caught.value.code is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert caught.value.retry_seconds
        it.pupil.release.set()
        assert (await finish(checks, second.check_id)).done == SAMPLES


def unpinned(asked: checks_pb2.CheckSpec) -> None:
    asked.model.defender.ClearField("name")


def open_attack(asked: checks_pb2.CheckSpec) -> None:
    by = asked.attacks.add(learned=learned("mark")).learned
    by.revision.CopyFrom(revision_pb2.Revision())


def twice(asked: checks_pb2.CheckSpec) -> None:
    asked.attacks.add(procedural=attacker_pb2.ProceduralAttack(name="mark plain"))


def stranger(asked: checks_pb2.CheckSpec) -> None:
    asked.model.chat.calling.url = "https://models.example.org/v1"
    asked.model.chat.calling.model = "m"


def in_clear(asked: checks_pb2.CheckSpec) -> None:
    asked.model.chat.calling.url = "http://models.example.org/v1"
    asked.model.chat.calling.model, asked.model.chat.calling.key_env = "m", "KEY"


def nowhere(asked: checks_pb2.CheckSpec) -> None:
    asked.dataset.uri = "vstar:nowhere"


def nothing(asked: checks_pb2.CheckSpec) -> None:
    asked.ClearField("dataset")


def nameless(asked: checks_pb2.CheckSpec) -> None:
    asked.request_id = "a b"


@pytest.mark.parametrize(
    ("spoil", "field"),
    [
        (unpinned, "spec.model.defender.name"),
        (open_attack, "spec.attacks[1].learned.revision.name"),
        (twice, "spec.attacks"),
        (stranger, "spec.model"),
        (in_clear, "spec.model.chat"),
        (nowhere, "dataset.uri"),
        (nothing, "spec.dataset"),
        (nameless, "spec.request_id"),
    ],
)
async def test_what_makes_no_sense_is_refused(
    ring: Open, spoil: Callable[[checks_pb2.CheckSpec], None], field: str
) -> None:
    asked = spec()
    spoil(asked)
    async with ring() as it, client(it) as checks:
        with pytest.raises(Refused) as caught:
            await checks.submit(asked)
        assert await checks.mine() == []
    assert caught.value.code is grpc.StatusCode.INVALID_ARGUMENT
    assert field in [path for path, _ in caught.value.fields]


def piece(data: bytes, *, last: bool) -> checks_pb2.SubmitRequest:
    return checks_pb2.SubmitRequest(chunk=checks_pb2.SampleChunk(data=data, last=last))


WHOLE = to_message(suite()[0])
OPENED = checks_pb2.SubmitRequest(spec=spec(dataset=None))


@pytest.mark.parametrize(
    ("requests", "says"),
    [
        ([], "the first message must bring it"),
        ([checks_pb2.SubmitRequest(sample=WHOLE)], "the first message must bring it"),
        ([OPENED, OPENED], "it was sent before"),
        ([OPENED, piece(b"half", last=False)], "its last piece is missing"),
        ([OPENED, piece(b"\x0a\xff", last=True)], "these pieces make no Sample"),
        ([OPENED, piece(b"a", last=False), checks_pb2.SubmitRequest(sample=WHOLE)], "lacks its last piece"),
        ([OPENED, piece(sample_pb2.Sample(question="?").SerializeToString(), last=True)], "samples[0].image"),
        ([OPENED, checks_pb2.SubmitRequest()], "exactly one field is required"),
    ],
)
async def test_a_stream_that_makes_no_sense_is_refused(
    ring: Open, requests: list[checks_pb2.SubmitRequest], says: str
) -> None:
    async with ring() as it, client(it) as checks:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await checks._checks.Submit(iter(requests))
        assert await checks.mine() == []
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert says in caught.value.details()


async def test_samples_may_not_be_endless(ring: Open) -> None:
    sent = [to_message(sample) for sample in suite()]
    most = sum(message.ByteSize() for message in sent[:3])
    async with ring(checks=ChecksConfig(upload_bytes=most)) as it, client(it) as checks:
        with pytest.raises(Refused) as caught:
            await checks.submit(spec(dataset=None), sent)
    assert caught.value.code is grpc.StatusCode.INVALID_ARGUMENT
    assert "samples[3]" in caught.value.message


async def test_the_blocking_client_does_the_same(ring: Open) -> None:
    def work(address: str) -> tuple[checks_pb2.Check, str]:
        with ChecksClient(Endpoint(address)) as checks:
            submitted = checks.submit(spec(dataset=None), map(to_message, suite()))
            *_, last = checks.watch(submitted.check_id)
            report = checks.report(submitted.check_id)
            assert [check.check_id for check in checks.mine()] == [submitted.check_id]
            assert checks.cancel(submitted.check_id).state == last.state
            checks.delete(submitted.check_id)
            assert checks.mine() == []
            return last, report

    async with ring() as it:
        teach(it)
        last, report = await asyncio.to_thread(work, it.address)
    assert last.done == SAMPLES
    assert json.loads(report)["samples"] == SAMPLES

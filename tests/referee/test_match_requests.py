"""What a referee is asked without sense is refused; what makes sense is counted."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace

import grpc
import numpy as np

from sparring.ledgers.records import EditId
from sparring.samples.images import encode_png
from sparring.samples.sample import Box, Sample, Target
from sparring.serving.config import ServingConfig
from sparring.v1 import referee_pb2

from .conftest import MATCH, Open, Requests, refusal


def bad_samples(good: Sample) -> dict[str, tuple[Sample, str]]:
    outside = Target("lost", Box(70, 5, 10, 10))
    return {
        "truncated": (replace(good, image=good.image[:80]), "sample.image"),
        "no image": (replace(good, image=b"hello"), "sample.image"),
        "box outside": (replace(good, targets=(*good.targets, outside)), "sample.targets"),
    }


async def test_a_sample_without_sense_is_refused(ring: Open, request_of: Requests, sample: Sample) -> None:
    labels = {"grpc_service": "sparring.v1.Referee", "grpc_method": "Play", "grpc_type": "server_stream"}
    cases = [(bad, field, words) for bad, field in bad_samples(sample).values() for words in ("mark", "")]
    async with ring() as it:
        for bad, field, words in cases:
            said = await refusal(it, request_of(words, of=bad))
            assert (said.code, [path for path, _ in said.fields]) == (grpc.StatusCode.INVALID_ARGUMENT, [field])
            assert sample.source in said.message
        assert (it.painter.calls, it.pupil.asked, it.episodes) == (0, [], [])
        assert it.value("grpc_server_handled_total", grpc_code="InvalidArgument", **labels) == len(cases)


async def test_an_image_with_too_many_pixels_is_refused(ring: Open, request_of: Requests, sample: Sample) -> None:
    bomb = replace(sample, image=encode_png(np.zeros((64, 101, 3), dtype=np.uint8)))
    async with ring(serving=ServingConfig(max_pixels=6400)) as it:
        said = await refusal(it, request_of(of=bomb))
    assert [path for path, _ in said.fields] == ["sample.image"]
    assert "101 x 64" in said.message


async def test_a_box_that_reaches_over_the_edge_is_cut(ring: Open, request_of: Requests, sample: Sample) -> None:
    first, second = sample.targets
    over = Target(first.name, replace(first.box, x=first.box.x - 64, width=first.box.width + 64))
    async with ring() as it:
        played = (await it.play(request_of("plain", of=replace(sample, targets=(over, second)))))[-1].played
        assert played.valid == 1


SENSELESS: list[tuple[str, Callable[[referee_pb2.PlayRequest], object]]] = [
    ("sample.options", lambda request: request.sample.options.append(request.sample.options[0])),
    ("sample.options", lambda request: request.sample.ClearField("options")),
    ("sample", lambda request: setattr(request.sample, "answer", 4)),
    ("sample.targets[0].box.x", lambda request: setattr(request.sample.targets[0].box, "x", float("nan"))),
    ("sample.targets[1].box.width", lambda request: setattr(request.sample.targets[1].box, "width", 0)),
    ("view", lambda request: request.ClearField("fresh")),
    ("key.match_id", lambda request: setattr(request.key, "match_id", "a b")),
    ("learner", lambda request: setattr(request, "learner", referee_pb2.LEARNER_UNSPECIFIED)),
    ("recorded.edit_ids", lambda request: request.recorded.edit_ids.extend(["x", "x"])),
    ("recorded.edit_ids", lambda request: request.recorded.edit_ids.extend(["c/p/0/e0"])),
]


async def test_a_request_without_sense_is_refused(ring: Open, request_of: Requests) -> None:
    async with ring() as it:
        for field, change in SENSELESS:
            request = request_of("mark")
            change(request)
            said = await refusal(it, request)
            assert said.code is grpc.StatusCode.INVALID_ARGUMENT, field
            assert field in [path for path, _ in said.fields]
        assert it.episodes == []


async def test_a_recorded_edit_belongs_to_its_sample(ring: Open, request_of: Requests, sample: Sample) -> None:
    async with ring() as it:
        await it.play(request_of("mark"))
        request = request_of(match="c/p/8", of=replace(sample, question="Which way?"))
        request.recorded.edit_ids.append(f"{MATCH}/e0")
        said = await refusal(it, request)
    assert [path for path, _ in said.fields] == ["recorded.edit_ids"]
    assert f"{MATCH}/e0" in said.message


async def test_an_attacker_learns_from_its_own_edits_alone(ring: Open, request_of: Requests) -> None:
    views = [request_of("mark", learner="ATTACKER") for _ in range(3)]
    views[0].original.SetInParent()
    views[1].recorded.edit_ids.append("c/p/0/e0")
    views[2].fresh.procedural.name = "mark"
    async with ring() as it:
        for request in views:
            assert [path for path, _ in (await refusal(it, request)).fields] == ["learner"]


async def test_too_many_matches_are_told_to_come_again(ring: Open, request_of: Requests) -> None:
    async with ring(matches=1) as it:
        it.pupil.release.clear()
        first = asyncio.ensure_future(it.play(request_of()))
        await it.pupil.entered.wait()
        said = await refusal(it, request_of(match="c/p/8"))
        it.pupil.release.set()
        await first
        assert (await it.play(request_of(match="c/p/8")))[-1].played.outcome == referee_pb2.OUTCOME_PLAYED
    assert (said.code, said.retry_seconds) == (grpc.StatusCode.RESOURCE_EXHAUSTED, 1)


async def test_what_happens_is_counted(ring: Open, request_of: Requests) -> None:
    async with ring() as it:
        await it.play(request_of("mark plain cover", answers=2))
        assert it.value("sparring_matches_total", learner="none", outcome="played") == 1
        assert it.value("sparring_edits_judged_total", valid="true") == 2
        assert it.value("sparring_edits_judged_total", valid="false") == 1
        edit = it.ledger.get_edits([EditId(f"{MATCH}/e2")])[EditId(f"{MATCH}/e2")]
        for reason in edit.verdict.reasons:
            assert it.value("sparring_edit_objections_total", reason=reason) == 1
        assert it.value("sparring_answers_total", rule="boxed", correct="false") == 2
        assert it.value("sparring_answers_total", rule="boxed", correct="true") == 2
        assert it.value("sparring_judging_seconds_count") == 1

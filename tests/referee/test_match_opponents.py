"""Opponents that are away, refuse, are late or send nonsense: the match is void, and its caller told why."""

from __future__ import annotations

from collections.abc import Callable

import grpc
import numpy as np
import pytest

from sparring.ledgers.records import Outcome
from sparring.samples.images import encode_png
from sparring.serving.errors import InvalidRequest, QueueFull, Relayed, Violation
from sparring.v1 import attacker_pb2, defender_pb2, referee_pb2

from .conftest import ATTACKER, MATCH, Open, Requests, refusal


@pytest.mark.parametrize("opponent", ["attacker", "defender"])
async def test_an_opponent_that_is_away_voids_the_match(ring: Open, request_of: Requests, opponent: str) -> None:
    async with ring() as it:
        side = it.painter if opponent == "attacker" else it.pupil
        side.status = grpc.StatusCode.UNAVAILABLE
        request = request_of("mark", learner="ATTACKER", answers=2)
        refusal_ = await refusal(it, request)
        side.status = None
        again = (await it.play(request))[-1].played
        (episode,) = it.group(MATCH)
    assert refusal_.code is grpc.StatusCode.UNAVAILABLE
    assert refusal_.message.startswith(f"{opponent} at 127.0.0.1:")
    assert "UNAVAILABLE: the" in refusal_.message
    assert (episode.outcome, episode.attacker, episode.error) == (Outcome.FAILED, ATTACKER, refusal_.message)
    assert (again.outcome, again.error) == (referee_pb2.OUTCOME_FAILED, refusal_.message)
    assert it.value("sparring_opponent_errors_total", opponent=opponent, code="UNAVAILABLE") == 1
    assert it.value("sparring_matches_total", learner="attacker", outcome="failed") == 1


@pytest.mark.parametrize("opponent", ["attacker", "defender"])
async def test_an_opponents_refusal_is_told_as_what_it_is(ring: Open, request_of: Requests, opponent: str) -> None:
    codes = {
        grpc.StatusCode.INVALID_ARGUMENT: grpc.StatusCode.INVALID_ARGUMENT,
        grpc.StatusCode.NOT_FOUND: grpc.StatusCode.NOT_FOUND,
        grpc.StatusCode.FAILED_PRECONDITION: grpc.StatusCode.FAILED_PRECONDITION,
        grpc.StatusCode.INTERNAL: grpc.StatusCode.INTERNAL,
    }
    async with ring() as it:
        for number, (said, told) in enumerate(codes.items()):
            (it.painter if opponent == "attacker" else it.pupil).status = said
            refusal_ = await refusal(it, request_of("mark", learner="ATTACKER", answers=2, match=f"c/p/{number}"))
            assert refusal_.code is told
            assert f"{said.name}: the" in refusal_.message
            assert [episode.outcome for episode in it.group(f"c/p/{number}")] == [Outcome.FAILED]
            assert it.value("sparring_opponent_errors_total", opponent=opponent, code=said.name) == 1


async def test_what_an_opponent_objects_to_is_passed_on(ring: Open, request_of: Requests) -> None:
    async with ring() as it:
        it.pupil.error = InvalidRequest([Violation("image", "101 x 64 is too large", "bad_image")])
        said = await refusal(it, request_of())
    assert said.code is grpc.StatusCode.INVALID_ARGUMENT
    assert said.fields == (("defender.image", "101 x 64 is too large"),)


async def test_an_opponent_that_stays_full_is_told_as_full(ring: Open, request_of: Requests) -> None:
    async with ring(call_seconds=30) as it:
        it.pupil.error = QueueFull("no room", retry_seconds=60)
        said = await refusal(it, request_of())
    assert (said.code, said.retry_seconds) == (grpc.StatusCode.RESOURCE_EXHAUSTED, 60)


async def test_a_message_that_is_too_large_is_sent_once(ring: Open, request_of: Requests) -> None:
    async with ring() as it:
        too_large = "SERVER: Received message larger than max (9 vs. 5)"
        it.pupil.error = Relayed(too_large, grpc.StatusCode.RESOURCE_EXHAUSTED)
        said = await refusal(it, request_of())
    assert (said.code, said.fields) == (grpc.StatusCode.INVALID_ARGUMENT, (("defender", too_large),))
    assert len(it.pupil.asked) == 1


async def test_a_slow_opponent_voids_the_match(ring: Open, request_of: Requests) -> None:
    async with ring(call_seconds=0.3) as it:
        it.pupil.release.clear()
        late = await refusal(it, request_of("mark", learner="DEFENDER", answers=2))
        (episode,) = it.group(f"{MATCH}/0")
    assert late.code is grpc.StatusCode.DEADLINE_EXCEEDED
    assert episode.outcome is Outcome.FAILED
    assert it.value("sparring_opponent_errors_total", opponent="defender", code="DEADLINE_EXCEEDED") == 1


async def test_an_opponents_time_ends_before_the_callers(ring: Open, request_of: Requests) -> None:
    async with ring() as it:
        it.pupil.release.clear()
        late = await refusal(it, request_of(), seconds=0.5)
        assert late.code is grpc.StatusCode.DEADLINE_EXCEEDED


async def test_a_caller_who_leaves_takes_the_match_along(ring: Open, request_of: Requests) -> None:
    async with ring() as it:
        it.pupil.release.clear()
        call = it.referee.Play(request_of("mark"), timeout=30)
        await it.pupil.entered.wait()
        call.cancel()
        it.pupil.release.set()
        played = (await it.play(request_of("mark")))[-1].played
        assert (played.outcome, len(it.episodes)) == (referee_pb2.OUTCOME_PLAYED, 1)


async def test_a_full_queue_is_waited_for(ring: Open, request_of: Requests) -> None:
    async with ring() as it:
        it.pupil.full = 3
        played = (await it.play(request_of()))[-1].played
        assert (played.outcome, len(it.pupil.asked)) == (referee_pb2.OUTCOME_PLAYED, 4)


def nan_latents(response: attacker_pb2.EditResponse) -> bool:
    if response.HasField("edit"):
        response.edit.trajectory.latents.data = np.full(24, np.nan, dtype=np.float32).tobytes()
    return True


def odd_trajectory(response: attacker_pb2.EditResponse) -> bool:
    if response.HasField("edit"):
        response.edit.trajectory.start = 6
    return True


def broken_edit(response: attacker_pb2.EditResponse) -> bool:
    response.edit.image = response.edit.image[:60]
    return True


def broken_control(response: attacker_pb2.EditResponse) -> bool:
    response.control.image = b"GIF89a"
    return True


def small_control(response: attacker_pb2.EditResponse) -> bool:
    response.control.image = encode_png(np.zeros((32, 64, 3), dtype=np.uint8))
    return True


def no_kind(response: attacker_pb2.EditResponse) -> bool:
    response.edit.kind = attacker_pb2.EDIT_KIND_UNSPECIFIED
    return True


def idle(response: attacker_pb2.EditResponse) -> bool:
    if response.edit.index == 1:
        response.no_edit.CopyFrom(attacker_pb2.NoEdit(index=1, kind=attacker_pb2.EDIT_KIND_SEMANTIC, reason="tired"))
    return True


def another_revision(response: attacker_pb2.EditResponse) -> bool:
    response.edit.revision.name = "c/attacker/000009"
    return True


def only(part: str, spoil: Callable[[attacker_pb2.EditResponse], bool]) -> Callable[[attacker_pb2.EditResponse], bool]:
    return lambda response: spoil(response) if response.HasField(part) else True  # type: ignore[arg-type]


ATTACKERS_NONSENSE: dict[str, Callable[[attacker_pb2.EditResponse], bool]] = {
    "trajectory.latents: it holds NaN": nan_latents,
    "a trajectory of shapes": odd_trajectory,
    "a broken image as edit 0": only("edit", broken_edit),
    "a broken image as control": only("control", broken_control),
    "a control of 64 x 32 pixels for an original of 64 x 64": only("control", small_control),
    "an edit of kind 0": only("edit", no_kind),
    "no edit 1 by an editor: 'tired'": idle,
    "the work of 'c/attacker/000009'": only("edit", another_revision),
    "edits [0] and": lambda response: response.edit.index != 1,
    "0 bytes of control": lambda response: not response.HasField("control"),
}


async def test_an_attackers_nonsense_voids_the_match(ring: Open, request_of: Requests) -> None:
    async with ring() as it:
        for number, (told, spoil) in enumerate(ATTACKERS_NONSENSE.items()):
            it.painter.spoil = spoil
            said = await refusal(it, request_of("mark plain", learner="ATTACKER", answers=2, match=f"c/p/{number}"))
            assert said.code is grpc.StatusCode.INTERNAL
            assert told in said.message
            assert [episode.outcome for episode in it.group(f"c/p/{number}")] == [Outcome.FAILED]
        assert it.pupil.asked == []
        count = it.value("sparring_opponent_errors_total", opponent="attacker", code="INTERNAL")
        assert count == len(ATTACKERS_NONSENSE)


def nan_logprobs(response: defender_pb2.AnswerResponse) -> None:
    response.answers[0].logprobs.data = np.full(3, np.nan, dtype=np.float32).tobytes()


def float_tokens(response: defender_pb2.AnswerResponse) -> None:
    response.answers[0].tokens.CopyFrom(response.answers[0].logprobs)


def too_few(response: defender_pb2.AnswerResponse) -> None:
    del response.answers[1:]


def another_digest(response: defender_pb2.AnswerResponse) -> None:
    response.revision.digest = "cd" * 32


DEFENDERS_NONSENSE: dict[str, Callable[[defender_pb2.AnswerResponse], object]] = {
    "answers.logprobs: it holds NaN": nan_logprobs,
    "answers.tokens: dtype": float_tokens,
    "1 answers instead of 3": too_few,
    "the work of 'c/defender/000002' (cdcdcdcdcdcd)": another_digest,
}


async def test_a_defenders_nonsense_voids_the_match(ring: Open, request_of: Requests) -> None:
    async with ring() as it:
        for number, (told, spoil) in enumerate(DEFENDERS_NONSENSE.items()):
            it.pupil.spoil = spoil
            said = await refusal(it, request_of(answers=3, match=f"c/p/{number}"))
            assert said.code is grpc.StatusCode.INTERNAL
            assert told in said.message
            assert [episode.outcome for episode in it.group(f"c/p/{number}")] == [Outcome.FAILED]


# Bad input: refused with the field that is to blame, counted, and nothing recorded.

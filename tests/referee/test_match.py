"""The match, played by a real referee between opponents with known rules."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace

import grpc
import numpy as np
import pytest

from sparring.client.errors import Refused, refused
from sparring.ledgers.records import EditId, Kind, Learner, Outcome, Purpose
from sparring.referee.config import RewardConfig
from sparring.samples.images import decode, encode_png
from sparring.samples.prompt import put, shuffled
from sparring.samples.sample import Box, Sample, Target
from sparring.serving.config import ServingConfig
from sparring.serving.errors import InvalidRequest, QueueFull, Relayed, Violation
from sparring.v1 import attacker_pb2, defender_pb2, referee_pb2

from .conftest import ATTACKER, DEFENDER, DIGEST, FLOATS, Open, Ring

Requests = Callable[..., referee_pb2.PlayRequest]
MATCH = "c/p/000007"


async def refusal(it: Ring, request: referee_pb2.PlayRequest, *, seconds: float = 30) -> Refused:
    """What a match is refused with."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        async for _ in it.referee.Play(request, timeout=seconds):
            pass
    return refused(caught.value)


async def test_a_learning_attacker_is_paid_for_each_edit(ring: Open, request_of: Requests, sample: Sample) -> None:
    async with ring() as it:
        it.pupil.slips = 3
        *judged, last = await it.play(request_of("mark plain cover", learner="ATTACKER", answers=4))
        group, (calm,) = it.group(MATCH), it.group(f"{MATCH}/control")
        edits = it.ledger.get_edits([EditId(f"{MATCH}/{name}") for name in ("e0", "e1", "e2", "control")])
        paths = it.ledger.get_trajectories([EditId(f"{MATCH}/e{index}") for index in range(3)])

    assert [episode.rewards for episode in group] == [(0.75,), (0.0,), (0.0,)]
    assert [episode.outcome for episode in group] == [Outcome.PLAYED, Outcome.PLAYED, Outcome.REJECTED]
    assert [(e.edit_id, e.index, e.group_size, e.attacker) for e in group] == [
        (f"{MATCH}/e{index}", index, 3, ATTACKER) for index in range(3)
    ]
    assert {(e.learner, e.purpose, e.campaign, e.phase, e.defender, e.defender_digest) for e in group} == {
        (Learner.ATTACKER, Purpose.TRAIN, "c", "p", DEFENDER, DIGEST)
    }
    assert [len(episode.answers) for episode in group] == [4, 4, 0]
    assert (calm.edit_id, calm.learner, calm.rewards, calm.group_size) == (f"{MATCH}/control", Learner.NONE, (), 1)
    assert edits[EditId(f"{MATCH}/control")].kind is Kind.CONTROL
    assert not edits[EditId(f"{MATCH}/e2")].verdict.valid
    assert edits[EditId(f"{MATCH}/e0")].instruction == "mark plain cover"
    assert len({edit.seed for edit in edits.values()}) == 4
    np.testing.assert_array_equal(paths[EditId(f"{MATCH}/e0")].latents, FLOATS.reshape(3, 4, 2))
    assert (len(paths), paths[EditId(f"{MATCH}/e0")].variant) == (3, "cps")
    assert it.pupil.asked.count((sample.question, True)) == 1
    assert len(it.pupil.asked) == 3, "control, mark and plain; nobody is shown an invalid edit"
    assert [event.judged.valid for event in judged] == [True, True, False]
    assert judged[2].judged.reasons
    played = last.played
    assert (played.outcome, played.edits, played.valid, played.signal) == (referee_pb2.OUTCOME_PLAYED, 3, 2, True)
    assert (played.reward_mean, played.failure_rate) == (pytest.approx(0.25), pytest.approx(3 / 8))


async def test_the_papers_reward_wants_every_answer_wrong(ring: Open, request_of: Requests) -> None:
    async with ring(rewards=RewardConfig(attacker="all_wrong")) as it:
        it.pupil.slips = 3
        await it.play(request_of("mark", learner="ATTACKER", answers=4))
        await it.play(request_of("mark", learner="ATTACKER", answers=3, match="c/p/8"))
        assert [it.group(name)[0].rewards for name in (MATCH, "c/p/8")] == [(0.0,), (1.0,)]


async def test_a_learning_defender_is_paid_for_each_answer(ring: Open, request_of: Requests) -> None:
    def untidy(response: defender_pb2.AnswerResponse) -> None:
        response.answers[0].text += ", surely"

    async with ring() as it:
        it.pupil.slips, it.pupil.spoil = 1, untidy
        played = (await it.play(request_of("mark", learner="DEFENDER", answers=3)))[-1].played
        await it.play(request_of(learner="DEFENDER", answers=3, match="c/p/8"))
        (edited,), (plain,) = it.group(f"{MATCH}/0"), it.group("c/p/8/0")

    assert (edited.rewards, plain.rewards) == ((0.0, 1.0, 1.0), (0.8, 1.0, 1.0))
    assert (edited.edit_id, edited.attacker) == (f"{MATCH}/e0", ATTACKER)
    assert (plain.edit_id, plain.attacker) == (None, "")
    assert {(e.learner, e.group_size, e.index) for e in (edited, plain)} == {(Learner.DEFENDER, 1, 0)}
    assert (played.signal, played.reward_mean) == (True, pytest.approx(2 / 3))
    assert len(it.pupil.asked) == 2, "a learning defender is not asked about the control"


async def test_answers_to_different_images_share_no_baseline(ring: Open, request_of: Requests) -> None:
    async with ring() as it:
        played = (await it.play(request_of("mark plain", learner="DEFENDER", answers=2)))[-1].played
        groups = [it.group(f"{MATCH}/{index}") for index in range(2)]
    assert [group[0].rewards for group in groups] == [(0.0, 0.0), (1.0, 1.0)]
    assert not played.signal, "rewards differ between the groups, but in none of them"


async def test_an_invalid_edit_teaches_a_defender_nothing(ring: Open, request_of: Requests) -> None:
    async with ring() as it:
        played = (await it.play(request_of("cover", learner="DEFENDER", answers=2)))[-1].played
        (episode,) = it.group(f"{MATCH}/0")
    assert (episode.outcome, episode.rewards, episode.answers) == (Outcome.REJECTED, (0.0,), ())
    assert (played.outcome, played.valid, it.pupil.asked) == (referee_pb2.OUTCOME_REJECTED, 0, [])


async def test_an_evaluation_pays_nobody(ring: Open, request_of: Requests) -> None:
    async with ring() as it:
        await it.play(request_of("mark plain"))
        group = it.group(MATCH)
    assert [(e.rewards, e.learner, e.purpose) for e in group] == [((), Learner.NONE, Purpose.CHECK)] * 2
    assert [e.answers[0].correct for e in group] == [False, True]


async def test_a_hopeless_control_is_played_no_further(ring: Open, request_of: Requests, sample: Sample) -> None:
    async with ring() as it:
        it.pupil.baffled = {sample.question}
        request = request_of("mark plain", learner="ATTACKER", answers=2)
        first, again = (await it.play(request))[-1].played, (await it.play(request))[-1].played
        episodes = it.episodes
    assert [episode.group_id for episode in episodes] == [f"{MATCH}/control"]
    assert first == again
    assert (first.outcome, first.edits, first.signal) == (referee_pb2.OUTCOME_SKIPPED, 0, False)
    assert (it.painter.calls, len(it.pupil.asked)) == (1, 1)
    assert it.value("sparring_matches_total", learner="attacker", outcome="skipped") == 1
    assert it.value("sparring_matches_total", learner="attacker", outcome="recalled") == 1


@pytest.mark.parametrize("learner", ["ATTACKER", "DEFENDER", "NONE"])
async def test_a_match_is_played_once(ring: Open, request_of: Requests, learner: str) -> None:
    async with ring() as it:
        request = request_of("mark plain", learner=learner, answers=2)
        first = (await it.play(request))[-1]
        known, calls = it.episodes, (it.painter.calls, len(it.pupil.asked))
        again = await it.play(request)
        assert (again, (it.painter.calls, len(it.pupil.asked))) == ([first], calls)
        assert len(it.episodes) == len(known)


async def test_a_match_that_is_played_twice_at_once_counts_once(ring: Open, request_of: Requests) -> None:
    async with ring() as it:
        it.pupil.release.clear()
        request = request_of(answers=2)
        twice = [asyncio.ensure_future(it.play(request)) for _ in range(2)]
        while len(it.pupil.asked) < 2:
            await asyncio.sleep(0.001)
        it.pupil.release.set()
        first, second = await asyncio.gather(*twice)
        assert first == second
        assert len(it.episodes) == 1


async def test_recorded_edits_are_shown_again(ring: Open, request_of: Requests) -> None:
    async with ring() as it:
        await it.play(request_of("mark plain cover"))
        request = request_of(match="c/p/8")
        request.recorded.edit_ids.extend([f"{MATCH}/e2", f"{MATCH}/e0"])
        played = (await it.play(request))[-1].played
        group = it.group("c/p/8")
    assert [(e.edit_id, e.outcome, e.attacker) for e in group] == [
        (f"{MATCH}/e2", Outcome.REJECTED, ATTACKER),
        (f"{MATCH}/e0", Outcome.PLAYED, ATTACKER),
    ]
    assert (it.painter.calls, played.edits, played.valid, played.failure_rate) == (1, 2, 1, 1)


async def test_procedural_edits_and_corruptions(ring: Open, request_of: Requests) -> None:
    async with ring() as it:
        it.painter.kind = attacker_pb2.EDIT_KIND_CORRUPTION
        request = request_of()
        request.fresh.CopyFrom(referee_pb2.FreshEdits(count=1, procedural=attacker_pb2.ProceduralAttack(name="cover")))
        await it.play(request)
        (episode,) = it.group(MATCH)
        edit = it.ledger.get_edits([EditId(f"{MATCH}/e0")])[EditId(f"{MATCH}/e0")]
    assert (episode.outcome, episode.attacker) == (Outcome.PLAYED, "procedural:cover")
    assert (edit.kind, edit.instruction, edit.verdict.valid) == (Kind.CORRUPTION, "", True)


async def test_what_no_model_made_is_compared_with_the_original(ring: Open, request_of: Requests) -> None:
    def darkened(response: attacker_pb2.EditResponse) -> bool:
        if response.WhichOneof("result") == "control":
            shown = decode(response.control.image, max_pixels=1 << 20, max_bytes=1 << 24)
            response.control.image = encode_png(shown // 4)
        return True

    async with ring() as it:
        it.painter.spoil = darkened
        learned, procedural = request_of("mark", match="c/p/8"), request_of("mark", match="c/p/9")
        procedural.fresh.CopyFrom(
            referee_pb2.FreshEdits(count=1, procedural=attacker_pb2.ProceduralAttack(name="mark"))
        )
        await it.play(learned)
        await it.play(procedural)
        outcomes = [it.group(match)[-1].outcome for match in ("c/p/8", "c/p/9")]
    assert outcomes == [Outcome.REJECTED, Outcome.PLAYED]


async def test_options_are_put_in_the_recorded_order(ring: Open, request_of: Requests, sample: Sample) -> None:
    async with ring(option_seed=3) as it:
        await it.play(request_of("plain"))
        (episode,) = it.group(MATCH)
    prompt = put(sample, shuffled(sample, 3))
    assert (episode.prompt, episode.option_order) == (prompt.text, prompt.order)
    (answer,) = episode.answers
    assert (answer.letter, answer.rule, answer.correct, answer.exact) == (prompt.letter, "boxed", True, True)
    assert sample.options[episode.option_order["ABCD".index(prompt.letter)]] == sample.options[sample.answer]


async def test_equal_seeds_give_equal_edits(ring: Open, request_of: Requests) -> None:
    async with ring() as it:
        for match in ("c/p/8", "c/p/9"):
            await it.play(request_of("mark mark", match=match))
        names = [EditId(f"c/p/{match}/e{index}") for match in (8, 9) for index in (0, 1)]
        edits = it.ledger.get_edits(names)
    images = [edits[name].image for name in names]
    assert images[:2] == images[2:]
    assert images[0] != images[1]


async def test_targets_are_named_in_the_instruction(ring: Open, request_of: Requests, sample: Sample) -> None:
    async with ring() as it:
        request = request_of("plain")
        request.fresh.learned.instruction = "plain {targets}"
        await it.play(request)
        edit = it.ledger.get_edits([EditId(f"{MATCH}/e0")])[EditId(f"{MATCH}/e0")]
    first, second = sample.targets
    assert edit.instruction == f"plain the {first.name} and the {second.name}"


# Opponents that fail.


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

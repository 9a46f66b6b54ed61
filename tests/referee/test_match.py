"""The match, played by a real referee between opponents with known rules."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest

from sparring.ledgers.records import EditId, Kind, Learner, Outcome, Purpose
from sparring.referee.config import RewardConfig
from sparring.samples.images import decode, encode_png
from sparring.samples.prompt import put, shuffled
from sparring.samples.sample import Sample
from sparring.v1 import attacker_pb2, defender_pb2, referee_pb2

from .conftest import ATTACKER, DEFENDER, DIGEST, MATCH, Open, Requests
from .players import FLOATS


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
    assert edit.attack_type == ""


async def test_an_attack_that_finds_nothing_to_do_is_rejected(ring: Open, request_of: Requests, sample: Sample) -> None:
    async with ring() as it:
        request = request_of("mark")
        request.fresh.CopyFrom(
            referee_pb2.FreshEdits(count=2, procedural=attacker_pb2.ProceduralAttack(name="idle mark"))
        )
        *judged, last = await it.play(request)
        idle, made = it.group(MATCH)
        edit = it.ledger.get_edits([EditId(f"{MATCH}/e0")])[EditId(f"{MATCH}/e0")]
    assert [(event.judged.valid, event.judged.reasons) for event in judged] == [(False, ["no_room"]), (True, [])]
    assert (last.played.outcome, last.played.edits, last.played.valid) == (referee_pb2.OUTCOME_PLAYED, 2, 1)
    assert (idle.outcome, idle.answers, made.outcome) == (Outcome.REJECTED, (), Outcome.PLAYED)
    assert (edit.attacker, edit.kind, edit.image) == ("procedural:idle mark", Kind.SEMANTIC, sample.image)
    assert (edit.verdict.valid, edit.verdict.reasons, edit.verdict.measures) == (False, ("no_room",), ())
    assert it.pupil.asked == [(sample.question, True)]
    assert it.value("sparring_edit_objections_total", reason="no_room") == 1


async def test_attacks_that_all_find_nothing_to_do_are_no_failure(ring: Open, request_of: Requests) -> None:
    async with ring() as it:
        request = request_of("mark")
        request.fresh.CopyFrom(referee_pb2.FreshEdits(count=2, procedural=attacker_pb2.ProceduralAttack(name="idle")))
        played = (await it.play(request))[-1].played
        outcomes = [episode.outcome for episode in it.group(MATCH)]
        request = request_of("mark", match="c/p/8")
        request.recorded.edit_ids.extend(f"{MATCH}/e{index}" for index in range(2))
        replayed = (await it.play(request))[-1].played
    assert (played.outcome, played.valid, outcomes) == (referee_pb2.OUTCOME_REJECTED, 0, [Outcome.REJECTED] * 2)
    assert (replayed.outcome, it.pupil.asked) == (referee_pb2.OUTCOME_REJECTED, [])


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


async def test_what_an_edit_did_is_recorded(ring: Open, request_of: Requests) -> None:
    async with ring() as it:
        await it.play(request_of("mark plain cover", learner="ATTACKER", answers=1))
        names = [EditId(f"{MATCH}/{name}") for name in ("e0", "e1", "e2", "control")]
        edits = it.ledger.get_edits(names)
    assert [edits[name].attack_type for name in names] == ["add", "imperceptible", "", ""]


async def test_what_an_edit_did_is_told_against_what_it_was_judged_by(ring: Open, request_of: Requests) -> None:
    def repainted(response: attacker_pb2.EditResponse) -> bool:
        if response.HasField("control"):
            shown = decode(response.control.image, max_pixels=1 << 20, max_bytes=1 << 24).copy()
            shown[:6, :6] = 255 - shown[:6, :6]
            response.control.image = encode_png(shown)
        return True

    async with ring() as it:
        it.painter.spoil = repainted
        learned, procedural = request_of("plain", match="c/p/8"), request_of("plain", match="c/p/9")
        procedural.fresh.CopyFrom(
            referee_pb2.FreshEdits(count=1, procedural=attacker_pb2.ProceduralAttack(name="plain"))
        )
        for request in (learned, procedural):
            await it.play(request)
        names = [EditId(f"c/p/{match}/e0") for match in (8, 9)]
        types = [it.ledger.get_edits(names)[name].attack_type for name in names]
    assert types == ["remove", "imperceptible"]


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

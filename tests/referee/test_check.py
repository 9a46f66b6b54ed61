"""The check: recorded once, replayed to others, resumed where it was cut off."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import grpc
import numpy as np
import pytest

from sparring.client.errors import Refused, refused
from sparring.ledgers.records import EpisodeRecord, Outcome, Purpose
from sparring.referee import check as check_module
from sparring.referee import service as service_module
from sparring.referee.check import suite_name
from sparring.referee.items import read
from sparring.samples.images import encode_png
from sparring.samples.sample import Sample
from sparring.samples.shapes import Shapes, World
from sparring.v1 import attacker_pb2, defender_pb2, referee_pb2, revision_pb2, sample_pb2

from .conftest import DEFENDER, Open, Ring, learned

URI = "shapes:suite?seed=3"
SAMPLES = 5
VIEWS = 4
"""Of a sample: the original, the control, and two edits."""
OTHER = "c/defender/000009"


def suite() -> list[Sample]:
    source = Shapes(World(), 3, "suite")
    return [source.sample(index) for index in range(2, 2 + SAMPLES)]


def teach(it: Ring) -> None:
    """Give the pupil the key to the suite."""
    it.pupil.key = {sample.question: sample.options[sample.answer] for sample in suite()}
    assert len(it.pupil.key) == SAMPLES, "questions tell the samples apart"


def request(
    words: str = "mark plain", *, defender: str = DEFENDER, uri: str = URI, limit: int = SAMPLES, tokens: int = 9
) -> referee_pb2.CheckRequest:
    attacks = [referee_pb2.SuiteAttack(count=len(words.split()), learned=learned(words))] if words else []
    return referee_pb2.CheckRequest(
        key=referee_pb2.MatchKey(match_id="c/check", campaign="c", phase="check-2"),
        dataset=sample_pb2.Dataset(uri=uri, offset=2, limit=limit),
        defender=revision_pb2.Revision(name=defender),
        attacks=attacks,
        seed=1,
        sampling=defender_pb2.AnswerSampling(temperature=0, max_tokens=tokens),
    )


async def refusal(it: Ring, asked: referee_pb2.CheckRequest) -> Refused:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await it.check(asked)
    return refused(caught.value)


def by_view(episodes: list[EpisodeRecord]) -> list[tuple[str, str, str]]:
    return sorted((e.sample_id, e.edit_id or "", e.outcome) for e in episodes)


async def test_originals_controls_and_edits_are_measured(ring: Open) -> None:
    async with ring(check_window=2) as it:
        teach(it)
        it.pupil.baffled = {suite()[0].question}
        *progress, last = await it.check(request("mark plain cover"))
        episodes = it.episodes
    done = [event.progress.done for event in progress]
    assert done == sorted(done)
    assert done[-1] == SAMPLES
    assert {event.progress.total for event in progress} == {SAMPLES}
    report = last.report
    assert (report.clean.value, report.clean.n) == (pytest.approx(0.8), 5)
    assert (report.control.value, report.control.n) == (pytest.approx(0.8), 5)
    assert (report.robust.value, report.robust.n) == (0, 5)
    assert (report.asr.value, report.asr.n) == (pytest.approx(0.5), 8)
    assert (report.validity.value, report.validity.n) == (pytest.approx(2 / 3), 15)
    assert (report.missing, report.robust.low <= 0 <= report.robust.high) == (0, True)
    assert {(e.purpose, e.phase, e.rewards, e.defender) for e in episodes} == {
        (Purpose.EVALUATE, "check-2", (), DEFENDER)
    }
    assert {e.sample_id for e in episodes} == {sample.digest for sample in suite()}
    assert len(episodes) == SAMPLES * (VIEWS + 1)


async def test_a_suite_is_recorded_once_and_shown_to_everybody(ring: Open) -> None:
    async with ring() as it:
        teach(it)
        first = (await it.check(request("mark cover")))[-1].report
        made, asked = it.painter.calls, len(it.pupil.asked)
        it.pupil.slips = 0
        second = (await it.check(request("mark cover", defender=OTHER)))[-1].report
        one, other = (list(it.ledger.scan(defender=name)) for name in (DEFENDER, OTHER))
    assert (made, it.painter.calls) == (SAMPLES, SAMPLES)
    assert len(it.pupil.asked) == 2 * asked
    assert by_view(one) == by_view(other)
    assert (first.asr.value, second.asr.value) == (1, 0)
    assert first.validity == second.validity
    assert {e.outcome for e in other} == {Outcome.PLAYED, Outcome.REJECTED}


async def test_what_is_in_the_ledger_is_not_asked_for_again(ring: Open) -> None:
    async with ring(check_window=2) as it:
        teach(it)
        first = await it.check(request())
        calls, known = (it.painter.calls, len(it.pupil.asked)), it.episodes
        second = await it.check(request())
        assert (it.painter.calls, len(it.pupil.asked)) == calls == (SAMPLES, SAMPLES * VIEWS)
        assert len(it.episodes) == len(known)
    assert first == second


async def test_originals_are_asked_about_again_for_what_chance_does(ring: Open) -> None:
    asked = request("")
    asked.again = 3
    async with ring() as it:
        teach(it)
        report = (await it.check(asked))[-1].report
        suite_of_defender = read(it.ledger.scan(defender=DEFENDER))
        await it.check(request(""))
        other = [episode for episode in it.episodes if len(episode.answers) == 1]
    assert report.clean.n == SAMPLES
    assert [len(item.again) for item in suite_of_defender.values()] == [3] * SAMPLES
    assert len(other) == SAMPLES, "who asks once does not take the first of several answers for his own"


async def test_a_check_that_was_cut_off_goes_on(ring: Open) -> None:
    async with ring(check_window=2) as it:
        teach(it)
        call = it.referee.Check(request())
        first = await call.read()
        assert 1 <= first.progress.done <= 2
        call.cancel()
        assert (await call.code()) is grpc.StatusCode.CANCELLED
        report = (await it.check(request()))[-1].report
        episodes = it.episodes
    assert (report.clean.n, report.asr.n, report.missing) == (SAMPLES, 2 * SAMPLES, 0)
    assert len(episodes) == len({e.episode_id for e in episodes}) == SAMPLES * VIEWS
    assert len({(e.sample_id, e.edit_id) for e in episodes}) == SAMPLES * VIEWS
    assert it.painter.calls <= SAMPLES + 2, "at most the two samples in flight are edited again"


async def test_a_referee_that_died_is_followed_by_one_that_goes_on(ring: Open) -> None:
    async with ring(check_window=2) as it:
        teach(it)
        await it.referee.Check(request()).read()
    async with ring(check_window=2) as it:
        teach(it)
        report = (await it.check(request()))[-1].report
        assert (report.clean.n, report.missing, len(it.episodes)) == (SAMPLES, 0, SAMPLES * VIEWS)
        assert it.painter.calls < SAMPLES


async def test_other_edits_and_other_questions_are_other_matches(ring: Open) -> None:
    async with ring() as it:
        teach(it)
        await it.check(request("mark plain"))
        await it.check(request("mark mark"))
        assert it.painter.calls == 2 * SAMPLES, "the instruction differs"
        asked = len(it.pupil.asked)
        await it.check(request("mark plain", tokens=10))
        assert it.painter.calls == 2 * SAMPLES, "edits do not depend on how the defender is asked"
        assert len(it.pupil.asked) == asked + SAMPLES * VIEWS


async def test_another_order_of_options_is_another_match(
    ring: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service_module, "suite_name", lambda *_: "suite-of-all")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "0.png").write_bytes(encode_png(np.full((40, 40, 3), 90, dtype=np.uint8)))
    rows = [
        {"image": "0.png", "question": f"Where is {n}?", "options": list("wxyz"), "answer": "w"} for n in range(SAMPLES)
    ]
    (tmp_path / "data" / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)))
    async with ring(dataset_roots=(str(tmp_path / "data"),)) as it:
        it.pupil.key = {str(row["question"]): "w" for row in rows}
        for protocol in ("shuffled", "unshuffled", "unshuffled"):
            asked = request("", uri=f"jsonl:rows.jsonl?protocol={protocol}")
            asked.dataset.offset = 0
            await it.check(asked)
        orders = [episode.option_order for episode in it.episodes]
        assert len(it.pupil.asked) == len(orders) == 2 * SAMPLES
    assert set(orders[SAMPLES:]) == {(0, 1, 2, 3)} != set(orders[:SAMPLES])


async def test_attackers_are_added_to_a_suite(ring: Open) -> None:
    async with ring() as it:
        teach(it)
        await it.check(request("plain"))
        asked, calls = len(it.pupil.asked), it.painter.calls
        more = request("plain")
        more.attacks.add(count=1, learned=learned("mark", attacker="c/attacker/000002"))
        more.attacks.add(count=2, procedural=attacker_pb2.ProceduralAttack(name="mark"))
        report = (await it.check(more))[-1].report
        assert it.painter.calls == calls + 2 * SAMPLES
        assert len(it.pupil.asked) == asked + 3 * SAMPLES, "only what is new is shown, and no control twice"
        assert (report.control.n, report.asr.n, report.asr.value) == (SAMPLES, 4 * SAMPLES, 0.75)
        assert {e.attacker for e in it.episodes} == {
            "", "control", "c/attacker/000001", "c/attacker/000002", "procedural:mark"
        }  # fmt: skip


async def test_without_attacks_only_originals_are_shown(ring: Open) -> None:
    async with ring() as it:
        teach(it)
        report = (await it.check(request("")))[-1].report
        assert (report.clean.value, report.control.n, report.robust.n, it.painter.calls) == (1, 0, 0, 0)
        assert np.isnan(report.robust.value)


async def test_an_answer_that_fails_is_missing_until_it_comes(ring: Open) -> None:
    lost = suite()[1].question
    async with ring() as it:
        teach(it)
        it.pupil.unheard = {lost}
        first = (await it.check(request()))[-1].report
        second = (await it.check(request()))[-1].report
        failed = [e for e in it.episodes if e.outcome is Outcome.FAILED]
        it.pupil.unheard, asked, made = set(), len(it.pupil.asked), it.painter.calls
        third = (await it.check(request()))[-1].report
    assert (first.missing, first.clean.n, first.robust.n) == (2, SAMPLES - 1, SAMPLES - 1)
    assert (second.missing, third.missing) == (2, 0)
    assert (third.clean.n, third.robust.n) == (SAMPLES, SAMPLES)
    assert len(failed) == 4
    assert {e.attacker for e in failed} == {"", "c/attacker/000001"}
    assert len(it.pupil.asked) == asked + VIEWS
    assert it.painter.calls == made + 1, "the group that failed had no edits recorded"


async def test_a_check_is_broken_off_where_nobody_is_there(ring: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check_module, "GIVE_UP", 2)
    async with ring(check_window=1) as it:
        teach(it)
        it.pupil.status = grpc.StatusCode.UNAVAILABLE
        said = await refusal(it, request())
        assert said.code is grpc.StatusCode.UNAVAILABLE
        assert "UNAVAILABLE: the pupil is away" in said.message
        assert len(it.episodes) <= 2 * 2, "what was not tried is not missing"
        it.pupil.status = None
        report = (await it.check(request()))[-1].report
        assert (report.clean.n, report.missing) == (SAMPLES, 0)


async def test_a_check_is_broken_off_where_one_attacker_never_edits(
    ring: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(check_module, "GIVE_UP", 3)
    async with ring(check_window=1) as it:
        teach(it)
        it.painter.status = grpc.StatusCode.NOT_FOUND
        said = await refusal(it, request())
        assert "the painter is away" in said.message
        assert len(it.pupil.asked) == 3, "originals that are answered do not hide it"


async def test_a_few_failures_break_nothing_off(ring: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check_module, "GIVE_UP", 3)
    async with ring(check_window=1) as it:
        teach(it)
        it.pupil.unheard = {suite()[0].question, suite()[2].question}
        report = (await it.check(request(limit=3)))[-1].report
        assert (report.missing, report.clean.n) == (4, 1), "four failed, but never three in a row"


async def test_a_check_names_its_revisions(ring: Open) -> None:
    asked = request()
    asked.defender.ClearField("name")
    asked.attacks[0].learned.revision.ClearField("name")
    async with ring() as it:
        said = await refusal(it, asked)
        assert it.episodes == []
    assert said.code is grpc.StatusCode.INVALID_ARGUMENT
    assert [path for path, _ in said.fields] == ["defender.name", "attacks[0].learned.revision.name"]


async def test_a_dataset_that_is_none_is_refused(ring: Open, tmp_path: Path) -> None:
    outside = tmp_path / "outside.jsonl"
    outside.write_text("")
    async with ring(dataset_roots=(str(tmp_path / "data"),)) as it:
        for uri in ("photos:x", "shapes:suite?sides=7", "jsonl:none.jsonl", f"jsonl:{outside}"):
            said = await refusal(it, request(uri=uri))
            assert said.code is grpc.StatusCode.INVALID_ARGUMENT, uri
            assert [path for path, _ in said.fields] == ["dataset.uri"]


async def test_a_folder_with_broken_rows_is_checked_without_them(ring: Open, tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    (data / "good.png").write_bytes(encode_png(np.full((40, 40, 3), 90, dtype=np.uint8)))
    (data / "cut.png").write_bytes((data / "good.png").read_bytes()[:50])
    rows: list[dict[str, object]] = [
        {"image": image, "question": "Where?", "options": ["left", "right"], "answer": "right", "targets": targets}
        for image, targets in [
            ("cut.png", []),
            ("good.png", [{"name": "cup", "box": [90, 90, 5, 5]}]),
            ("good.png", [{"name": "cup", "box": [5, 5, 12, 12]}]),
        ]
    ]
    (data / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)))
    asked = request("", uri="jsonl:rows.jsonl")
    async with ring(dataset_roots=(str(data),)) as it:
        it.pupil.key = {"Where?": "right"}
        said = await refusal(it, asked)
        asked.dataset.offset = 0
        report = (await it.check(asked))[-1].report
    assert (report.clean.value, report.clean.n) == (1, 1)
    assert said.code is grpc.StatusCode.INVALID_ARGUMENT
    assert "has no sample from 2 on" in said.message
    assert "line 1: image" in said.message
    assert "line 2: box" in said.message


async def test_two_checks_at_once_record_one_suite(ring: Open) -> None:
    async with ring() as it:
        teach(it)
        await asyncio.gather(it.check(request()), it.check(request(defender=OTHER)))
        one, other = (list(it.ledger.scan(defender=name)) for name in (DEFENDER, OTHER))
        assert by_view(one) == by_view(other)
        edits = it.ledger.get_edits({e.edit_id for e in one if e.edit_id is not None})
        assert len(edits) == 3 * SAMPLES


def test_a_suites_name_follows_from_its_samples_and_seed() -> None:
    names = [
        suite_name(*arguments) for arguments in [("a", 0, 10, 1), ("a", 0, 10, 2), ("a", 1, 10, 1), ("b", 0, 10, 1)]
    ]
    assert len(set(names)) == 4
    assert names[0] == suite_name("a", 0, 10, 1)

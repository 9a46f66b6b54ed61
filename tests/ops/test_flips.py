"""Which edits are shown of a check, and what is shown of them."""

from __future__ import annotations

import base64
import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sparring.ledgers.episodes import EpisodeLedger
from sparring.ledgers.records import EditId, EditRecord, Group, Kind, SampleId, VerdictRecord
from sparring.ops.report.flips import Pictures, flips, fooling, moved, spread
from sparring.ops.report.gallery import difference_map
from sparring.referee.evidence import Evidence, gather
from sparring.referee.terms import CONTROL
from sparring.samples.images import encode_png
from tests.referee.played import ADD, AFFINE, CHECK, SHIFT, answer, edit, group, played, sample

Pixels = np.ndarray


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> EpisodeLedger:
    ledger = EpisodeLedger(tmp_path_factory.mktemp("flips"))
    ledger.append_groups(list(played(40)))
    return ledger


@pytest.fixture
def evidence(ledger: EpisodeLedger) -> Evidence:
    return gather(ledger, ledger.scan(campaign=CHECK))


def made(name: str, attacker: str = ADD, ssim: float = 1.0) -> EditRecord:
    verdict = VerdictRecord(True, (), (("ssim", ssim),))
    return EditRecord(EditId(name), SampleId(name[0]), attacker, "", "", 0, Kind.SEMANTIC, None, b"", verdict)


def names(edits: list[EditRecord]) -> list[str]:
    return [str(one.edit_id) for one in edits]


def test_only_what_fools_a_steady_answer_is_a_flip(evidence: Evidence) -> None:
    found = {one.edit_id for one in fooling(evidence)}
    expected = {
        name
        for item in evidence.suite.values()
        for name, reply in item.edits.items()
        if reply and not reply.right and item.original and item.original.right and item.control and item.control.right
    }
    assert found == expected != set()
    likeness = [dict(one.verdict.measures)["ssim"] for one in fooling(evidence)]
    assert likeness == sorted(likeness, reverse=True)


def test_attacks_take_turns_and_a_sample_is_shown_once() -> None:
    edits = [made("a1"), made("a2"), made("b1"), made("c1"), made("a3", SHIFT), made("d1", SHIFT), made("e1", "x")]
    assert names(spread(edits, 9)) == ["a1", "d1", "e1", "b1", "c1"]
    assert names(spread(edits, 2)) == ["a1", "d1"]
    assert spread([], 3) == spread(edits, 0) == []


def test_flips_are_shown_with_both_answers(ledger: EpisodeLedger, evidence: Evidence) -> None:
    found = flips(ledger, ledger.scan(campaign=CHECK), evidence, 6)
    assert len(found) == 6
    assert len({one.question for one in found}) == 6
    assert {one.attacker for one in found} == {"add", "shift"}
    for one in found:
        assert (one.before.correct, one.after.correct) == (True, False)
        assert one.before.option == one.right != one.after.option
        assert [name for name, _ in one.pictures] == ["original", "edit", "difference"]
    kinds = [one.attacker == "shift" for one in found]
    assert kinds == sorted(kinds)


def test_what_changes_least_of_the_picture_comes_first(tmp_path: Path) -> None:
    """Both changes leave the targets alone; the smaller one is on the sample with the later id."""
    ledger = EpisodeLedger(tmp_path)
    for number, rows in ((0, 8), (2, 4)):
        row = sample(number)
        pixels = np.array(Image.open(io.BytesIO(row.image)).convert("RGB"))
        pixels[:rows] = 255 - pixels[:rows]
        changed = replace(edit(row, ADD, 0, True), image=encode_png(pixels))
        right, wrong = answer(row.answer, row.answer), answer((row.answer + 1) % 4, row.answer)
        shown = [(edit(row, CONTROL, 0, True), (right,)), (changed, (wrong,))]
        ledger.append_groups([group(row, f"{number}/o", [(None, (right,))]), group(row, f"{number}/a", shown)])
    found = flips(ledger, ledger.scan(), gather(ledger, ledger.scan()), 5)
    assert [one.note for one in found] == ["6.2 % of the picture changed", "12.5 % of the picture changed"]
    assert found[0].question == sample(2).question


def test_the_order_of_episodes_does_not_matter(ledger: EpisodeLedger, evidence: Evidence) -> None:
    straight = list(ledger.scan(campaign=CHECK))
    assert flips(ledger, straight, evidence, 4) == flips(ledger, reversed(straight), evidence, 4)


def test_a_learned_edit_is_compared_with_the_control(tmp_path: Path) -> None:
    row = sample(0)
    blurred = np.full((64, 64, 3), 90, dtype=np.uint8)
    control = replace(edit(row, CONTROL, 0, True), image=encode_png(blurred))
    changed = replace(edit(row, ADD, 0, True), attacker="c/attacker/000001", image=encode_png(blurred))
    right, wrong = answer(row.answer, row.answer), answer((row.answer + 1) % 4, row.answer)
    groups: list[Group] = [
        group(row, "o", [(None, (right,))]), group(row, "a", [(control, (right,)), (changed, (wrong,))])
    ]  # fmt: skip
    ledger = EpisodeLedger(tmp_path)
    ledger.append_groups(groups)
    (found,) = flips(ledger, ledger.scan(), gather(ledger, ledger.scan()), 5)
    assert [name for name, _ in found.pictures] == ["original", "control", "edit", "difference"]
    assert found.note == "0.0 % of the picture changed"
    decoded = Image.open(io.BytesIO(base64.b64decode(found.control.partition(",")[2])))
    assert np.array_equal(np.asarray(decoded), blurred)


def noise(height: int, width: int) -> Pixels:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


def test_a_shift_is_followed_to_the_pixel() -> None:
    before = noise(40, 60)
    edited = np.full_like(before, 7)
    edited[4:, 8:] = before[:-4, :-8]
    reference = moved(before, AFFINE, edited)
    assert np.array_equal(reference, edited)
    assert Pictures(before, before, edited, reference).changed == 0


def test_what_changed_besides_the_geometry_shows() -> None:
    before = noise(40, 60)
    edited = np.full_like(before, 7)
    edited[4:, 8:] = before[:-4, :-8]
    edited[10:20, 10:20] ^= 128
    shown = Pictures(before, before, edited, moved(before, AFFINE, edited))
    assert shown.changed == pytest.approx(100 / 2400)
    assert (difference_map(shown.reference, edited)[10:20, 10:20] == (124, 29, 29)).all()


def test_a_crop_is_followed() -> None:
    """Enlarged as the attack does it; what is left are traces of another interpolation."""
    smooth = np.asarray(Image.fromarray(noise(8, 8)).resize((64, 64), Image.Resampling.BICUBIC))
    edited = np.asarray(Image.fromarray(smooth).resize((64, 64), Image.Resampling.BICUBIC, (8, 4, 56, 52)))
    scale = 64 / 48
    reference = moved(smooth, (scale, 0, -8 * scale, 0, scale, -4 * scale), edited)
    inner = np.s_[2:-2, 2:-2]
    assert np.abs(reference[inner].astype(int) - edited[inner].astype(int)).max() <= 12


def test_another_size_is_brought_to_that_of_the_edit() -> None:
    assert moved(noise(64, 64), None, noise(32, 48)).shape == (32, 48, 3)
    same = noise(16, 16)
    assert np.array_equal(moved(same, None, noise(16, 16)), same)

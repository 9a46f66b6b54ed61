"""What a warm-up is made of: the same after a crash, and an error that says what is wrong with the dataset."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import pytest

from sparring.samples.catalog import open_dataset
from sparring.samples.images import encode_png
from sparring.samples.shapes import Shapes, World, render
from sparring.trainer.config import Sft
from sparring.trainer.errors import Unusable
from sparring.trainer.lessons import Pairs, Samples

URI = "shapes:train?seed=3&bystanders=0-2"


def test_steps_take_the_samples_in_turn() -> None:
    lessons = Samples(Sft(dataset=URI), 3)
    taken = [sample.digest for step in (1, 2) for sample in lessons.take(step, []).items]
    assert taken == [sample.digest for sample in islice(open_dataset(URI, []), 6)]


def test_a_step_has_the_same_samples_after_a_crash() -> None:
    before = Samples(Sft(dataset=URI), 3)
    expected = [before.take(step, []) for step in (1, 2, 3)]
    assert Samples(Sft(dataset=URI), 3).take(3, []) == expected[-1]


def test_a_finite_dataset_is_gone_through_again(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(encode_png(render(Shapes(World(), 0, "test").scene(0))))
    lines = [f'{{"image": "a.png", "question": "Where {i}?", "options": ["l", "r"], "answer": 0}}' for i in range(2)]
    (tmp_path / "q.jsonl").write_text("\n".join(lines))
    lessons = Samples(Sft(dataset=f"jsonl:{tmp_path}/q.jsonl", roots=(str(tmp_path),)), 3)
    assert [sample.question for sample in lessons.take(1, []).items] == ["Where 0?", "Where 1?", "Where 0?"]


def test_pairs_are_the_same_after_a_crash() -> None:
    before = Pairs(Sft(dataset=URI), 3, seed=5)
    expected = [before.take(step, []) for step in (1, 2)]
    assert Pairs(Sft(dataset=URI), 3, seed=5).take(2, []) == expected[-1]
    assert len({pair.before for batch in expected for pair in batch.items}) == 6


def test_pairs_are_of_the_kinds_wanted() -> None:
    pairs = Pairs(Sft(dataset=URI, edits=("recolour", "remove")), 20, seed=0).take(1, []).items
    assert {pair.kind for pair in pairs} == {"recolour", "remove"}
    assert all(len(pair.before.items) > 2 for pair in pairs), "scenes without a bystander have no room for them"


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (Sft(dataset="shapes:train?colour=red"), r"(?s)colour.*objective\.roots has the folders"),
        (Sft(dataset="jsonl:/nowhere.jsonl"), r"there is no /nowhere\.jsonl"),
    ],
)
def test_a_dataset_that_is_not_there_is_named(config: Sft, message: str) -> None:
    with pytest.raises(Unusable, match=message):
        Samples(config, 1)


def test_edits_are_known_of_scenes_only(tmp_path: Path) -> None:
    (tmp_path / "q.jsonl").touch()
    config = Sft(dataset=f"jsonl:{tmp_path}/q.jsonl", roots=(str(tmp_path),))
    with pytest.raises(Unusable, match="exact edits are known of scenes only"):
        Pairs(config, 1, seed=0)
    with pytest.raises(Unusable, match="no sample that can be read"):
        Samples(config, 1).take(1, [])


def test_scenes_without_room_are_given_up() -> None:
    with pytest.raises(Unusable, match="no scene of 1000 has room to remove"):
        Pairs(Sft(dataset="shapes:train", edits=("remove",)), 1, seed=0).take(1, [])

"""The requests of a phase: legal by the contract, and the same whenever they are made."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import protovalidate
import pytest

from sparring.ledgers.entries import PhaseStarted
from sparring.ledgers.records import GroupId, RevisionName
from sparring.ledgers.revision import Role
from sparring.ops.config import CampaignConfig, Slice
from sparring.ops.curriculum import Curriculum, count_samples, open_slice
from sparring.ops.errors import UserError
from sparring.ops.layering import Layers
from sparring.ops.loading import load_campaign
from sparring.ops.messages import VARIANTS
from sparring.ops.plays import Plays, match_id, slot_of
from sparring.samples.shapes import Shapes, World
from sparring.v1 import attacker_pb2, referee_pb2, revision_pb2

OPPONENT = revision_pb2.Revision(name="test/x/000000", digest="0" * 64)
LEARNER = revision_pb2.Revision(name="test/y/000001", digest="1" * 64)
SAMPLE = Shapes(World(), 0, "train").sample(0)


def config(*settings: str) -> CampaignConfig:
    layers = Layers()
    layers.add_preset("laptop")
    layers.add_settings(settings)
    return layers.build(CampaignConfig)


def plays(role: Role, *settings: str) -> Plays:
    started = PhaseStarted(
        phase=f"i1-{role}", role=role, iteration=1, parent=RevisionName("p"), opponent=RevisionName("o"), steps=1
    )
    return Plays(config(*settings), started, OPPONENT)


def test_an_attacker_s_match() -> None:
    request = plays("attacker").request(3, SAMPLE, LEARNER)
    protovalidate.validate(request)
    assert request.key.match_id == "laptop/i1-attacker/000003"
    assert request.learner == referee_pb2.LEARNER_ATTACKER
    assert (request.defender, request.fresh.learned.revision) == (OPPONENT, LEARNER)
    assert request.fresh.learned.trajectory
    assert (request.fresh.count, request.answers) == (8, 3)


def test_a_defender_s_matches_are_partly_clean() -> None:
    made = [plays("defender", "defender.phase.mix.clean=0.25").request(slot, SAMPLE, LEARNER) for slot in range(400)]
    for request in made[:20]:
        protovalidate.validate(request)
    clean = sum(request.WhichOneof("view") == "original" for request in made)
    assert 70 <= clean <= 130
    edited = next(request for request in made if request.HasField("fresh"))
    assert (edited.defender, edited.fresh.learned.revision) == (LEARNER, OPPONENT)
    assert (edited.fresh.count, edited.fresh.learned.trajectory) == (1, False)


def test_requests_are_repeatable_and_distinct() -> None:
    first, again = (plays("attacker").request(5, SAMPLE, LEARNER) for _ in range(2))
    assert first == again
    assert first.seed != plays("attacker").request(6, SAMPLE, LEARNER).seed
    assert first.seed != plays("attacker", "seed=1").request(5, SAMPLE, LEARNER).seed


def test_instructions_take_turns() -> None:
    made = plays("attacker", 'instructions=["a {targets}", "b {targets}", "c {targets}"]')
    told = [made.request(slot, SAMPLE, LEARNER).fresh.learned.instruction[0] for slot in range(60)]
    assert set(told) == {"a", "b", "c"}


def test_every_variant_has_its_message() -> None:
    assert len(set(VARIANTS.values())) == len(attacker_pb2.SdeVariant.keys()) - 1


@pytest.mark.parametrize(
    ("group", "slot"),
    [
        ("c/p/000012", 12),
        ("c/p/000012/control", 12),
        ("c/p/000012/0", 12),
        ("c/p2/000012", None),
        ("c/p/x", None),
        ("suite/1/D", None),
    ],
)
def test_slots_are_read_back_from_groups(group: str, slot: int | None) -> None:
    assert slot_of("c", "p", GroupId(group)) == slot
    assert slot_of("c", "p", GroupId(match_id("c", "p", 7))) == 7


def curriculum(uri: str, root: Path | None = None, **part: int) -> Curriculum:
    chosen = Slice(uri=uri, **part)
    return Curriculum(open_slice(chosen, [str(root)] if root else []), chosen, 0)


def test_an_endless_dataset_gives_each_phase_its_own_samples() -> None:
    samples = curriculum("shapes:train?seed=0")
    first = {sample.digest for _, sample in samples.stream("i1-attacker", range(50))}
    second = {sample.digest for _, sample in samples.stream("i1-defender", range(50))}
    assert len(first | second) == 100
    late = dict(samples.stream("i1-attacker", [7, 30]))
    assert {sample.digest for sample in late.values()} <= first


def write_questions(folder: Path, count: int) -> None:
    lines = []
    for index in range(count):
        sample = Shapes(World(), 0, "x").sample(index)
        (folder / f"{index}.png").write_bytes(sample.image)
        lines.append(f'{{"image": "{index}.png", "question": "number {index}?", "options": ["a", "b"], "answer": 0}}')
    (folder / "questions.jsonl").write_text("\n".join(lines))


def test_a_dataset_on_disk_is_gone_through_again_and_again(tmp_path: Path) -> None:
    write_questions(tmp_path, 5)
    samples = curriculum("jsonl:questions.jsonl", tmp_path, offset=1, limit=3)
    asked = [sample.question for _, sample in samples.stream("p", range(7))]
    assert asked == [f"number {index}?" for index in (1, 2, 3, 1, 2, 3, 1)]
    resumed = [sample.question for _, sample in samples.stream("p", [2, 5, 6])]
    assert resumed == [asked[2], asked[5], asked[6]]


def test_a_dataset_without_a_good_row_says_why(tmp_path: Path) -> None:
    (tmp_path / "questions.jsonl").write_text(
        '{"image": "gone.png", "question": "q", "options": ["a", "b"], "answer": 0}'
    )
    samples = curriculum("jsonl:questions.jsonl", tmp_path)
    with pytest.raises(UserError, match=r"(?s)has no sample from 0 on.*line 1.*gone\.png"):
        next(samples.stream("p", [0]))


def test_a_dataset_that_is_not_there() -> None:
    with pytest.raises(UserError, match="unknown kind of dataset"):
        open_slice(Slice(uri="shape:train"), [])


def test_counting_stops(tmp_path: Path) -> None:
    assert count_samples(Shapes(World(), 0, "x"), 10) == 10
    write_questions(tmp_path, 3)
    assert count_samples(open_slice(Slice(uri="jsonl:questions.jsonl"), [str(tmp_path)]), 10) == 3


def test_own_data_is_split(tmp_path: Path) -> None:
    write_questions(tmp_path, 5)
    loaded = load_campaign(preset="test", file=None, data=str(tmp_path), settings=["attacker.policy.base=hub/id"])
    assert (loaded.data.suite.offset, loaded.data.suite.limit, loaded.suite.samples) == (0, 2, 2)
    assert (loaded.data.train.offset, loaded.data.train.uri) == (2, loaded.data.suite.uri)
    assert count_samples(open_slice(loaded.data.train, loaded.data.roots), 10) == 5
    seen = [
        s
        for _, s in islice(
            Curriculum(open_slice(loaded.data.train, loaded.data.roots), loaded.data.train, 0).stream("p", range(3)), 3
        )
    ]
    assert [sample.question for sample in seen] == ["number 2?", "number 3?", "number 4?"]


def test_bad_rows_of_one_s_own_data_are_named(tmp_path: Path) -> None:
    write_questions(tmp_path, 4)
    with (tmp_path / "questions.jsonl").open("a") as file:
        file.write('\n{"image": "gone.png", "question": "q", "options": ["a", "b"], "answer": 0}')
    told: list[str] = []
    load_campaign(
        preset="test", file=None, data=str(tmp_path), settings=["attacker.policy.base=hub/id"], tell=told.append
    )
    split, skipped = told
    assert split.endswith("2 of 4 samples are measured with, the others trained on")
    assert "line 5" in skipped
    assert "gone.png" in skipped


def test_who_shows_own_pictures_to_the_small_models_is_told_what_to_expect(tmp_path: Path) -> None:
    write_questions(tmp_path, 4)
    told: list[str] = []
    load_campaign(preset="test", file=None, data=str(tmp_path), settings=[], tell=told.append)
    assert told[1:] == [told[-1]]
    assert "the small models know rendered scenes alone" in told[-1]


def test_one_sample_of_one_s_own_is_not_enough(tmp_path: Path) -> None:
    write_questions(tmp_path, 1)
    with pytest.raises(UserError, match="has 1 samples; two are the least"):
        load_campaign(preset="test", file=None, data=str(tmp_path), settings=[])

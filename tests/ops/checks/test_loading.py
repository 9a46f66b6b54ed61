"""From what was typed to a check: layers, targets, data, revisions, and the mistakes that people make."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sparring.ledgers.journal import Journal
from sparring.ops.checks.config import CheckConfig, ModelTarget, RunTarget
from sparring.ops.checks.estimate import estimate
from sparring.ops.checks.folder import CheckFolder
from sparring.ops.checks.loading import Typed, load_check
from sparring.ops.errors import InvalidConfig, NoCampaign, UserError
from sparring.ops.folder import RunFolder
from sparring.ops.loading import load_campaign
from sparring.referee.targets.config import OpenAiConfig
from sparring.samples.shapes import Shapes, World

SHAPES = "shapes:loading?seed=0"
PLAIN = Typed("http://127.0.0.1:1/v1", "m", SHAPES, None, None, {"data.limit": 5}, None, (), False)


def load(**changes: Any) -> CheckConfig:
    return load_check(replace(PLAIN, **changes))


def rows(folder: Path, count: int, broken: int = 0) -> Path:
    """A user's own questions, the last of them without an image."""
    source, lines = Shapes(World(), 0, "rows"), []
    for number in range(count + broken):
        sample = source.sample(number)
        if number < count:
            (folder / f"{number}.png").write_bytes(sample.image)
        asked = {"question": sample.question, "options": sample.options, "answer": sample.answer}
        lines.append(json.dumps({"image": f"{number}.png", **asked}))
    (folder / "questions.jsonl").write_text("\n".join(lines))
    return folder


@pytest.fixture
def campaign(toy: RunFolder) -> RunFolder:
    """The campaign that was never played, with settings that could be."""
    journal = Journal(toy.root, toy.campaign).path
    first, *others = journal.read_text().splitlines()
    settings = load_campaign(preset="test", file=None, data=None, settings=["campaign=toy"]).model_dump(mode="json")
    journal.write_text("\n".join([json.dumps(json.loads(first) | {"config": settings}), *others, ""]))
    return toy


def test_an_endpoint_is_known_by_its_url() -> None:
    config = load(attacks="add, noise,", others={"data.limit": 5, "budget": 3, "target.concurrency": 7})
    assert config.target == OpenAiConfig(url="http://127.0.0.1:1/v1", model="m", concurrency=7)
    assert (config.attacks, config.budget, config.data.limit) == (("add", "noise"), 3, 5)


def test_a_campaign_is_known_by_its_folder(campaign: RunFolder) -> None:
    config = load(target=str(campaign.root), model=None, attacks="trained,untrained,add")
    assert config.target == RunTarget(run=str(campaign.root.resolve()), revision="toy/defender/000005")
    assert config.attackers == str(campaign.root.resolve())
    assert config.attacks == ("toy/attacker/000004", "toy/attacker/000000", "add")
    assert config.learned == config.attacks[:2]
    older = load(target=str(campaign.root), model="toy/defender/000001").target
    assert isinstance(older, RunTarget)
    assert older.revision == "toy/defender/000001"


def test_anything_else_is_a_model(tmp_path: Path) -> None:
    for base in ("small:defender", "house/model", str(tmp_path)):
        target = load(target=base, model=None).target
        assert isinstance(target, ModelTarget)
        assert target.policy.base == base
        # The small ones know scenes of 64 x 64 pixels; a photograph of that size shows nothing.
        assert (target.policy.max_pixels > 1_000_000) == (base != "small:defender")


def test_the_largest_images_of_the_benchmarks_are_taken() -> None:
    serving = load(settings=["referee.judges=2"]).referee.serving
    assert serving.max_pixels >= 7680 * 4320
    assert serving.max_image_bytes < serving.max_message_bytes


def test_a_path_is_looked_into(tmp_path: Path) -> None:
    config = load(data=str(rows(tmp_path, 3)), others={})
    assert config.data.uri == f"jsonl:{tmp_path / 'questions.jsonl'}"
    assert config.data.roots == (str(tmp_path),)


def test_later_layers_hold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "check.toml"
    file.write_text('budget = 4\nseed = 4\nlabel = "file"\n[answering]\nmax_tokens = 44\n')
    monkeypatch.setenv("SPARRING__SEED", "5")
    config = load(file=file, settings=["answering.max_tokens=55"], others={"data.limit": 5, "budget": 3})
    assert (config.budget, config.seed, config.answering.max_tokens, config.label) == (3, 5, 55, "file")


def test_greedy_answers_are_not_asked_for_again() -> None:
    assert load().repeats == 0
    assert load(others={"data.limit": 5, "answering.max_tokens": 9}).answering.temperature == 0
    assert load(settings=["answering.temperature=1", "budget=3"]).repeats == 3
    assert load(settings=["answering.temperature=1", "again=1"]).repeats == 1


@pytest.mark.parametrize(
    ("changes", "error", "told"),
    [
        ({"model": None}, UserError, "say by --model"),
        ({"target": "./absent"}, UserError, "there is no such folder"),
        ({"target": None}, InvalidConfig, "target is not set"),
        ({"data": None}, InvalidConfig, "data.uri is not set"),
        ({"data": "absent"}, UserError, "there is no such file or folder"),
        ({"data": "vstar:absent"}, UserError, "there is no absent in"),
        ({"others": {}}, UserError, "endless; say by --limit"),
        ({"attacks": "trained"}, UserError, "--attackers RUN"),
        ({"attackers": "absent", "attacks": "trained"}, NoCampaign, "absent holds no campaign"),
        ({"settings": ["budgets=3"]}, InvalidConfig, "did you mean budget"),
        ({"others": {"data.limit": 5, "budget": 0}}, InvalidConfig, "budget"),
        ({"target": None, "data": None, "others": {}}, UserError, "sparring check --demo"),
    ],
)
def test_mistakes_are_told(changes: dict[str, object], error: type[Exception], told: str) -> None:
    with pytest.raises(error, match=told):
        load(**changes)


def test_a_revision_that_is_not_there_is_told(campaign: RunFolder) -> None:
    with pytest.raises(UserError, match="has no attacker called 'toy/attacker/000099'; the last are"):
        load(attackers=str(campaign.root), attacks="toy/attacker/000099")
    with pytest.raises(UserError, match="has no defender called 'best'"):
        load(target=str(campaign.root), model="best")


def test_calls_are_counted_before_any_is_made(tmp_path: Path) -> None:
    config = load(data=str(rows(tmp_path, 3, broken=1)), others={"budget": 4}, attacks="add,noise")
    found = estimate(config)
    assert (found.samples, found.originals, found.controls, found.edits, found.calls) == (3, 3, 3, 24, 30)
    assert [row.partition(": ")[2][:5] for row in found.skipped] == ["path:"]
    again = estimate(load(settings=["answering.temperature=1", "budget=2"], attacks="add"))
    assert (again.originals, again.calls) == (15, 15 + 5 + 10)
    assert estimate(load(attacks="")).calls == 5, "clean accuracy alone needs no control"


def test_a_folder_holds_one_check(tmp_path: Path) -> None:
    folder, config = CheckFolder(tmp_path / "one"), load()
    with pytest.raises(NoCampaign, match="holds no check"):
        folder.read()
    folder.begin(config)
    assert folder.read() == config
    with pytest.raises(NoCampaign, match="holds a check already"):
        folder.begin(config)

"""The configuration tree, and every preset that is shipped."""

from __future__ import annotations

from pathlib import Path

import pytest

from sparring.ops.config import CampaignConfig, DataConfig, Slice
from sparring.ops.errors import InvalidConfig, NoCampaign, UserError
from sparring.ops.layering import Layers, known_keys, presets
from sparring.ops.loading import choose_folder, load_campaign


@pytest.mark.parametrize("name", presets())
def test_every_preset_loads(name: str) -> None:
    layers = Layers()
    layers.add_preset(name)
    config = layers.build(CampaignConfig)
    assert config.campaign == name
    assert CampaignConfig.model_validate_json(config.model_dump_json()) == config


def test_the_shipped_presets() -> None:
    assert presets() == ["demo", "laptop", "qwen", "test"]


def test_small_weights_come_with_the_package() -> None:
    config = load_campaign(preset="test", file=None, data=None, settings=[])
    assert (Path(config.mllm.base) / "config.json").is_file()
    assert config.defender.policy.base == "small:defender"


def test_an_unknown_key_names_near_matches() -> None:
    with pytest.raises(InvalidConfig, match=r"unknown key defender\.fase .*did you mean defender\.phase"):
        load_campaign(preset="test", file=None, data=None, settings=["defender.fase=1"])


def test_a_model_that_is_not_there() -> None:
    with pytest.raises(UserError, match=r"defender\.policy\.base: there is no folder \./nowhere"):
        load_campaign(preset="test", file=None, data=None, settings=["defender.policy.base=./nowhere"])


@pytest.mark.parametrize(
    ("train", "suite", "fine"),
    [
        (Slice(uri="a:x"), Slice(uri="a:y"), True),
        (Slice(uri="a:x"), Slice(uri="a:x"), False),
        (Slice(uri="a:x", offset=10), Slice(uri="a:x", limit=10), True),
        (Slice(uri="a:x", offset=9), Slice(uri="a:x", limit=10), False),
        (Slice(uri="a:x", limit=10), Slice(uri="a:x", offset=10), True),
        (Slice(uri="a:x", offset=10), Slice(uri="a:x"), False),
    ],
)
def test_training_and_suite_share_no_sample(train: Slice, suite: Slice, fine: bool) -> None:
    if fine:
        DataConfig(train=train, suite=suite)
    else:
        with pytest.raises(ValueError, match="no sample may be in both"):
            DataConfig(train=train, suite=suite)


def test_settings_have_distinct_dotted_names() -> None:
    names = list(known_keys(CampaignConfig))
    assert "attacker.phase.objective.kl" in names
    assert "machine.restarts.most" in names


def test_a_run_goes_into_the_next_free_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert choose_folder(None, "demo").root == Path("runs/demo")
    Path("runs/demo").mkdir(parents=True)
    assert choose_folder(None, "demo").root == Path("runs/demo-2")


def test_a_folder_that_holds_a_campaign_is_not_taken_again(tmp_path: Path) -> None:
    journal = tmp_path / "campaigns" / "other" / "journal.jsonl"
    journal.parent.mkdir(parents=True)
    journal.touch()
    with pytest.raises(NoCampaign, match="holds a campaign already; go on with it by `sparring resume"):
        choose_folder(tmp_path, "demo")

"""Settings are laid over each other in a fixed order, and mistakes are named with their place."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field

from sparring.ops.errors import InvalidConfig
from sparring.ops.layering import Layers, Tree, known_keys, merge, parse_value


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Steep(_Model):
    kind: Literal["steep"] = "steep"
    slope: float = Field(1.0, gt=0)


class Flat(_Model):
    kind: Literal["flat"] = "flat"
    width: int = 3


class Phase(_Model):
    steps: int = Field(10, ge=0)
    slope: Annotated[Steep | Flat, Field(discriminator="kind")] = Steep()


class Config(_Model):
    name: str
    phase: Phase = Phase()
    tags: tuple[str, ...] = ()


def build(*settings: str, file: Path | None = None, variables: dict[str, str] | None = None) -> Config:
    layers = Layers()
    if file is not None:
        layers.add_file(file)
    layers.add_environment(variables or {})
    layers.add_settings(("name=x", *settings))
    return layers.build(Config)


def test_later_layers_win(tmp_path: Path) -> None:
    file = tmp_path / "a.toml"
    file.write_text("[phase]\nsteps = 1\n")
    variables = {"SPARRING__PHASE__STEPS": "2", "OTHER": "3"}
    assert build().phase.steps == 10
    assert build(file=file).phase.steps == 1
    assert build(file=file, variables=variables).phase.steps == 2
    assert build("phase.steps=4", file=file, variables=variables).phase.steps == 4


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("3", 3),
        ("0.5", 0.5),
        ("true", True),
        ('["a", "b"]', ["a", "b"]),
        ('"3"', "3"),
        ("shapes:a?b=1", "shapes:a?b=1"),
    ],
)
def test_values_are_read_as_toml_or_text(text: str, value: object) -> None:
    assert parse_value(text) == value


def test_tables_merge_unless_their_kind_changes() -> None:
    under: Tree = {"objective": {"kind": "a", "x": 1}, "other": {"y": 1, "z": 1}}
    assert merge(under, {"objective": {"kind": "b"}, "other": {"y": 2}}) == {
        "objective": {"kind": "b"},
        "other": {"y": 2, "z": 1},
    }
    assert merge(under, {"objective": {"x": 2}})["objective"] == {"kind": "a", "x": 2}


def test_an_unknown_key_is_named_with_place_and_near_matches(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text("[phase]\nstepz = 1\n")
    with pytest.raises(InvalidConfig, match=r"unknown key phase\.stepz \(.*mine\.toml\); did you mean phase\.steps"):
        build(file=file)


def test_an_unknown_key_inside_a_union_is_named_as_it_was_written() -> None:
    with pytest.raises(InvalidConfig, match=r"unknown key phase\.slope\.slop \(--set phase\.slope\.slop=1\)"):
        build("phase.slope.kind=flat", "phase.slope.slop=1")


def test_a_wrong_value_is_named_with_place() -> None:
    variables = {"SPARRING__PHASE__STEPS": "-1"}
    with pytest.raises(InvalidConfig, match=r"phase\.steps \(environment variable SPARRING__PHASE__STEPS\): .*greater"):
        build(variables=variables)


def test_every_mistake_is_listed() -> None:
    layers = Layers()
    layers.add_settings(["phase.steps=-1", "nam=x"])
    with pytest.raises(InvalidConfig) as caught:
        layers.build(Config)
    assert len(str(caught.value).splitlines()) == 3
    assert "name is not set" in str(caught.value)


def test_files_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(InvalidConfig, match=r"absent\.toml is not there"):
        Layers().add_file(tmp_path / "absent.toml")
    (tmp_path / "bad.toml").write_text("a = = b")
    with pytest.raises(InvalidConfig, match=r"bad\.toml is no TOML"):
        Layers().add_file(tmp_path / "bad.toml")


def test_a_setting_without_a_value() -> None:
    with pytest.raises(InvalidConfig, match="expected KEY=VALUE"):
        build("phase.steps")


def test_an_unknown_preset_lists_the_known() -> None:
    with pytest.raises(InvalidConfig, match=r"preset 'lapdog' is unknown; there are demo, laptop, qwen, test"):
        Layers().add_preset("lapdog")


def test_known_keys_go_into_unions() -> None:
    assert {"phase.slope.width", "phase.slope.slope", "tags"} <= set(known_keys(Config))

"""Settings from four places, later ones over earlier ones: preset, file, environment, command line.

Each value remembers where it was set, so that a mistake is named with its place.
"""

from __future__ import annotations

import difflib
import os
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import TypeVar, get_args

from pydantic import BaseModel, JsonValue, ValidationError
from pydantic_core import ErrorDetails

from sparring.ops.errors import InvalidConfig

ENVIRONMENT = "SPARRING__"
Tree = dict[str, JsonValue]
ModelT = TypeVar("ModelT", bound=BaseModel)


def presets() -> list[str]:
    """Names of the presets that are shipped."""
    return sorted(file.name.removesuffix(".toml") for file in _presets().iterdir() if file.name.endswith(".toml"))


def _presets() -> Path:
    return Path(str(files("sparring.ops") / "presets"))


@dataclass
class Layers:
    """Settings as they are laid over each other.

    Attributes:
        tree: what holds so far.
        origins: for each dotted key that was set, where.
    """

    tree: Tree = field(default_factory=dict)
    origins: dict[str, str] = field(default_factory=dict)

    def add_preset(self, name: str) -> None:
        """Lay the preset `name` over.

        Raises:
            InvalidConfig: there is none.
        """
        if name not in presets():
            raise InvalidConfig(f"preset {name!r} is unknown; there are {', '.join(presets())}")
        self.add(_read(_presets() / f"{name}.toml"), f"preset {name}")

    def add_file(self, path: Path) -> None:
        """Lay a TOML file over.

        Raises:
            InvalidConfig: it is not there, or no TOML.
        """
        self.add(_read(path), str(path))

    def add_environment(self, variables: Mapping[str, str] | None = None) -> None:
        """Lay variables `SPARRING__A__B` over, as the key `a.b`; by default those of this process."""
        for name, value in sorted((os.environ if variables is None else variables).items()):
            if name.startswith(ENVIRONMENT):
                key = name.removeprefix(ENVIRONMENT).lower().split("__")
                self.add(_nest(key, parse_value(value)), f"environment variable {name}")

    def add_settings(self, settings: Sequence[str]) -> None:
        """Lay `a.b=value` over, for each of `settings`.

        Raises:
            InvalidConfig: one has no `=`.
        """
        for setting in settings:
            key, equals, value = setting.partition("=")
            if not equals or not key:
                raise InvalidConfig(f"--set {setting}: expected KEY=VALUE, for example --set defender.phase.steps=40")
            self.add(_nest(key.strip().split("."), parse_value(value)), f"--set {setting}")

    def add(self, layer: Tree, origin: str) -> None:
        """Lay a tree over, which came from `origin`."""
        self.tree = merge(self.tree, layer)
        self.origins |= {".".join(path): origin for path in _leaves(layer)}

    def build(self, model: type[ModelT]) -> ModelT:
        """The configuration, defaults filled in.

        Raises:
            InvalidConfig: lists each key that is unknown or has a wrong value, and where it was set.
        """
        try:
            return model.model_validate(self.tree)
        except ValidationError as error:
            lines = [self._explain(model, detail) for detail in error.errors()]
            raise InvalidConfig("\n".join(dict.fromkeys(lines))) from error

    def _explain(self, model: type[BaseModel], detail: ErrorDetails) -> str:
        key = ".".join(_real(self.tree, detail["loc"]))
        origin = self._origin(key)
        where = f" ({origin})" if origin else ""
        if detail["type"] == "extra_forbidden":
            near = difflib.get_close_matches(key, sorted(known_keys(model)), n=3, cutoff=0.6)
            hint = f"; did you mean {' or '.join(near)}?" if near else ""
            return f"unknown key {key}{where}{hint}"
        if detail["type"] == "missing":
            return f"{key} is not set{where}"
        return f"{key or 'the configuration'}{where}: {detail['msg'].removeprefix('Value error, ')}"

    def _origin(self, key: str) -> str:
        """Where `key`, or something in it, was set last."""
        related = [place for path, place in self.origins.items() if f"{path}.".startswith(f"{key}.")]
        return related[-1] if related else ""


def merge(under: Tree, over: Tree) -> Tree:
    """Tables are merged key by key, everything else is replaced; so is a table whose `kind` changes."""
    merged = dict(under)
    for key, value in over.items():
        old = merged.get(key)
        if isinstance(old, dict) and isinstance(value, dict) and value.get("kind", old.get("kind")) == old.get("kind"):
            merged[key] = merge(old, value)
        else:
            merged[key] = value
    return merged


def parse_value(text: str) -> JsonValue:
    """A value as TOML would read it; what is none is a string."""
    try:
        return _json(tomllib.loads(f"value = {text}")["value"])
    except tomllib.TOMLDecodeError:
        return text


def known_keys(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    """Dotted names of all settings, tables included."""
    for name, info in model.model_fields.items():
        yield f"{prefix}{name}"
        for inner in _models(info.annotation):
            yield from known_keys(inner, f"{prefix}{name}.")


def _models(annotation: object) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from _models(argument)


def _read(path: Path) -> Tree:
    try:
        tree = _json(tomllib.loads(path.read_text()))
    except FileNotFoundError as error:
        raise InvalidConfig(f"{path} is not there") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InvalidConfig(f"{path} is no TOML: {error}") from error
    assert isinstance(tree, dict)
    return tree


def _json(value: object) -> JsonValue:
    """A parsed TOML value as JSON; a date becomes its text."""
    if isinstance(value, dict):
        return {str(key): _json(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_json(inner) for inner in value]
    return value if isinstance(value, bool | int | float | str) else str(value)


def _nest(key: Sequence[str], value: JsonValue) -> Tree:
    for name in reversed(key[1:]):
        value = {name: value}
    return {key[0]: value}


def _leaves(tree: Tree, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for key, value in tree.items():
        if isinstance(value, dict):
            yield from _leaves(value, (*path, key))
        else:
            yield (*path, key)


def _real(tree: Tree, location: Sequence[str | int]) -> list[str]:
    """A place in the tree: pydantic's location without the names of union members."""
    path: list[str] = []
    here: JsonValue = tree
    for number, part in enumerate(location):
        inside = isinstance(here, dict) and part in here
        if not inside and number < len(location) - 1 and isinstance(here, dict):
            continue
        path.append(str(part))
        here = here[str(part)] if isinstance(here, dict) and inside else None
    return path

"""What pydantic objects to, as violations of the house."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from sparring.serving.errors import Violation


def to_violation(error: Mapping[str, Any], prefix: str = "") -> Violation:
    """The violation that is one of pydantic's errors; its path is written as in `messages[0].content[1].text`.

    Args:
        error: as `ValidationError.errors()` lists them.
        prefix: the first part of the path.
    """
    return Violation(_path((*prefix.split(), *error["loc"])), error["msg"], error["type"])


def _path(location: Iterable[int | str]) -> str:
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location).removeprefix(".")

"""`sparring serve`: the same service that `python -m sparring.ROLE` starts."""

from __future__ import annotations

import json
from collections.abc import Coroutine
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel

from sparring.ops.errors import InvalidConfig
from sparring.ops.layering import Layers

ModelT = TypeVar("ModelT", bound=BaseModel)


def load_service(role: str, file: Path) -> Coroutine[None, None, None]:
    """The service of `role` with the settings in `file`, ready to be run.

    Raises:
        InvalidConfig: the file is not there or holds other settings.
    """
    if role == "attacker":
        from sparring.attacker import __main__ as attacker
        from sparring.attacker.config import AttackerConfig

        return attacker.run(_read(file, AttackerConfig))
    if role == "defender":
        from sparring.defender import __main__ as defender
        from sparring.defender.config import DefenderConfig

        return defender.run(_read(file, DefenderConfig))
    from sparring.referee import __main__ as referee
    from sparring.referee.config import RefereeConfig

    return referee.run(_read(file, RefereeConfig))


def _read(file: Path, model: type[ModelT]) -> ModelT:
    try:
        tree = json.loads(file.read_text())
    except (OSError, ValueError) as error:
        raise InvalidConfig(f"{file}: {error}") from error
    layers = Layers()
    layers.add(tree, str(file))
    return layers.build(model)

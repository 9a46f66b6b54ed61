"""`sparring make-weights`: autoencoder, defender and editor, each from nothing, each with its recipe beside it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from sparring.ops.errors import UserError
from sparring.ops.layering import Layers
from sparring.ops.making.defender import DefenderRecipe, Milestone, make_defender
from sparring.ops.making.editor import EditorMilestone, EditorRecipe, make_editor
from sparring.ops.making.vae import VaeMilestone, VaeRecipe, make_vae

PARTS = ("vae", "defender", "editor")
"""In the order in which they need each other."""


class Recipes(BaseModel):
    """How everything is made."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    vae: VaeRecipe = VaeRecipe()
    defender: DefenderRecipe = DefenderRecipe()
    editor: EditorRecipe


def make_all(
    folder: Path, only: str | None, file: Path | None, settings: Sequence[str], say: Callable[[str], None]
) -> None:
    """Make the parts in `folder`/vae, /defender and /editor.

    Args:
        folder: where they go.
        only: one of `PARTS`; None is all.
        file: TOML with a `Recipes`, laid over the defaults.
        settings: `a.b=value` each, laid over that.
        say: told each milestone.

    Raises:
        UserError: a part lacks what it is made from.
    """
    layers = Layers()
    layers.add({"editor": {"vae": str(folder / "vae"), "text_encoder": str(folder / "defender")}}, "--out")
    if file is not None:
        layers.add_file(file)
    layers.add_settings(settings)
    recipes = layers.build(Recipes)
    parts = PARTS if only is None else (only,)

    def told(milestone: Milestone | VaeMilestone | EditorMilestone) -> None:
        say(_line(milestone))

    for part in parts:
        say(f"{part}: {folder / part}")
        if part == "vae":
            make_vae(folder / part, recipes.vae, told)
        elif part == "defender":
            make_defender(folder / part, recipes.defender, told)
        else:
            _check(recipes.editor)
            make_editor(folder / part, recipes.editor, told)


def _line(milestone: Milestone | VaeMilestone | EditorMilestone) -> str:
    numbers = asdict(milestone).items()
    return ", ".join(
        f"{name} {value:.4g}" if isinstance(value, float) else f"{name} {value}" for name, value in numbers
    )


def _check(recipe: EditorRecipe) -> None:
    for part in (recipe.vae, recipe.text_encoder):
        if not Path(part).is_dir():
            raise UserError(
                f"the editor is made from {part}, which is not there; make it first, or set editor.vae and "
                "editor.text_encoder"
            )

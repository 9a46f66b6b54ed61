"""From what was typed to a check that can be run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from urllib.parse import urlsplit

from pydantic import JsonValue

from sparring.ops.checks.campaigns import Campaigned
from sparring.ops.checks.config import CheckConfig, RunTarget
from sparring.ops.checks.estimate import open_data
from sparring.ops.checks.folder import CheckFolder
from sparring.ops.config import SMALL
from sparring.ops.environment import has_gpu
from sparring.ops.errors import UserError
from sparring.ops.folder import free_folder
from sparring.ops.layering import Layers, Tree
from sparring.samples.catalog import KINDS, BadDataset, sniff

DEMO = Path(str(files("sparring.ops") / "checks" / "demo.toml"))
RELATIVE = ("trained", "untrained")
"""Names of an attacker's revision that depend on its campaign."""
PHOTOGRAPHS: Tree = {"min_pixels": 512 * 512, "max_pixels": 2048 * 2048}
"""Areas between which images are brought before a model that is no small one sees them."""


@dataclass(frozen=True)
class Typed:
    """Options of the command line; None is one that was not given.

    Attributes:
        target: URL of an endpoint, folder of a campaign, or folder or hub id of a model.
        model: the endpoint's name for it, or the campaign's revision.
        data: a file, a folder, or a dataset's URI.
        attacks: names, with commas between them.
        attackers: folder of the campaign whose attackers edit.
        others: further settings, by their key.
        file: TOML.
        settings: `a.b=value` each.
        demo: whether the small defender is to be checked.
    """

    target: str | None
    model: str | None
    data: str | None
    attacks: str | None
    attackers: str | None
    others: Mapping[str, JsonValue]
    file: Path | None
    settings: Sequence[str]
    demo: bool


def load_check(typed: Typed) -> CheckConfig:
    """The configuration of all layers together: demonstration, file, options, environment, settings.

    Raises:
        InvalidConfig: a setting is unknown or wrong.
        UserError: something is not there, or does not go together.
        NoCampaign: a folder holds none.
    """
    layers = Layers()
    if typed.demo:
        layers.add_file(DEMO)
    if typed.file is not None:
        layers.add_file(typed.file)
    if typed.target is not None:
        layers.add({"target": target_layer(typed.target, typed.model)}, f"--target {typed.target}")
    if typed.data is not None:
        layers.add({"data": data_layer(typed.data)}, f"--data {typed.data}")
    if typed.attacks is not None:
        names: list[JsonValue] = [name.strip() for name in typed.attacks.split(",") if name.strip()]
        layers.add({"attacks": names}, f"--attacks {typed.attacks}")
    if typed.attackers is not None:
        layers.add({"attackers": typed.attackers}, f"--attackers {typed.attackers}")
    layers.add(nested(typed.others), "the command line")
    layers.add_environment()
    layers.add_settings(typed.settings)
    if not layers.tree:
        raise UserError(
            "say which model and which questions: `sparring check --target URL --model NAME --data FOLDER`; or see how "
            "it goes by `sparring check --demo`"
        )
    config = pinned(layers.build(CheckConfig))
    open_data(config)
    return config


def target_layer(target: str, model: str | None) -> Tree:
    """Settings for the model under test."""
    if urlsplit(target).scheme in ("http", "https"):
        if model is None:
            raise UserError(f"--target {target}: say by --model what the endpoint calls the model")
        return {"kind": "openai", "url": target, "model": model}
    if any(Path(target).glob("campaigns/*/journal.jsonl")):
        return {"kind": "run", "run": str(Path(target).resolve()), "revision": model or "trained"}
    if target.startswith((".", "/", "~")) and not Path(target).expanduser().is_dir():
        raise UserError(f"--target {target}: there is no such folder")
    return {"kind": "model", "policy": {"base": target, **({} if target.startswith(SMALL) else machine_layer())}}


def machine_layer() -> Tree:
    """How a model that was made for photographs is opened: at their size, and on the GPU if there is one."""
    return {**PHOTOGRAPHS, **({"device": "cuda", "dtype": "bfloat16"} if has_gpu() else {})}


def data_layer(data: str) -> Tree:
    """Settings for what is asked: a URI is taken as it is, a path is looked into."""
    if data.partition(":")[0] in KINDS:
        return {"uri": data, "roots": [str(Path.cwd())]}
    path = Path(data).expanduser()
    try:
        uri = sniff(path)
    except BadDataset as error:
        raise UserError(str(error)) from error
    return {"uri": uri, "roots": [str((path if path.is_dir() else path.parent).resolve())]}


def nested(options: Mapping[str, JsonValue]) -> Tree:
    """Dotted keys as a tree, those that were not given left out."""
    layers = Layers()
    for key, value in options.items():
        if value is not None:
            layer: JsonValue = value
            for part in reversed(key.split(".")):
                layer = {part: layer}
            assert isinstance(layer, dict)
            layers.add(layer, key)
    return layers.tree


def pinned(config: CheckConfig) -> CheckConfig:
    """The same with every revision by its full name, so that a check that is taken up again is the same.

    Raises:
        UserError: a revision is not there, or its campaign was not named.
        NoCampaign: a folder holds none.
    """
    updates: dict[str, object] = {}
    if isinstance(config.target, RunTarget):
        revision = Campaigned(Path(config.target.run)).revision("defender", config.target.revision)
        updates["target"] = config.target.model_copy(update={"revision": revision})
    if any(map(is_learned, config.attacks)):
        root = config.attackers or (config.target.run if isinstance(config.target, RunTarget) else None)
        if root is None:
            raise UserError("attacks by a trained editor need the folder of its campaign: --attackers RUN")
        campaign = Campaigned(Path(root))
        updates["attackers"] = str(Path(root).resolve())
        updates["attacks"] = tuple(
            campaign.revision("attacker", name) if is_learned(name) else name for name in config.attacks
        )
    return config.model_copy(update=updates)


def is_learned(name: str) -> bool:
    """Whether an attack is a trained editor's: revisions are the only names with a slash."""
    return name in RELATIVE or "/" in name


def attackers_of(config: CheckConfig) -> Campaigned | None:
    """The campaign whose attackers edit; None if no attack is by a trained editor."""
    return Campaigned(Path(config.attackers)) if config.learned and config.attackers else None


def choose_check_folder(out: Path | None) -> CheckFolder:
    """Where a new check goes: `out`, or the first `runs/check[-N]` that is free."""
    return CheckFolder(out or free_folder("check"))

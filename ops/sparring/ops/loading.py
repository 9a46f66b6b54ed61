"""From what was typed to a configuration that can be run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import JsonValue

from sparring.ledgers.revision import ROLES
from sparring.ops.config import SMALL, CampaignConfig
from sparring.ops.errors import NoCampaign, UserError
from sparring.ops.folder import RunFolder, free_folder
from sparring.ops.layering import Layers, Tree

if TYPE_CHECKING:
    from sparring.samples.sample import SampleSource

_MOST = 100_000
"""Samples of a user's dataset that are counted; more are not told apart."""
_NAMED = 5
"""Bad rows that are told one by one."""
_STRANGE = (
    "the small models know rendered scenes alone: of other pictures most edits are refused, and accuracy means "
    "nothing; if nothing is found to learn from, lower the demands of referee.integrity"
)


def load_campaign(
    *,
    preset: str | None,
    file: Path | None,
    data: str | None,
    settings: Sequence[str],
    tell: Callable[[str], None] = lambda line: None,
) -> CampaignConfig:
    """The configuration of all layers together: preset, file, `data`, environment, settings.

    Args:
        preset: name of one that is shipped.
        file: TOML.
        data: a user's own file or folder of questions.
        settings: `a.b=value` each.
        tell: told what was passed over in `data`, and what not to expect of it.

    Raises:
        InvalidConfig: a setting is unknown or wrong.
        UserError: a dataset or a model is not there.
    """
    layers = Layers()
    if preset is not None:
        layers.add_preset(preset)
    if file is not None:
        layers.add_file(file)
    if data is not None:
        layers.add(_data_layer(data, layers.tree, tell), f"--data {data}")
    layers.add_environment()
    layers.add_settings(settings)
    config = layers.build(CampaignConfig)
    if data is not None and config.attacker.policy.base.startswith(SMALL):
        tell(_STRANGE)
    check_bases(config)
    return config


def check_bases(config: CampaignConfig) -> None:
    """Check that models which must be folders are there; the hub is asked for others when they are opened.

    Raises:
        UserError: one is not.
    """
    for role in ROLES:
        base = config.policy(role).base
        if base.startswith((".", "/", "~")) and not Path(base).is_dir():
            raise UserError(
                f"{role}.policy.base: there is no folder {base} in {Path.cwd()}; go where it is, or make small weights "
                "with `sparring make-weights`"
            )


def _data_layer(data: str, under: Tree, tell: Callable[[str], None]) -> Tree:
    """Settings for a user's own dataset: its first samples are the suite, the others are trained on."""
    from sparring.ops.config import Slice
    from sparring.ops.curriculum import count_samples, open_slice
    from sparring.samples.catalog import BadDataset, sniff

    path = Path(data).expanduser()
    try:
        uri = sniff(path)
    except BadDataset as error:
        raise UserError(str(error)) from error
    roots: list[JsonValue] = [str((path if path.is_dir() else path.parent).resolve())]
    source = open_slice(Slice(uri=uri), [str(root) for root in roots])
    count, skipped = count_samples(source, _MOST), _skipped(source)
    if count < 2:
        why = "".join(f"\n  {line}" for line in skipped)
        raise UserError(f"{data} has {count} samples; two are the least: one to learn from, one to measure with{why}")
    suite = min(_wanted(under), count // 2)
    for line in (f"{data}: {suite} of {count} samples are measured with, the others trained on", *skipped):
        tell(line)
    return {
        "data": {
            "roots": roots,
            "train": {"uri": uri, "offset": suite},
            "suite": {"uri": uri, "offset": 0, "limit": suite},
        },
        "suite": {"samples": suite, "clean_samples": 0},
    }


def _skipped(source: SampleSource) -> list[str]:
    """What the last pass over a dataset passed over, the first few rows by name."""
    from sparring.samples.reader import Reader

    report = source.report if isinstance(source, Reader) else None
    if report is None or not report.counts:
        return []
    rest = report.counts.total() - min(_NAMED, len(report.skipped))
    more = [f"... and {rest} more"] if rest else []
    return [*(f"skipped: {row}" for row in report.skipped[:_NAMED]), *more]


def _wanted(tree: Tree) -> int:
    suite = tree.get("suite")
    samples = suite.get("samples") if isinstance(suite, dict) else None
    return samples if isinstance(samples, int) else _MOST


def choose_folder(out: Path | None, campaign: str) -> RunFolder:
    """Where a new campaign goes: `out`, or the first `runs/CAMPAIGN[-N]` that is free.

    Raises:
        NoCampaign: `out` holds a campaign already.
    """
    if out is None:
        out = free_folder(campaign)
    elif any(out.glob("campaigns/*/journal.jsonl")):
        raise NoCampaign(
            f"{out} holds a campaign already; go on with it by `sparring resume {out}`, or choose another --out"
        )
    return RunFolder(out, campaign)

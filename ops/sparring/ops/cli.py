"""The command line. Whatever takes long to import is imported inside the command that needs it."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from sparring.ledgers.errors import LedgerError
from sparring.ops.errors import OpsError

if TYPE_CHECKING:
    from rich.console import Console

    from sparring.ops.checks.config import CheckConfig
    from sparring.ops.checks.folder import CheckFolder
    from sparring.ops.config import CampaignConfig
    from sparring.ops.folder import RunFolder

app = typer.Typer(
    name="sparring",
    help="Measures and hardens multimodal models against semantic image edits.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    add_completion=False,
)
episodes = typer.Typer(help="The episode ledger.", no_args_is_help=True)
app.add_typer(episodes, name="episodes")

Run = Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a campaign.")]
Out = Annotated[Path | None, typer.Option("--out", help="Folder to make; by default the next free one in runs/.")]
Settings = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Set one value, such as defender.phase.steps=40.")
]
Data = Annotated[
    str | None, typer.Option("--data", help="Your own folder or file of questions: V*Bench, SEAL or JSON lines.")
]
ConfigFile = Annotated[Path | None, typer.Option("--config", help="TOML file, laid over the preset.")]


class ServiceRole(StrEnum):
    """What can be served."""

    ATTACKER = "attacker"
    DEFENDER = "defender"
    REFEREE = "referee"


class Part(StrEnum):
    """What the small weights consist of."""

    VAE = "vae"
    DEFENDER = "defender"
    EDITOR = "editor"


@app.command()
def demo(out: Out = None, settings: Settings = None) -> None:
    """Watch a small defender become robust, on this machine."""
    run(preset="demo", out=out, settings=settings)


@app.command()
def run(
    preset: Annotated[str | None, typer.Option(help="Settings to start from: demo, laptop, test or qwen.")] = None,
    config: ConfigFile = None,
    data: Data = None,
    settings: Settings = None,
    out: Out = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the resolved settings and stop.")] = False,
) -> None:
    """Run a campaign: attacker and defender learn in turns."""
    from sparring.ops.loading import choose_folder, load_campaign

    if preset is None and config is None:
        preset = "demo"
    loaded = load_campaign(
        preset=preset, file=config, data=data, settings=settings or [], tell=lambda line: typer.echo(line, err=True)
    )
    if dry_run:
        typer.echo(loaded.model_dump_json(indent=2))
        return
    _conduct(loaded, choose_folder(out, loaded.campaign))


@app.command()
def resume(run: Run) -> None:
    """Go on with a campaign that was stopped, however it was stopped."""
    from sparring.ops.folder import RunFolder
    from sparring.ops.loading import check_bases
    from sparring.ops.running import recorded_config

    folder = RunFolder.find(run)
    config = recorded_config(folder)
    check_bases(config)
    _conduct(config, folder)


@app.command()
def status(run: Run) -> None:
    """Say where a campaign stands."""
    from sparring.ops.folder import RunFolder
    from sparring.ops.standing import describe_standing

    typer.echo(describe_standing(RunFolder.find(run)))


@app.command()
def report(run: Run) -> None:
    """Make summary.json and report.html again, from ledger and journal."""
    from sparring.ops.folder import RunFolder
    from sparring.ops.publish import write_reports
    from sparring.ops.table import print_findings

    folder = RunFolder.find(run)
    print_findings(_console(), write_reports(folder), folder)


@episodes.command()
def export(
    run: Run,
    out: Annotated[Path, typer.Option("--out", help="Folder for the files, one per table.")],
) -> None:
    """Write all samples, edits, trajectories and episodes as Parquet."""
    from sparring.ledgers.episodes import EpisodeLedger
    from sparring.ops.folder import RunFolder

    for file in EpisodeLedger(RunFolder.find(run).root).export_parquet(out):
        typer.echo(file)


@app.command()
def make_weights(
    out: Annotated[Path, typer.Option("--out", help="Folder for vae, defender and editor.")] = Path("weights"),
    only: Annotated[Part | None, typer.Option(help="Make one part; by default all.")] = None,
    config: ConfigFile = None,
    settings: Settings = None,
) -> None:
    """Make the small weights from nothing. Takes hours on a laptop, and is needed once."""
    from sparring.ops.weights import make_all

    make_all(out, only.value if only else None, config, settings or [], typer.echo)


@app.command()
def check(
    target: Annotated[
        str | None,
        typer.Option(help="URL of an OpenAI-compatible endpoint, folder of a campaign, or a model's folder or hub id."),
    ] = None,
    model: Annotated[
        str | None, typer.Option(help="What the endpoint calls the model; or the revision of the campaign's defender.")
    ] = None,
    data: Annotated[str | None, typer.Option(help="Folder, file or URI of the questions.")] = None,
    attacks: Annotated[
        str | None, typer.Option(help="Names with commas: add,noise ..., trained, untrained, or a revision.")
    ] = None,
    attackers: Annotated[str | None, typer.Option(help="Folder of the campaign whose attackers edit.")] = None,
    budget: Annotated[int | None, typer.Option(help="Edits of each sample by each attack.")] = None,
    limit: Annotated[int | None, typer.Option(help="Samples to take.")] = None,
    seed: Annotated[int | None, typer.Option(help="Everything drawn follows from it.")] = None,
    temperature: Annotated[float | None, typer.Option(help="Of the answers; 0, the default, is greedy.")] = None,
    max_tokens: Annotated[int | None, typer.Option(help="Longest answer.")] = None,
    max_calls: Annotated[int | None, typer.Option(help="Most answers to ask the model for.")] = None,
    key_env: Annotated[str | None, typer.Option(help="Environment variable with the endpoint's key.")] = None,
    concurrency: Annotated[int | None, typer.Option(help="Requests in flight.")] = None,
    rate: Annotated[float | None, typer.Option(help="Most requests begun in a second.")] = None,
    label: Annotated[str | None, typer.Option(help="What the report calls the model.")] = None,
    config: ConfigFile = None,
    settings: Settings = None,
    out: Out = None,
    resume: Annotated[Path | None, typer.Option(metavar="DIR", help="Go on with the check in this folder.")] = None,
    compare: Annotated[
        tuple[Path, Path] | None, typer.Option(metavar="A B", help="Compare two checks of the same questions.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say how many calls it would make, and stop.")] = False,
    demo: Annotated[bool, typer.Option("--demo", help="Check the small defender, which needs nothing.")] = False,
) -> None:
    """Tell how robust a model is against edits that change no answer."""
    from sparring.ops.checks.command import compare_checks
    from sparring.ops.checks.estimate import estimate
    from sparring.ops.checks.folder import CheckFolder
    from sparring.ops.checks.loading import Typed, choose_check_folder, load_check

    if compare is not None:
        compare_checks(*compare, out, _console())
        return
    if resume is not None:
        folder = CheckFolder(resume)
        _check(folder.read(), folder)
        return
    others = {
        "budget": budget,
        "data.limit": limit,
        "seed": seed,
        "answering.temperature": temperature,
        "answering.max_tokens": max_tokens,
        "max_calls": max_calls,
        "target.key_env": key_env,
        "target.concurrency": concurrency,
        "target.requests_per_second": rate,
        "label": label,
    }
    loaded = load_check(Typed(target, model, data, attacks, attackers, others, config, settings or [], demo))
    if dry_run:
        for line in estimate(loaded).lines:
            typer.echo(line)
        return
    folder = choose_check_folder(out)
    folder.begin(loaded)
    _check(loaded, folder)


@app.command()
def serve(
    role: Annotated[ServiceRole, typer.Argument(help="What to serve.")],
    config: Annotated[Path, typer.Option(help="JSON file with the settings of the service.")],
) -> None:
    """Run one service until SIGTERM."""
    import asyncio

    from sparring.ops.serving import load_service

    asyncio.run(load_service(role.value, config))


def _check(config: CheckConfig, folder: CheckFolder) -> None:
    from sparring.ops.checks.command import run_check

    console = _console()
    console.print(f"{folder.root}: {config.data.uri}", highlight=False)
    try:
        run_check(config, folder, console)
    except (KeyboardInterrupt, BaseExceptionGroup) as error:
        _stopped(error, f"sparring check --resume {folder.root}")


def _conduct(config: CampaignConfig, folder: RunFolder) -> None:
    from sparring.ops.running import conduct
    from sparring.ops.table import print_findings

    console = _console()
    console.print(f"{folder.root}: campaign {config.campaign}, seed {config.seed}", highlight=False)
    try:
        found = conduct(config, folder, console)
    except (KeyboardInterrupt, BaseExceptionGroup) as error:
        _stopped(error, f"sparring resume {folder.root}")
    print_findings(console, found, folder)


def _stopped(error: BaseException, resume: str) -> NoReturn:
    """Something that was cut off: say why, and by which command it goes on.

    Raises:
        Exit: always.
    """
    reasons = _leaves(error)
    known = [reason for reason in reasons if isinstance(reason, OpsError | LedgerError)]
    if not known and any(not isinstance(reason, KeyboardInterrupt) for reason in reasons):
        raise error
    for reason in known:
        typer.echo(f"sparring: {reason}", err=True)
    typer.echo(f"stopped; nothing is lost: go on with `{resume}`", err=True)
    raise typer.Exit(1 if known else 130)


def _leaves(error: BaseException) -> list[BaseException]:
    """The errors in a group of groups."""
    if isinstance(error, BaseExceptionGroup):
        return [leaf for inner in error.exceptions for leaf in _leaves(inner)]
    return [error]


def _console() -> Console:
    from rich.console import Console

    # A table broken into a pipe's 80 columns can't be read; a terminal decides for itself.
    return Console(width=None if sys.stdout.isatty() else 120)


def main() -> None:
    """The entry point: what a user did wrong is told in a line, with status 2."""
    try:
        app()
    except (OpsError, LedgerError) as error:
        typer.echo(f"sparring: {error}", err=True)
        sys.exit(2)


if __name__ == "__main__":
    main()

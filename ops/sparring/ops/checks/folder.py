"""Where things are in the folder of a check. One folder holds one check and everything about it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sparring.ops.checks.config import CheckConfig
from sparring.ops.errors import NoCampaign
from sparring.ops.folder import RunFolder
from sparring.referee.checks.store import name_of

REQUEST = "check"
"""Request id of the one check in a folder."""


@dataclass(frozen=True)
class CheckFolder:
    """The folder of one check.

    Attributes:
        root: episodes and the check's own folder; what the user named.
    """

    root: Path

    @property
    def check_id(self) -> str:
        return name_of("", REQUEST)

    @property
    def run(self) -> RunFolder:
        """The same folder, with processes and their logs."""
        return RunFolder(self.root, self.check_id)

    @property
    def config(self) -> Path:
        """What was asked for."""
        return self.root / "check.json"

    @property
    def report(self) -> Path:
        return self.root / "report.json"

    @property
    def page(self) -> Path:
        return self.root / "report.html"

    @property
    def answers(self) -> Path:
        """The cache of an endpoint's answers."""
        return self.root / "answers.sqlite"

    def read(self) -> CheckConfig:
        """What was asked for.

        Raises:
            NoCampaign: the folder holds no check.
        """
        if not self.config.exists():
            raise NoCampaign(f"{self.root} holds no check; begin one with `sparring check --out {self.root} ...`")
        return CheckConfig.model_validate_json(self.config.read_text())

    def begin(self, config: CheckConfig) -> None:
        """Write down what is asked for.

        Raises:
            NoCampaign: the folder holds another check.
        """
        if self.config.exists():
            raise NoCampaign(
                f"{self.root} holds a check already; go on with it by `sparring check --resume {self.root}`, or choose "
                "another --out"
            )
        self.root.mkdir(parents=True, exist_ok=True)
        self.config.write_text(config.model_dump_json(indent=2))

"""Where things are in the folder of a run. One folder holds one campaign and everything about it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sparring.ledgers.storage import Storage
from sparring.ops.errors import NoCampaign


@dataclass(frozen=True)
class RunFolder:
    """The folder of one campaign.

    Attributes:
        root: episodes, weights and the campaign's own folder; what the user named.
        campaign: its id.
    """

    root: Path
    campaign: str

    @classmethod
    def find(cls, root: Path) -> RunFolder:
        """The campaign in `root`.

        Raises:
            NoCampaign: there is none, or more than one.
        """
        names = sorted(path.parent.name for path in root.glob("campaigns/*/journal.jsonl"))
        if not names:
            raise NoCampaign(f"{root} holds no campaign; start one with `sparring run --out {root}`")
        if len(names) > 1:
            raise NoCampaign(f"{root} holds several campaigns ({', '.join(names)}); keep one in a folder")
        return cls(root, names[0])

    @property
    def storage(self) -> Storage:
        return Storage(root=str(self.root))

    @property
    def own(self) -> Path:
        return self.storage.campaign(self.campaign)

    @property
    def summary(self) -> Path:
        return self.root / "summary.json"

    @property
    def report(self) -> Path:
        return self.root / "report.html"

    @property
    def picture(self) -> Path:
        return self.root / "match.png"

    def config(self, process: str) -> Path:
        """The resolved configuration of a process."""
        return self.own / "processes" / f"{process}.json"

    def address(self, process: str) -> Path:
        """Where a server writes its addresses."""
        return self.own / "processes" / f"{process}.address.json"

    def log(self, process: str) -> Path:
        return self.own / "logs" / f"{process}.log"

    def checkpoints(self, phase: str) -> Path:
        return self.own / "checkpoints" / phase


def free_folder(name: str) -> Path:
    """The first `runs/NAME[-N]` that is not there."""
    numbers = ("", *(f"-{number}" for number in range(2, 10_000)))
    return next(path for path in (Path("runs") / f"{name}{number}" for number in numbers) if not path.exists())

"""What a check may take from a campaign: a defender to test, attackers to test it with."""

from __future__ import annotations

from pathlib import Path

from sparring.ledgers.journal import Journal
from sparring.ledgers.records import RevisionName
from sparring.ledgers.revision import Role
from sparring.ledgers.weights import WeightsLedger
from sparring.ops.conductor import current, defenders, suite_attackers
from sparring.ops.config import CampaignConfig
from sparring.ops.errors import UserError
from sparring.ops.folder import RunFolder
from sparring.ops.running import recorded_config


class Campaigned:
    """A campaign on this machine.

    Args:
        root: its folder.

    Raises:
        NoCampaign: there is none.
    """

    def __init__(self, root: Path) -> None:
        self.folder = RunFolder.find(root)
        self.config: CampaignConfig = recorded_config(self.folder)
        self._entries = list(Journal(self.folder.root, self.folder.campaign).entries())

    def revision(self, role: Role, name: str) -> RevisionName:
        """A revision by name: `untrained` is the first, `trained` the one that is released.

        Raises:
            UserError: it is not there.
        """
        released = current(self._entries, role)
        if released is None:
            raise UserError(f"{self.folder.root}: no {role} has been released yet; run the campaign first")
        if name == "trained":
            return released
        if name == "untrained":
            return (suite_attackers if role == "attacker" else defenders)(self._entries)[0]
        known = [manifest.name for manifest in WeightsLedger(self.folder.root).revisions(self.folder.campaign, role)]
        if name not in known:
            shown = ", ".join(known[-5:])
            raise UserError(f"{self.folder.root} has no {role} called {name!r}; the last are {shown}")
        return RevisionName(name)

"""Where the ledgers are."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from sparring.ledgers.revision import check_campaign


class Storage(BaseModel):
    """One root that holds all that must survive."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    root: str = Field("runs", min_length=1)
    """Folder, made when first written to. Every process of a campaign sees the same one."""

    @property
    def episodes(self) -> str:
        return f"{self.root}/episodes"

    @property
    def weights(self) -> str:
        return f"{self.root}/weights"

    def campaign(self, name: str) -> Path:
        """Folder of one campaign: journal, checkpoints, reports.

        Raises:
            InvalidName: no campaign may be called so.
        """
        return Path(self.root) / "campaigns" / check_campaign(name)

"""Names of campaigns and revisions, which are also paths: one grammar, checked in one place."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, get_args

from sparring.ledgers.errors import InvalidName
from sparring.ledgers.records import RevisionName

Role = Literal["attacker", "defender"]
ROLES: tuple[Role, ...] = get_args(Role)

_CAMPAIGN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_REVISION = re.compile(rf"({_CAMPAIGN.pattern})/({'|'.join(ROLES)})/([0-9]{{6}})")


def check_campaign(name: str) -> str:
    """Return `name` if a campaign may be called so.

    Raises:
        InvalidName: it is empty, too long, or would not be one plain folder.
    """
    if _CAMPAIGN.fullmatch(name) is None:
        raise InvalidName(f"campaign {name!r}: use 1 to 100 letters, digits, `.`, `_` or `-`, a letter or digit first")
    return name


@dataclass(frozen=True, order=True)
class Revision:
    """Which weights: number 0 is the base of the campaign."""

    campaign: str
    role: Role
    number: int

    def __post_init__(self) -> None:
        check_campaign(self.campaign)
        if self.role not in ROLES or not 0 <= self.number < 1_000_000:
            raise InvalidName(f"no revision is numbered {self.number} in role {self.role!r}")

    @property
    def name(self) -> RevisionName:
        return RevisionName(f"{self.campaign}/{self.role}/{self.number:06d}")

    @classmethod
    def parse(cls, name: str) -> Revision:
        """The revision called `name`.

        Raises:
            InvalidName: it is not `CAMPAIGN/ROLE/NUMBER` with six digits.
        """
        match = _REVISION.fullmatch(name)
        if match is None:
            raise InvalidName(f"revision {name!r}: expected CAMPAIGN/ROLE/NUMBER with six digits")
        role = next(role for role in ROLES if role == match[2])
        return cls(match[1], role, int(match[3]))

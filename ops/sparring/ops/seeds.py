"""Seeds by name: equal names give equal draws, whatever else is drawn and in whatever order."""

from __future__ import annotations

import hashlib


def seed_of(*names: object) -> int:
    """A seed of 63 bits (it is stored as a signed integer) from `names`."""
    digest = hashlib.sha256("\0".join(str(name) for name in names).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def share_of(*names: object) -> float:
    """A uniform draw from [0, 1) from `names`."""
    return seed_of(*names) / 2**63

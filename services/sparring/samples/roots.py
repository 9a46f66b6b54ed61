"""Which files a dataset may be read from."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path


class OutsideRoots(ValueError):
    """A path that leads out of the folders that may be read, by itself, by `..` or by a link."""


def inside(path: Path, roots: Sequence[Path]) -> Path:
    """Return `path` with its links resolved.

    Raises:
        OutsideRoots: the file it stands for is below none of `roots`.
    """
    resolved = path.resolve()
    if not any(resolved.is_relative_to(root.resolve()) for root in roots):
        allowed = ", ".join(str(root) for root in roots) or "none"
        raise OutsideRoots(f"{path} lies outside of the folders that may be read ({allowed})")
    return resolved

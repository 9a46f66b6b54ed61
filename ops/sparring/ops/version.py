"""Which code this is."""

from __future__ import annotations

import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path


def describe() -> str:
    """`git describe` of the working tree that this code lies in; the version of the package if it lies in none."""
    here = Path(__file__).parent
    try:
        found = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--tags"], cwd=here, capture_output=True, text=True, check=True
        )
        tracked = subprocess.run(["git", "ls-files", "--error-unmatch", __file__], cwd=here, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        return _installed()
    return found.stdout.strip() if tracked.returncode == 0 else _installed()


def _installed() -> str:
    try:
        return version("sparring")
    except PackageNotFoundError:
        return ""

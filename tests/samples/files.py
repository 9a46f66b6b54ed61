"""Writes the files that the tests of readers read."""

from __future__ import annotations

import base64
import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from sparring.samples.images import encode_png


def png(seed: int = 0, side: int = 16) -> bytes:
    """An image of its own for each seed."""
    return encode_png(np.random.default_rng(seed).integers(0, 256, (side, side, 3), dtype=np.uint8))


def cell(seed: int = 0, side: int = 16) -> str:
    return base64.b64encode(png(seed, side)).decode()


def write_table(path: Path, rows: Sequence[Mapping[str, str]], delimiter: str = "\t") -> Path:
    """Every cell quoted, as pandas writes it with QUOTE_ALL; the columns are those of the first row."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), delimiter=delimiter, quoting=csv.QUOTE_ALL, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    return path

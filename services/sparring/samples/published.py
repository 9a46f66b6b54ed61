"""What is known of files as their makers publish them: a report says whether it is about these or about others."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Published:
    """One file, or one folder of V*Bench.

    Attributes:
        rows: how many; None if it is not known.
        checksum: `md5:HEX` or `sha256:HEX` over the file; empty if it is not known.
        note: what whoever reads results should know.
    """

    rows: int | None = None
    checksum: str = ""
    note: str = ""


_HR_4K = Published(800, "md5:f6b041b03d49543494b8a56d2e35be65")
_HR_8K = Published(800, "md5:274c9c7f89329b804a4723178a00219c")
PUBLISHED = {
    "directattributes": Published(115),
    "relativeposition": Published(76),
    "testquestions.jsonl": Published(191),
    "vstarbench.tsv": Published(191, "md5:b18854d7075574be06b631cd5f7d2d6a"),
    "hrbench4k.tsv": _HR_4K,
    "hrbench8k.tsv": _HR_8K,
    "hrbench4klocal.tsv": Published(_HR_4K.rows),
    "hrbench8klocal.tsv": Published(_HR_8K.rows),
    "cocopoperandom.json": Published(3000),
    "cocopopepopular.json": Published(3000),
    "cocopopeadversarial.json": Published(3000),
    "pope.tsv": Published(5127, "md5:c12f5acb142f2ef1f85a26ba2fbe41d5"),
    "hallusionbench.json": Published(1129),
    "hallusionbench.tsv": Published(checksum="md5:0c23ac0dc9ef46832d7a24504f2a0c7c"),
    "questions.csv": Published(300, note="some hold the labels of Index 99, 100, 279 and 280 to be wrong"),
    "spatialrelationdata.json": Published(
        checksum="sha256:6914fa0cd26e1700c0df1bff85d3c5bf9cc2135399e5180f38f80fb0a69c3c37"
    ),
}
"""By name, in lower case and without `_` and `-`. Those with `local` have paths in place of images."""


@dataclass(frozen=True)
class Finding:
    """What one comparison gave."""

    agrees: bool
    message: str


def compare(path: Path, rows: int) -> Iterator[Finding]:
    """Compare a file that was read to its end, or a folder, with what is published under its name.

    Args:
        path: the file or folder.
        rows: found in it, bad ones included.
    """
    known = PUBLISHED.get(path.name.lower().replace("_", "").replace("-", ""))
    if known is None:
        return
    if known.rows is not None:
        same = rows == known.rows
        yield Finding(same, f"{path.name}: {rows} rows" + ("" if same else f", {known.rows} are published"))
    if known.checksum:
        algorithm, _, expected = known.checksum.partition(":")
        with path.open("rb") as file:
            found = hashlib.file_digest(file, algorithm).hexdigest()
        same = found == expected
        yield Finding(same, f"{path.name}: {algorithm} {found}" + ("" if same else f", {expected} is published"))
    if known.note:
        yield Finding(False, f"{path.name}: {known.note}")

"""HR-Bench 4K and 8K: 200 questions, each asked four times with its options moved on by one.

The benchmark's score is the mean of the accuracies within each rotation. Its rotations are its way of shuffling, so the
options are shown as they stand unless another order is asked for.
"""

from __future__ import annotations

from sparring.samples.sample import Groups
from sparring.samples.tsv import Cells, Tsv


class HrBench(Tsv):
    """The rows of one file, images inside or (`image_path`) beside it. The category is `single` or `cross`."""

    needs = (*Tsv.needs, "category", "cycle_category")

    def _groups(self, place: str, cells: Cells) -> Groups:
        return (("rotation", cells["cycle_category"]),)

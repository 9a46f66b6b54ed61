"""HallusionBench: yes-or-no questions about figures, many of them edited so that the answer changes.

Beside accuracy it counts figures on which every question is answered rightly, and questions that are answered rightly
on every figure: the groups `figure` and `question`. Their names hold the whole of the ids, category and subcategory
included, for other categories use the same numbers. Questions without a figure are no samples; they are reported as
`imageless`. There are no boxes, so the whole image of an edit is compared.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from pydantic import BaseModel, ConfigDict, JsonValue

from sparring.samples.jsonl import Text
from sparring.samples.reader import Asked, Reader
from sparring.samples.sample import Groups
from sparring.samples.tsv import YES_NO, Cells, Tsv


class Record(BaseModel):
    """One question; all values are texts."""

    model_config = ConfigDict(frozen=True)

    category: Text
    subcategory: Text
    visual_input: Text
    set_id: Text
    figure_id: Text
    question_id: Text
    question: Text
    gt_answer: Literal["0", "1"]
    filename: str | None = None

    @property
    def kind(self) -> str:
        return f"{self.category}/{self.subcategory}"


class HallusionBench(Reader[JsonValue]):
    """The records of `HallusionBench.json`. The category is, for example, `VD/illusion`."""

    def _rows(self) -> Iterator[tuple[str, JsonValue]]:
        return self._elements(self.path)

    def _ask(self, place: str, row: JsonValue) -> Asked:
        record = self._fit(place, Record, row)
        ids = (record.set_id, record.figure_id, record.question_id)
        if not record.filename:
            raise self._bad(place, "imageless", "it is asked without a figure")
        return Asked(
            self._images / record.filename,
            record.question,
            YES_NO,
            0 if record.gt_answer == "1" else 1,
            category=record.kind,
            groups=grouped(record.kind, *ids),
            name="_".join((record.kind, record.visual_input, *ids)),
        )


class HallusionBenchTable(Tsv):
    """The questions as a table (see `tsv`); `index` ends in set, figure and question, each after an underscore."""

    needs = (*Tsv.needs, "category", "l2-category")

    def _category(self, cells: Cells) -> str:
        return f"{cells['category']}/{cells['l2-category']}"

    def _groups(self, place: str, cells: Cells) -> Groups:
        parts = cells["index"].split("_")
        if len(parts) != 6:
            raise self._bad(place, "fields", f"index {cells['index']!r} has not six parts between underscores")
        return grouped(self._category(cells), *parts[3:])


def grouped(kind: str, set_id: str, figure_id: str, question_id: str) -> Groups:
    """The groups of a question."""
    return ("figure", f"{kind}/{set_id}/{figure_id}"), ("question", f"{kind}/{set_id}/{question_id}")

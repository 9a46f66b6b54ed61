from __future__ import annotations

from typing import cast

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparring.ledgers import ids
from sparring.ledgers.ids import Ids
from sparring.ledgers.table import Snapshot


class Column:
    """A snapshot with one column, `after` being the number of values that were there before."""

    def __init__(self, values: list[str]) -> None:
        self._values = values
        self.newest = len(values)

    def batches(self, columns: list[str], where: str = "", after: int = -1) -> list[pa.RecordBatch]:
        return [pa.record_batch({columns[0]: pa.array(self._values[max(after, 0) :], pa.string())})]


def snapshot(values: list[str]) -> Snapshot:
    return cast(Snapshot, Column(values))


@given(st.lists(st.text(max_size=3)), st.lists(st.text(max_size=3)), st.lists(st.text(max_size=3)))
def test_knows_what_it_was_shown_and_nothing_else(first: list[str], second: list[str], others: list[str]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ids, "_RECENT", 3)
        known = Ids("id")
        known.refresh(snapshot(first))
        known.refresh(snapshot([*first, *second]))
        for value in {*first, *second, *others}:
            assert (value in known) == (value in first or value in second)


def test_takes_eight_bytes_an_id() -> None:
    known = Ids("id")
    known.refresh(snapshot([f"group/{i}" for i in range(70_000)]))
    assert known._settled.dtype == np.uint64
    assert len(known._settled) == 70_000
    assert known._recent == set()

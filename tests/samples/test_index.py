from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

from sparring.samples.index import Index


def test_what_was_put_first_stays() -> None:
    with closing(Index()) as index:
        assert index.get("a") is None
        assert index.put("a", "1") == "1"
        assert index.put("a", "2") == "1"
        assert index.put("A", "3") == "3"
        assert index.put("", "") == ""
        assert (index.get("a"), index.get("A"), index.get("b")) == ("1", "3", None)


def test_another_thread_may_go_on() -> None:
    with closing(Index()) as index, ThreadPoolExecutor(1) as pool:
        index.put("a", "1")
        assert pool.submit(index.put, "a", "2").result() == "1"

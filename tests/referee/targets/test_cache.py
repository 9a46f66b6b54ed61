"""Answers that are kept."""

from __future__ import annotations

import asyncio
import signal
import sqlite3
import subprocess
import sys
from itertools import chain
from pathlib import Path

import pytest

from sparring.referee.targets.asking import Said
from sparring.referee.targets.cache import AnswerCache, BadCache

SAID = Said("it is \\boxed{B}", True, "m-1 fp-2")
WRITER = """
import asyncio, sys
from pathlib import Path
from sparring.referee.targets.asking import Said
from sparring.referee.targets.cache import AnswerCache

async def main():
    cache = AnswerCache(Path(sys.argv[1]))
    for number in range(1 << 30):
        await cache.put([(key, Said(str(number), True, "m")) for key in AnswerCache.keys(b"", [str(number)], 2)])
        print(number, flush=True)

asyncio.run(main())
"""


def key(number: int = 0) -> bytes:
    return AnswerCache.keys(b"", [str(number)], 1)[0]


async def test_what_was_put_is_found_again_by_everybody(tmp_path: Path) -> None:
    file = tmp_path / "new folder" / "answers.sqlite"
    cache, other = AnswerCache(file), AnswerCache(file)
    await cache.put([(key(0), SAID), (key(1), Said("", False, ""))])
    for found in (cache, other, AnswerCache(file)):
        assert (found.get(key(0)), found.get(key(1)), found.get(key(2))) == (SAID, Said("", False, ""), None)
        found.close()


async def test_the_first_answer_stays(tmp_path: Path) -> None:
    cache, other = AnswerCache(tmp_path / "a"), AnswerCache(tmp_path / "a")
    await cache.put([(key(), SAID)])
    await other.put([(key(), Said("another", True, "m"))])
    assert cache.get(key()) == other.get(key()) == SAID
    cache.close()
    other.close()


async def test_what_was_being_put_is_kept_though_nobody_waits_for_it(tmp_path: Path) -> None:
    cache = AnswerCache(tmp_path / "a")
    puts = [asyncio.ensure_future(cache.put([(key(number), SAID)])) for number in range(20)]
    await asyncio.wait(puts, return_when=asyncio.FIRST_COMPLETED)
    for put in puts:
        put.cancel()
    await asyncio.gather(*puts, return_exceptions=True)
    cache.close()
    again = AnswerCache(tmp_path / "a")
    assert all(again.get(key(number)) == SAID for number in range(20))
    again.close()


def test_a_key_depends_on_every_part_and_where_it_ends() -> None:
    asked = [
        (b"i", ["m", "q"]),
        (b"j", ["m", "q"]),
        (b"i", ["mq", ""]),
        (b"i", ["mq"]),
        (b"im", ["q"]),
        (b"i", ["q", "m"]),
    ]
    keys = list(chain.from_iterable(AnswerCache.keys(image, parts, 3) for image, parts in asked))
    assert len(set(keys)) == len(keys) == 18
    assert AnswerCache.keys(b"i", ["m", "q"], 2) == keys[:2]


def test_what_was_put_survives_a_killed_process(tmp_path: Path) -> None:
    file, last = tmp_path / "answers", -1
    with subprocess.Popen([sys.executable, "-c", WRITER, str(file)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            last = int(line)
            if last == 20:
                process.send_signal(signal.SIGKILL)
        process.wait()
    assert last >= 20
    cache = AnswerCache(file)
    for number in range(last + 1):
        for one in AnswerCache.keys(b"", [str(number)], 2):
            assert cache.get(one) == Said(str(number), True, "m")
    # All or none of what was being put when the end came.
    assert len({cache.get(one) for one in AnswerCache.keys(b"", [str(last + 1)], 2)}) == 1
    cache.close()
    assert sqlite3.connect(file).execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_a_file_that_is_something_else_is_named(tmp_path: Path) -> None:
    (tmp_path / "photo.jpg").write_bytes(b"\xff\xd8\xff" * 1000)
    for path in (tmp_path / "photo.jpg", tmp_path, tmp_path / "photo.jpg" / "answers"):
        with pytest.raises(BadCache, match=str(path)):
            AnswerCache(path)

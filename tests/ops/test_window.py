"""The window follows (staleness + 1) x batch - (accepted + running), the rule of AReaL (arXiv 2505.24298)."""

from __future__ import annotations

from itertools import islice

from hypothesis import given
from hypothesis import strategies as st

from sparring.ledgers.records import RevisionName
from sparring.ops.seeds import seed_of, share_of
from sparring.ops.window import Patience, Window, slots


def revision(step: int, branch: str = "") -> RevisionName:
    return RevisionName(f"c/attacker/{step:06d}{branch}")


def window(batch: int, staleness: int, steps: int = 10, done: int = 0) -> Window:
    return Window(batch, staleness, steps, [revision(step) for step in range(done + 1)])


def accept(books: Window, *slots: int, step: int = 0) -> None:
    for slot in slots:
        books.accept(slot, revision(step))


def train(books: Window, *slots: int) -> None:
    books.train(books.done + 1, revision(books.done + 1), slots)


def test_room_at_the_start_and_with_company() -> None:
    books = window(4, 1)
    assert books.room == 8
    books.in_flight = 3
    accept(books, 1)
    assert books.room == 4


def test_a_trained_group_makes_room() -> None:
    books = window(2, 0)
    accept(books, 1, 2)
    assert books.room == 0
    train(books, 1, 2)
    assert books.room == 2
    assert books.newest == revision(1)


def test_a_stale_group_does_not_wait_for_ever() -> None:
    books = window(2, 1)
    accept(books, 1)
    train(books)
    assert books.pending == 1
    train(books)
    assert books.pending == 0
    accept(books, 2)
    assert books.pending == 0


def test_groups_of_an_abandoned_revision_do_not_wait() -> None:
    """Step 2 was published, its checkpoint lost, and the trainer makes step 2 once more from step 1."""
    books = window(2, 1, done=2)
    accept(books, 1, step=2)
    accept(books, 2, step=1)
    books.train(2, revision(2, "again"), [])
    assert set(books.accepted) == {2}
    assert books.done == 2


def test_nothing_is_played_for_steps_that_never_come() -> None:
    books = window(4, 3, done=9)
    assert books.room == 4
    train(books)
    assert books.room == 0


@given(st.integers(1, 8), st.integers(0, 3), st.integers(1, 6))
def test_never_more_than_the_trainer_can_use(batch: int, staleness: int, steps: int) -> None:
    """Play to the end: the books stay within the bound, and never wait for a match that nobody starts."""
    books, numbers = window(batch, staleness, steps), slots(())
    while books.done < steps:
        books.in_flight += books.room
        assert books.pending + books.in_flight <= (staleness + 1) * batch
        while books.pending < batch:
            assert books.in_flight
            books.in_flight -= 1
            accept(books, next(numbers), step=books.done)
        train(books, *list(books.accepted)[:batch])


def test_slots_pass_over_what_is_recorded() -> None:
    assert list(islice(slots([0, 2, 3, 7]), 5)) == [1, 4, 5, 6, 8]


def test_patience() -> None:
    patience = Patience()
    for _ in range(100):
        patience.nothing()
    assert patience.wait_seconds() == 0
    for _ in range(5000):
        patience.nothing()
    assert patience.wait_seconds() == 1
    patience.fruit()
    patience.failure()
    first = patience.wait_seconds()
    patience.failure()
    assert patience.wait_seconds() == 2 * first > 0
    patience.fruit()
    assert patience.wait_seconds() == 0


def test_seeds_depend_on_every_name_and_fit_a_signed_integer() -> None:
    seeds = {seed_of(0, "p", 1), seed_of(0, "p", 2), seed_of(1, "p", 1), seed_of(0, "p1", ""), seed_of(0, "p", 1, "")}
    assert len(seeds) == 5
    assert all(0 <= seed < 2**63 for seed in seeds)
    assert seed_of(0, "p", 1) == seed_of(0, "p", 1)
    draws = [share_of("x", number) for number in range(2000)]
    assert abs(sum(draws) / len(draws) - 0.5) < 0.03

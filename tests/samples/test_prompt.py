"""How a question is put: the exact words, and an order of the options that is drawn once for all."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from sparring.samples.prompt import put, shuffled
from sparring.samples.sample import Sample


def sample(number: int = 0, options: tuple[str, ...] = ("left", "right", "above", "below")) -> Sample:
    return Sample(b"image %d" % number, "Where is the cup?", options, 0)


def test_the_exact_words() -> None:
    prompt = put(sample(), (2, 0, 3, 1))
    assert prompt.text == (
        "Where is the cup?\n(A) above\n(B) left\n(C) below\n(D) right\nGive the final answer in the format \\boxed{X}."
    )
    assert (prompt.letter, prompt.letters, prompt.order) == ("B", "ABCD", (2, 0, 3, 1))


@pytest.mark.parametrize("count", [2, 5, 26])
def test_the_right_letter_names_the_right_option(count: int) -> None:
    asked = sample(options=tuple(f"option {index}" for index in range(count)))
    prompt = put(asked, shuffled(asked, 3))
    assert sorted(prompt.order) == list(range(count))
    assert f"({prompt.letter}) option 0\n" in prompt.text


def test_the_order_depends_on_seed_and_sample_alone() -> None:
    assert shuffled(sample(1), 5) == shuffled(sample(1), 5)
    assert len({shuffled(sample(1), seed) for seed in range(40)}) > 10
    assert len({shuffled(sample(number), 5) for number in range(40)}) > 10


def test_every_letter_is_the_right_one_equally_often() -> None:
    letters = Counter(put(each, shuffled(each, 0)).letter for each in (sample(number) for number in range(2000)))
    assert letters.keys() == set("ABCD")
    assert all(abs(count - 500) < 5 * (2000 * 0.25 * 0.75) ** 0.5 for count in letters.values()), letters


def test_the_unshuffled_protocol_keeps_the_order() -> None:
    asked = replace(sample(), shuffle=False)
    assert {shuffled(asked, seed) for seed in range(20)} == {(0, 1, 2, 3)}
    assert put(asked, shuffled(asked, 7)).letter == "A"

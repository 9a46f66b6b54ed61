"""The ways in which models answer, each with the choice that a reader would see, and the rule that sees it."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sparring.referee.answers import Choice, choose

SIDES = ("left", "right", "above", "below")
MATERIALS = ("rubber", "cotton", "a red cup", "cup")


def read(text: str, options: tuple[str, ...] = SIDES) -> Choice:
    return choose(text, "ABCDEFGH"[: len(options)], options)


@pytest.mark.parametrize(
    "text",
    [
        r"\boxed{B}",
        "red circle x2 y5 blue square x6 y5 left \\boxed{B}",
        "\\boxed{B}\n",
        r"<think>(A)? \boxed{A}? no.</think> It is right: \boxed{B}",
        r"A? \boxed{A}?</think>\boxed{B}",
        r"The answer is A, or so it seems. \boxed{B}",
    ],
)
def test_the_format_that_was_asked_for(text: str) -> None:
    assert read(text) == Choice("B", "boxed", exact=True)


@pytest.mark.parametrize(
    "text",
    [
        r"\boxed{\text{B}}",
        r"\boxed{\mathbf{B}}",
        r"\boxed{b}",
        r"\boxed{(B)}",
        r"\boxed{ B }",
        r"\boxed{B.}",
        r"\boxed {B}",
        r"$\boxed{B}$",
        r"\boxed{B}.",
        r"**\boxed{B}**",
        r"\boxed{B} is my answer",
        r"boxed{B}",
        r"\boxed{Ｂ}",
        r"\boxed{right}",
        r"\boxed{(B) right}",
        r"\boxed{B. right}",
        r"\boxed{\text{(B) right}}",
        r"First \boxed{A}; on reflection \boxed{B}",
        r"Give the final answer in the format \boxed{X}. So \boxed{B}",
    ],
)
def test_near_forms_are_right_but_not_exact(text: str) -> None:
    assert read(text) == Choice("B", "boxed", exact=False)


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("B", "bare"),
        ("b", "bare"),
        ("(B)", "bare"),
        (" B.\n", "bare"),
        ("**B**", "bare"),
        ("Ｂ", "bare"),
        ("[B]", "bare"),
        ("The answer is B", "stated"),
        ("the answer is b.", "stated"),
        ("Answer: B", "stated"),
        ("**Answer:** (B)", "stated"),
        ("Final answer: **B**", "stated"),
        ("The correct option is B because the circle is there", "stated"),
        ("The answer is (B) right.", "stated"),
        ("The answer would be: B", "stated"),
        ("I would go with B, since it is nearer.", "stated"),
        ("I pick option B", "stated"),
        ("Option B", "stated"),
        ("B is correct", "stated"),
        ("I think (B) is the right one", "stated"),
        ("The answer is not A but B", "stated"),
        ("The answer is not A, but rather B.", "stated"),
        ("The answer isn't (A) but (B)", "stated"),
        ("It can't be (A), so (B)", None),
        ("It is not (A), it is (B)", "marked"),
        ("I believe it is (b)", "marked"),
        ("So **B** it is", "marked"),
        ("So it is **B. right**", "marked"),
        ("B. right", "marked"),
        ("B: right", "marked"),
        ("It looks like\nB)\n", "marked"),
        ("It is on the right.", "option_text"),
        ("A person is right of it", "option_text"),
        ("The answer is a thing on the right", "option_text"),
    ],
)
def test_other_ways_to_say_it(text: str, rule: str | None) -> None:
    assert read(text) == (Choice("B", rule) if rule else Choice(None, "marked_ambiguous"))


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("", "empty"),
        ("  \n", "empty"),
        ("<think>Could be A. \\boxed{A}", "unfinished_thought"),
        ("<think>A</think>", "empty"),
        ("A or B", "none"),
        ("The answer is A or B", "stated_ambiguous"),
        ("Either option A or option B", "stated_ambiguous"),
        ("The answer is A, B", "stated_ambiguous"),
        ("The answer is A. No: the answer is B", "stated_ambiguous"),
        (r"\boxed{A or B}", "boxed_unreadable"),
        (r"\boxed{left or right}", "boxed_ambiguous"),
        (r"\boxed{(B) left}", "boxed_ambiguous"),
        (r"\boxed{}", "boxed_unreadable"),
        (r"\boxed{none of these}", "boxed_unreadable"),
        (r"\boxed{E}", "boxed_unreadable"),
        (r"It could be (A). \boxed{none of these}", "boxed_unreadable"),
        (r"I can't tell: \boxed{X}", "none"),
        ("(A) left\n(B) right\n(C) above\n(D) below", "marked_ambiguous"),
        ("It is neither A nor B", "none"),
        ("I'm sorry, but I can't help with that.", "none"),
        ("I cannot determine the answer.", "none"),
        ("Cannot say. Because.", "none"),
        ("A dog is chasing a cat", "none"),
        ("The answer is a cat", "none"),
        ("The answer is E", "none"),
        ("it is either left or right", "option_text_ambiguous"),
        ("Yes.", "none"),
    ],
)
def test_what_is_no_choice(text: str, rule: str) -> None:
    assert read(text) == Choice(None, rule)


@pytest.mark.parametrize(
    ("text", "letter"),
    [
        ("Because the cup is red", "D"),
        ("I see a red cup there", "C"),
        ("A red cup", "C"),
        ("It is made of Rubber!", "A"),
        ("rubbery", None),
        ("The answer is a red cup", "C"),
    ],
)
def test_the_text_of_an_option_counts_as_whole_words_and_the_longest(text: str, letter: str | None) -> None:
    assert read(text, MATERIALS).letter == letter


@pytest.mark.parametrize(
    ("text", "choice"),
    [
        ("Yes.", Choice("A", "yes_no")),
        ("No, there is not", Choice("B", "yes_no")),
        ("No. Yes would be wrong.", Choice("B", "yes_no")),
        ("**Yes**, there is no doubt", Choice("A", "yes_no")),
        ("There is not.", Choice(None, "none")),
        ("I would say yes", Choice("A", "option_text")),
        (r"\boxed{Yes}", Choice("A", "boxed")),
        (r"\boxed{No}", Choice("B", "boxed")),
    ],
)
def test_yes_and_no(text: str, choice: Choice) -> None:
    assert read(text, ("Yes", "No")) == choice


def test_only_offered_letters_count() -> None:
    assert read("The answer is C", ("left", "right")).letter is None
    assert read("The answer is C").letter == "C"


@settings(deadline=None)
@given(st.text(alphabet="ABCDabcd \\boxed{}()*.,:/nortIsThe<>think'\n", max_size=60))
def test_never_fails_and_never_names_a_letter_that_was_not_offered(text: str) -> None:
    choice = read(text)
    assert choice.letter is None or choice.letter in "ABCD"
    assert not choice.exact or (choice.rule == "boxed" and text.rstrip().endswith(rf"\boxed{{{choice.letter}}}"))


@settings(deadline=None)
@given(st.sampled_from("ABCD"), st.text(alphabet=st.characters(codec="utf-8"), max_size=80))
def test_whatever_comes_before_a_single_exact_box_decides_nothing(letter: str, before: str) -> None:
    if "boxed" in before or "<think>" in before:
        return
    assert read(rf"{before} \boxed{{{letter}}}") == Choice(letter, "boxed", exact=True)

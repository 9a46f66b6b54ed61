"""Which option an answer chooses, and by which rule that was found."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Choice:
    """What was read out of an answer.

    Attributes:
        letter: the option chosen, or None if the answer cannot be read as one choice.
        rule: name of the rule that decided.
        exact: whether the answer ends in exactly `\\boxed{LETTER}`, once, as the prompt asks.
    """

    letter: str | None
    rule: str
    exact: bool


BOXED = re.compile(r"\\boxed\s*\{((?:[^{}]|\{[^{}]*\})*)\}")
WRAPPED = re.compile(r"\\(?:text|mathrm|textbf|mathbf|rm)\s*\{([^{}]*)\}")
THOUGHT = re.compile(r"<think>.*?</think>", re.DOTALL)
EXACT = re.compile(r"\\boxed\{([A-Z])\}$")
STATED = re.compile(
    r"(?:answer|choice|option)\b\W{0,12}?(?:is|would be|should be|:)?[\s:*(\[]*([A-Z])(?![A-Za-z'’])(?!\s+[a-z]{2,})",
    re.IGNORECASE,
)
MARKED = re.compile(r"\(([A-Za-z])\)|\*\*\(?([A-Za-z])\)?[.:]?\*\*|^\s*([A-Z])\s*[.:)]", re.MULTILINE)
REJECTED = re.compile(r"\b(?:not|isn't|rather than|instead of)\s+(?:option\s+)?\(?\*{0,2}([A-Z])\b", re.IGNORECASE)


def choose(text: str, letters: str, options: Sequence[str]) -> Choice:
    """Read the choice out of an answer.

    Rules, first that applies: `boxed`, `bare` (nothing but a letter), `stated` ("the answer is B"), `marked` ("(B)",
    "**B**", "B."), `option_text` (the text of exactly one option). Two different letters under one rule are no choice.

    Args:
        text: as the defender gave it.
        letters: those that were offered, "ABCD".
        options: their texts in the same order.
    """
    plain = unicodedata.normalize("NFKC", text).strip()
    exact = EXACT.search(plain)
    spoken = THOUGHT.sub("", plain)
    if "<think>" in spoken:
        return Choice(None, "unfinished_thought", False)
    if not spoken.strip():
        return Choice(None, "empty", False)
    for rule, read in RULES:
        found = read(spoken, letters, options)
        if len(found) == 1:
            once = exact is not None and len(BOXED.findall(plain)) == 1 and exact[1] in found
            return Choice(next(iter(found)), rule, rule == "boxed" and once)
        if len(found) > 1:
            return Choice(None, f"{rule}_ambiguous", False)
    return Choice(None, "none", False)


def boxed(text: str, letters: str, options: Sequence[str]) -> set[str]:
    """The last box counts: earlier ones are often quotations of the format."""
    boxes = BOXED.findall(text)
    if not boxes:
        return set()
    inside = WRAPPED.sub(r"\1", boxes[-1]).strip().strip("()$*. ")
    if len(inside) == 1 and inside.upper() in letters:
        return {inside.upper()}
    return option_text(inside, letters, options)


def bare(text: str, letters: str, options: Sequence[str]) -> set[str]:
    inside = text.strip().strip("()[]*.:`'\" ")
    return {inside.upper()} if len(inside) == 1 and inside.upper() in letters else set()


def stated(text: str, letters: str, options: Sequence[str]) -> set[str]:
    return {letter.upper() for letter in STATED.findall(text) if letter.upper() in letters} - refused(text)


def marked(text: str, letters: str, options: Sequence[str]) -> set[str]:
    found = {letter.upper() for match in MARKED.findall(text) for letter in match if letter}
    return {letter for letter in found if letter in letters} - refused(text)


def option_text(text: str, letters: str, options: Sequence[str]) -> set[str]:
    """Options whose text occurs as whole words and not within another option that occurs."""
    low = text.casefold()
    found = [
        (letter, option.casefold())
        for letter, option in zip(letters, options, strict=True)
        if re.search(rf"(?<!\w){re.escape(option.casefold())}(?!\w)", low)
    ]
    return {letter for letter, option in found if not any(option != other and option in other for _, other in found)}


def refused(text: str) -> set[str]:
    """Letters that the answer names in order to say no to them."""
    return {letter.upper() for letter in REJECTED.findall(text)}


Rule = Callable[[str, str, Sequence[str]], set[str]]
RULES: tuple[tuple[str, Rule], ...] = (
    ("boxed", boxed),
    ("bare", bare),
    ("stated", stated),
    ("marked", marked),
    ("option_text", option_text),
)

"""Which option an answer chooses, and by which rule that was found.

A letter is taken only where it is said as a choice: the article of "A person is left" is none, nor are the two of
"A or B". What cannot be read as one choice is no choice, and counts as wrong.
"""

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
        exact: whether the answer ends in exactly `\\boxed{LETTER}`, and has no other box: what the prompt asks for.
    """

    letter: str | None
    rule: str
    exact: bool = False


BOXED = re.compile(r"boxed\s*\{((?:[^{}]|\{[^{}]*\})*)\}")
EXACT = re.compile(r"\\boxed\{([A-Z])\}\Z")
WRAPPED = re.compile(r"\\(?:text|textbf|mathrm|mathbf|rm|bf)\s*\{([^{}]*)\}")
TAGGED = re.compile(r"\W*([A-Za-z])\W*(?:[.:)]\W*(.+))?", re.DOTALL)
DECORATION = "()[]{}*_`$.,:;!'\" \t\r\n"
LETTER = r"[(\[*_\s\"'`]*(?<![A-Za-z])([A-Za-z])(?![A-Za-z'’])[)\]*_\"'`]*"
JOINED = re.compile(rf"\s*(?:,|/|\bor\b|\band\b)\s*(?:option\b)?{LETTER}")
"""A further letter, right after one: "A or B"."""
REJECTED = re.compile(
    rf"\b(?:not|isn['’]t|neither|nor|rather\s+than|instead\s+of)\s+(?:option\b)?{LETTER}\s*(?:,?\s*but(?:\s+rather)?\b)?",
    re.IGNORECASE,
)
STATED = re.compile(
    r"\b(?:answer|choice|option|choose|chose|pick|select|go\s+with|going\s+with|opt\s+for)\b"
    rf"\W{{0,12}}(?:(?:is|would\s+be|should\s+be|must\s+be)\b\W{{0,6}})?(?:option\b)?{LETTER}",
    re.IGNORECASE,
)
CONFIRMED = re.compile(rf"{LETTER}\s+is\s+(?:the\s+)?(?:correct|right|best|true|answer)\b")
MARKED = re.compile(r"\(([A-Za-z])\)|\*\*\(?([A-Za-z])(?:\)|\b)[^*\n]*\*\*|^\s*([A-Z])\s*[.:)](?=\s|$)", re.MULTILINE)
PROSE = re.compile(r"\s+(?!because\b|since\b|as\b|for\b|based\b|given\b|due\b)[a-z]{2,}")
"""What follows an article, as against a letter."""


def choose(text: str, letters: str, options: Sequence[str]) -> Choice:
    """Read the choice out of an answer.

    Where there is a box, the last one decides; else the first rule that finds a letter. Two letters under one rule are
    no choice, and the rule's name then ends in `_ambiguous`. `unfinished_thought`, `empty`, `boxed_unreadable` and
    `none` are no choice either.

    Args:
        text: as the defender gave it.
        letters: those that were offered, "ABCD".
        options: their texts in the same order.
    """
    spoken = text.rpartition("</think>")[2]
    if "<think>" in spoken:
        return Choice(None, "unfinished_thought")
    plain = unicodedata.normalize("NFKC", spoken)
    if not plain.strip():
        return Choice(None, "empty")
    insides = boxes(plain, letters)
    if insides:
        return verdict("boxed", boxed(insides[-1], letters, options), exact(spoken)) or Choice(None, "boxed_unreadable")
    found = (verdict(rule, read(plain, letters, options)) for rule, read in RULES)
    return next((choice for choice in found if choice), Choice(None, "none"))


def verdict(rule: str, found: set[str], exact: bool = False) -> Choice | None:
    """What a rule says that found these letters; None if it found nothing."""
    if len(found) > 1:
        return Choice(None, f"{rule}_ambiguous")
    return Choice(min(found), rule, exact) if found else None


def exact(spoken: str) -> bool:
    """Whether an answer, its thoughts left out, has the one box that was asked for at its end."""
    return EXACT.search(spoken.rstrip()) is not None and len(BOXED.findall(spoken)) == 1


def boxes(text: str, letters: str) -> list[str]:
    """What stands in the boxes, without those that quote the prompt's `\\boxed{X}`."""
    insides = (WRAPPED.sub(r"\1", inside).strip(DECORATION) for inside in BOXED.findall(text))
    return [inside for inside in insides if inside in letters or inside not in ("X", "LETTER")]


def boxed(inside: str, letters: str, options: Sequence[str]) -> set[str]:
    """What stands in a box: a letter, a letter with its option's text, or the text alone."""
    tagged = TAGGED.fullmatch(inside)
    if tagged and tagged[1].upper() in letters:
        named = option_text(tagged[2] or "", letters, options)
        return {tagged[1].upper()} | named
    return option_text(inside, letters, options)


def bare(text: str, letters: str, options: Sequence[str]) -> set[str]:
    """Nothing but a letter."""
    inside = text.strip(DECORATION).upper()
    return {inside} if len(inside) == 1 and inside in letters else set()


def stated(text: str, letters: str, options: Sequence[str]) -> set[str]:
    """ "The answer is B", "I pick B", "B is correct"."""
    said = accepted(text)
    found = [*STATED.finditer(said), *CONFIRMED.finditer(said)]
    return {letter for match in found for letter in around(said, match) if letter in letters}


def marked(text: str, letters: str, options: Sequence[str]) -> set[str]:
    """ "(B)", "**B**", or a line that begins with "B."."""
    found = MARKED.findall(accepted(text))
    return {letter.upper() for match in found for letter in match if letter and letter.upper() in letters}


def yes_no(text: str, letters: str, options: Sequence[str]) -> set[str]:
    """The first word, where the options are yes and no: the rest may say either for other reasons."""
    offered = {option.strip(DECORATION).casefold(): letter for letter, option in zip(letters, options, strict=True)}
    first = re.match(r"\W*(yes|no)\b", text.casefold())
    return {offered[first[1]]} if first and offered.keys() == {"yes", "no"} else set()


def option_text(text: str, letters: str, options: Sequence[str]) -> set[str]:
    """Options whose text occurs as whole words and not only within another option that occurs."""
    low = text.casefold()
    found = [
        (letter, option.casefold())
        for letter, option in zip(letters, options, strict=True)
        if re.search(rf"(?<!\w){re.escape(option.casefold())}(?!\w)", low)
    ]
    return {letter for letter, option in found if not any(option != other and option in other for _, other in found)}


def accepted(text: str) -> str:
    """The text without the letters that it says no to."""
    return REJECTED.sub(" ", text)


def around(said: str, match: re.Match[str]) -> list[str]:
    """The letter of a match and those joined to it, in capitals; none if it is an article."""
    if (
        match[1] in "Aa"
        and match.re is STATED
        and PROSE.match(said, match.end())
        and not JOINED.match(said, match.end())
    ):
        return []
    found, end = [match[1].upper()], match.end()
    while joined := JOINED.match(said, end):
        found.append(joined[1].upper())
        end = joined.end()
    return found


Rule = Callable[[str, str, Sequence[str]], set[str]]
RULES: tuple[tuple[str, Rule], ...] = (
    ("bare", bare),
    ("stated", stated),
    ("marked", marked),
    ("yes_no", yes_no),
    ("option_text", option_text),
)

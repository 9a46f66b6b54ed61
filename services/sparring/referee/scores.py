"""The numbers that benchmarks report of themselves, for clean and for robust answers. Definitions: docs/formulas.md.

Which benchmark a sample is of shows in its groups and its category, see `sparring.samples.sample.Groups`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from pydantic import BaseModel, ConfigDict

from sparring.ledgers.entries import Share
from sparring.ledgers.records import Kind, SampleRecord
from sparring.referee import statistics
from sparring.referee.evidence import Evidence
from sparring.referee.items import Reply
from sparring.referee.measures import Hits, together
from sparring.referee.shares import to_share
from sparring.referee.statistics import mean_share

VSTAR = ("direct_attributes", "relative_position")
"""Categories of V*Bench. Other sources use the second one, too."""


class Score(BaseModel):
    """One number of a benchmark."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    benchmark: str
    name: str
    clean: Share
    """From the answers to originals."""
    robust: Share
    """From the answers to originals and all valid semantic edits, the worst of which counts."""


@dataclass(frozen=True)
class Question:
    """One sample as a benchmark sees it.

    Attributes:
        sample: what is asked.
        image: what it is about.
        right: whether it is answered rightly; None if that is not known.
        yes: whether the answer to a yes-or-no question is yes; an unreadable one is not.
    """

    sample: SampleRecord
    image: str
    right: bool | None
    yes: bool

    def groups(self, name: str) -> list[str]:
        """Values of the sample's groups of one name."""
        return [value for key, value in self.sample.groups if key == name]

    @property
    def there(self) -> bool:
        """Whether yes is the right answer."""
        return says_yes(self.sample, self.sample.answer)


Formula = Callable[[Sequence[Question]], statistics.Share]


@dataclass(frozen=True)
class Number:
    """One number of a benchmark: which questions count, and what is computed of them."""

    benchmark: str
    name: str
    keep: Callable[[Question], bool]
    formula: Formula

    def of(self, questions: Sequence[Question]) -> Share:
        return to_share(self.formula([question for question in questions if self.keep(question)]))


def scores(evidence: Evidence) -> tuple[Score, ...]:
    """All scores that these samples have."""
    items = sorted(evidence.of(Kind.SEMANTIC).items())
    clean = [see(evidence, evidence.samples[name], [item.original]) for name, item in items]
    views = [[None] if item.robust is None else [item.original, *item.edits.values()] for _, item in items]
    robust = [see(evidence, asked.sample, replies) for asked, replies in zip(clean, views, strict=True)]
    return tuple(
        Score(benchmark=number.benchmark, name=number.name, clean=number.of(clean), robust=number.of(robust))
        for number in numbers(clean)
    )


def see(evidence: Evidence, sample: SampleRecord, replies: Sequence[Reply | None]) -> Question:
    """A sample by its answers: right if all are. About what is there they say yes if all do, about what is not if any
    does."""
    known = [reply for reply in replies if reply is not None]
    right = all(reply.right for reply in known) if len(known) == len(replies) else None
    said = [says_yes(sample, reply.option) for reply in known]
    yes = all(said) if says_yes(sample, sample.answer) else any(said)
    return Question(sample, evidence.images[sample.sample_id], right, yes)


def says_yes(sample: SampleRecord, option: int | None) -> bool:
    """Whether the option is yes; no option is not."""
    return option is not None and sample.options[option].strip(" .").casefold() == "yes"


def numbers(questions: Sequence[Question]) -> Iterator[Number]:
    """All numbers that there are questions for."""
    for variant in sorted({value for question in questions for value in question.groups("variant")}):
        for name, formula in POPE:
            yield Number("POPE", f"{variant}, {name}", partial(_in, "variant", variant), formula)
    for benchmark, group, formulas in (("HallusionBench", "figure", HALLUSION), ("MMVP", "pair", MMVP)):
        if any(question.groups(group) for question in questions):
            for name, formula in formulas:
                yield Number(benchmark, name, partial(_has, group), formula)
    kinds = sorted({question.sample.category for question in questions if question.groups("rotation")})
    for kind in [[each] for each in kinds] + [kinds] * bool(kinds):
        yield Number("HR-Bench", _named(kind, kinds), partial(_rotated, kind), over_rotations)
    if any(question.sample.category == VSTAR[0] for question in questions):
        for chosen in ([VSTAR[0]], [VSTAR[1]], list(VSTAR)):
            yield Number("V*Bench", _named(chosen, list(VSTAR)), partial(_about, chosen), accuracy)


def _named(kinds: list[str], of: list[str]) -> str:
    return "overall" if kinds == of else kinds[0]


def _in(group: str, value: str, question: Question) -> bool:
    return value in question.groups(group)


def _has(group: str, question: Question) -> bool:
    return bool(question.groups(group))


def _about(kinds: list[str], question: Question) -> bool:
    return question.sample.category in kinds


def _rotated(kinds: list[str], question: Question) -> bool:
    return _has("rotation", question) and _about(kinds, question)


def per_question(count: Callable[[Question], Hits], questions: Sequence[Question]) -> statistics.Share:
    """A share of what each question with a known answer gives."""
    return together((question.image, count(question)) for question in questions if question.right is not None)


def whole(group: str, questions: Sequence[Question]) -> statistics.Share:
    """Share of the groups in which every question is answered rightly, of those in which all answers are known."""
    groups: defaultdict[str, list[Question]] = defaultdict(list)
    for question in questions:
        for value in question.groups(group):
            groups[value].append(question)
    known = [asked for asked in groups.values() if all(question.right is not None for question in asked)]
    # Groups that share an image are not independent: figures of a set with the questions about it.
    return together((min(q.image for q in asked), (int(all(q.right for q in asked)), 1)) for asked in known)


def over_rotations(questions: Sequence[Question]) -> statistics.Share:
    """Mean of the accuracies within each rotation."""
    rotations = sorted({value for question in questions for value in question.groups("rotation")})
    images: defaultdict[str, list[tuple[int, int]]] = defaultdict(lambda: [(0, 0)] * len(rotations))
    for question in questions:
        for value in question.groups("rotation") if question.right is not None else ():
            place = rotations.index(value)
            hits, total = images[question.image][place]
            images[question.image][place] = hits + bool(question.right), total + 1
    return mean_share([images[name] for name in sorted(images)])


accuracy = partial(per_question, lambda question: (int(bool(question.right)), 1))
POPE: tuple[tuple[str, Formula], ...] = (
    ("accuracy", accuracy),
    ("precision", partial(per_question, lambda asked: (int(asked.there and asked.yes), int(asked.yes)))),
    ("recall", partial(per_question, lambda asked: (int(asked.there and asked.yes), int(asked.there)))),
    ("F1", partial(per_question, lambda asked: (2 * int(asked.there and asked.yes), asked.there + asked.yes))),
    ("yes ratio", partial(per_question, lambda asked: (int(asked.yes), 1))),
)
"""F1 is 2 TP / (TP + FN + TP + FP): a ratio of sums, like the others."""
HALLUSION: tuple[tuple[str, Formula], ...] = (
    ("aAcc", accuracy),
    ("fAcc", partial(whole, "figure")),
    ("qAcc", partial(whole, "question")),
)
MMVP: tuple[tuple[str, Formula], ...] = (("pairs", partial(whole, "pair")), ("average", accuracy))

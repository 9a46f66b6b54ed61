"""A check that was never played: its groups are written down as if it had been."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from sparring.ledgers.records import (
    AnswerRecord,
    EditId,
    EditRecord,
    EpisodeId,
    EpisodeRecord,
    Group,
    GroupId,
    Kind,
    Learner,
    Outcome,
    Purpose,
    SampleId,
    SampleRecord,
    VerdictRecord,
)
from sparring.referee.asked import Asked
from sparring.referee.scribe import sample_row
from sparring.referee.terms import CONTROL
from sparring.samples.images import encode_png
from sparring.samples.shapes import Shapes, World

CHECK = "check-1"
ADD, SHIFT = "procedural:add", "procedural:shift"
KINDS = {ADD: Kind.SEMANTIC, SHIFT: Kind.CORRUPTION}
AFFINE = (1.0, 0.0, 8.0, 0.0, 1.0, 4.0)
"""Eight pixels to the right and four down."""
BUDGET = 2
ASKED = Asked(
    target="openai:small@h:1",
    dataset="shapes:suite",
    limit=100,
    attacks=(ADD, SHIFT),
    budget=BUDGET,
    again=BUDGET,
    seed=7,
    max_tokens=64,
    prompt=r"Give the final answer in the format \boxed{X}.",
    max_pixels=1 << 22,
    versions={"sparring": "1.0"},
)
_NONE = np.zeros(0)


def sample(number: int) -> SampleRecord:
    """Samples 2n and 2n + 1 are about one image, and a pair."""
    row = sample_row(Shapes(World(), 0, "played").sample(number // 2))
    return replace(
        row, sample_id=SampleId(f"{number:03d}"), question=f"{row.question} ({number})", category=f"kind {number % 3}",
        groups=(("pair", str(number // 2)),),
    )  # fmt: skip


def answer(option: int, truth: int, rule: str = "boxed") -> AnswerRecord:
    """The answer that chooses an option, in the order of the source."""
    letter = "ABCD"[option]
    text = f"I see it: \\boxed{{{letter}}}"
    return AnswerRecord(text, _NONE.astype(np.int32), _NONE.astype(np.float32), letter, rule, option == truth, True)


def edit(row: SampleRecord, attacker: str, number: int, valid: bool) -> EditRecord:
    """A grey mark, larger for a later edit; the control is the original."""
    pixels = np.full((64, 64, 3), 200, dtype=np.uint8)
    pixels[:8, : 8 * (number + 1)] = 20
    image = row.image if attacker == CONTROL else encode_png(pixels)
    name = f"suite/{row.sample_id}/{attacker}" if attacker == CONTROL else f"suite/{row.sample_id}/{attacker}/e{number}"
    reasons = () if valid else ("structure",)
    kind = KINDS.get(attacker, Kind.CONTROL)
    affine = AFFINE if kind is Kind.CORRUPTION else None
    verdict = VerdictRecord(valid, reasons, (("ssim", 1 - number / 10),))
    return EditRecord(EditId(name), row.sample_id, attacker, "", "", number, kind, affine, image, verdict)


def group(row: SampleRecord, match: str, shown: Sequence[tuple[EditRecord | None, tuple[AnswerRecord, ...]]]) -> Group:
    """One match: what was shown, and the answers, none to an edit that was rejected."""
    episodes = tuple(
        EpisodeRecord(
            episode_id=EpisodeId(f"{match}#{index}"),
            sample_id=row.sample_id,
            edit_id=one.edit_id if one else None,
            prompt=row.question,
            option_order=(0, 1, 2, 3),
            temperature=0.0,
            defender=ASKED.target,
            defender_digest="model",
            attacker=one.attacker if one else "",
            answers=answers,
            rewards=(),
            purpose=Purpose.CHECK,
            campaign=CHECK,
            phase="",
            learner=Learner.NONE,
            group_id=GroupId(match),
            group_size=len(shown),
            index=index,
            outcome=Outcome.PLAYED if answers else Outcome.REJECTED,
        )
        for index, (one, answers) in enumerate(shown)
    )
    return Group((row,), tuple(one for one, _ in shown if one), (), episodes)


def failed(row: SampleRecord, match: str, attacker: str) -> Group:
    """A match without result."""
    (lost,) = group(row, match, [(None, ())]).episodes
    error = "target at h:1: UNAVAILABLE: HTTP 503: busy"
    return Group((row,), (), (), (replace(lost, attacker=attacker, outcome=Outcome.FAILED, error=error),))


def played(samples: int, seed: int = 0) -> Iterator[Group]:
    """The groups of a check, in the order in which they were played.

    Three answers in ten are wrong, one edit in five is rejected; of one match in ten the first attempt failed, and of
    one in twenty every attempt.
    """
    rng = np.random.default_rng(seed)

    def say(row: SampleRecord) -> AnswerRecord:
        wrong = rng.random() < 0.3
        rule = rng.choice(["boxed", "bare", "boxed_truncated"])
        return answer((row.answer + wrong) % len(row.options), row.answer, str(rule))

    for number in range(samples):
        row = sample(number)
        place = f"suite/{row.sample_id}"
        yield group(row, f"{place}/original", [(None, tuple(say(row) for _ in range(1 + BUDGET)))])
        for attacker in KINDS:
            match, luck = f"{place}/{attacker}", rng.random()
            if luck < 0.1:
                yield failed(row, match, attacker)
                match = f"{match}/retry1"
            if luck < 0.05:
                yield failed(row, match, attacker)
                continue
            edits = [edit(row, attacker, index, bool(rng.random() < 0.8)) for index in range(BUDGET)]
            shown = [(one, (say(row),) if one.verdict.valid else ()) for one in edits]
            first = [(edit(row, CONTROL, 0, True), (say(row),))] if attacker == ADD else []
            yield group(row, match, [*first, *shown])

"""What went wrong on the way, counted: nothing leaves a denominator without a word."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping

from pydantic import BaseModel, ConfigDict

from sparring.referee.evidence import Evidence
from sparring.referee.scribe import TRUNCATED

ERROR = re.compile(r"(?P<who>[a-z]+)(?: at \S+)?: (?P<code>[A-Z_]+)(?:: (?P<http>HTTP \d{3}))?")
"""How `sparring.referee.errors.OpponentError` begins."""
SHOWN = 60
"""Characters of an error that does not."""


class Counts(BaseModel):
    """What went wrong, or came close to it. Mappings are in the order of their keys."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    answers: int
    """All, to originals, controls and edits, further ones to originals included."""
    by_rule: Mapping[str, int]
    """These by the rule that read them, cut off or not; `asked.extraction` has the rules. No choice: `empty`, `none`,
    `unfinished_thought`, `boxed_unreadable` and what ends in `_ambiguous`."""
    empty: int
    """Answers without a word."""
    truncated: int
    """Answers that were cut off at `asked.max_tokens`."""
    makers: int
    """Models, or sets of them, that gave the answers as far as the endpoint tells; more than one if it changed."""
    failed: Mapping[str, int]
    """Matches without result, by who gave none and why."""
    rejected: Mapping[str, int]
    """Edits that the referee did not accept, by objection; one with two objections is counted under both."""


def count(evidence: Evidence) -> Counts:
    """The counts of a check."""
    items = list(evidence.suite.values())
    rules = [reply.rule for item in items for reply in item.known]
    by_rule = _tally(rule.removesuffix(TRUNCATED) for rule in rules)
    return Counts(
        answers=len(rules),
        by_rule=by_rule,
        empty=by_rule.get("empty", 0),
        truncated=sum(rule.endswith(TRUNCATED) for rule in rules),
        makers=len({maker for item in items for maker in item.makers}),
        failed=_tally(blame(failure.error) for item in items for failure in item.failed.values()),
        rejected=_tally(
            reason for item in items for edit in item.rejected for reason in evidence.edits[edit].verdict.reasons
        ),
    )


def blame(error: str) -> str:
    """Who gave no result, and why, without what differs from match to match: `target: UNAVAILABLE: HTTP 503`."""
    found = ERROR.match(error)
    if found is None:
        return " ".join(error.split())[:SHOWN] or "unknown"
    return ": ".join(part for part in found.group("who", "code", "http") if part)


def _tally(names: Iterable[str]) -> dict[str, int]:
    return dict(sorted(Counter(names).items()))

"""How a defender holds out as an attacker may try more often, beside what chance does in as many answers."""

from __future__ import annotations

from dataclasses import dataclass

from sparring.referee.items import Item, Suite
from sparring.referee.measures import Hits, Images, pool, robust
from sparring.referee.statistics import Share
from sparring.referee.terms import number


@dataclass(frozen=True)
class Rung:
    """What `edits` tries at each sample came to.

    Attributes:
        edits: first edits of each sample that count.
        robust: robust accuracy with these alone.
        beaten: share of samples right on original and control, with a valid edit among these, that one of them fools.
        chance: share of samples right on original and control that are answered wrongly at least once in as many
            further answers to the original: what passes for an attack and is none.
    """

    edits: int
    robust: Share
    beaten: Share
    chance: Share


def climb(suite: Suite, budget: int, images: Images | None = None) -> list[Rung]:
    """The curve at 1, 2, 4 ... edits, and at `budget`.

    Args:
        suite: how one defender did against one attacker.
        budget: edits of each sample.
        images: what intervals are clustered by; see `sparring.referee.measures.pool`.
    """
    return [_rung(suite, edits, images) for edits in rungs(budget)]


def rungs(budget: int) -> list[int]:
    """Powers of two below `budget`, and `budget`."""
    return [*(1 << power for power in range((budget - 1).bit_length())), budget]


def _rung(suite: Suite, edits: int, images: Images | None) -> Rung:
    first = {name: item.only(lambda edit: number(edit) < edits) for name, item in suite.items()}
    return Rung(
        edits=edits,
        robust=pool(first, robust, images),
        beaten=pool(first, beaten, images),
        chance=pool(first, lambda item: chance(item, edits), images),
    )


def beaten(item: Item) -> Hits:
    """Whether any valid edit fools a defender that is right without."""
    if not item.steady or not item.replies:
        return 0, 0
    return int(not all(reply.right for reply in item.replies)), 1


def chance(item: Item, answers: int) -> Hits:
    """Whether any of the first further answers to the original is wrong, where the first one was right."""
    if not item.steady or len(item.again) < answers:
        return 0, 0
    return int(not all(reply.right for reply in item.again[:answers])), 1

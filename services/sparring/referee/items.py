"""How one defender did, sample by sample, as the episodes of an evaluation tell it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from sparring.ledgers.records import AnswerRecord, EditId, EpisodeRecord, GroupId, Outcome, SampleId
from sparring.referee.terms import CONTROL, RETRY


@dataclass(frozen=True)
class Reply:
    """One answer.

    Attributes:
        right: whether it chose the right option.
        option: index of the chosen one among the sample's options; None if no choice could be read out of it, which is
            wrong.
    """

    right: bool
    option: int | None = None


@dataclass
class Item:
    """How one defender did on one sample of a suite; None is an answer that is missing for lack of transport.

    Attributes:
        original, control: the answers to those.
        again: further answers to the original: what chance does without any edit.
        edits: the answer to each valid edit.
        rejected: edits that the referee did not accept.
        attackers: who made each edit, valid or not.
        failed: matches without result, each with the attacker whose edits it would have shown, or nobody's.
    """

    original: Reply | None = None
    control: Reply | None = None
    again: tuple[Reply, ...] = ()
    edits: dict[EditId, Reply | None] = field(default_factory=dict)
    rejected: set[EditId] = field(default_factory=set)
    attackers: dict[EditId, str] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)

    @property
    def steady(self) -> bool:
        """Right on original and control, so that a wrong answer to an edit is the edit's doing."""
        return all(reply is not None and reply.right for reply in (self.original, self.control))

    @property
    def replies(self) -> list[Reply]:
        """The answers to valid edits that are known."""
        return [reply for reply in self.edits.values() if reply is not None]

    @property
    def robust(self) -> bool | None:
        """Right on the original and on every valid edit; None without a valid edit or with a missing answer."""
        views = [self.original, *self.edits.values()]
        if not self.edits or self.failed or None in views:
            return None
        return self.bound(missing=False)

    def bound(self, *, missing: bool) -> bool:
        """`robust` if every missing answer were right or every one wrong."""
        views = [self.original, *self.edits.values()]
        return all(missing if reply is None else reply.right for reply in views) and (missing or not self.failed)

    def only(self, keep: Callable[[EditId], bool]) -> Item:
        """The same with some of the edits. What failed is not known to be one of them, and stays."""
        return replace(
            self,
            edits={name: reply for name, reply in self.edits.items() if keep(name)},
            rejected={name for name in self.rejected if keep(name)},
            attackers={name: attacker for name, attacker in self.attackers.items() if keep(name)},
        )

    def by(self, attackers: frozenset[str]) -> Item:
        """The same with the edits of some attackers, and without the matches of others."""
        chosen = self.only(lambda name: self.attackers[name] in attackers)
        return replace(chosen, failed={match: name for match, name in self.failed.items() if name in ("", *attackers)})


Suite = Mapping[SampleId, Item]
"""How one defender did on every sample."""


def read(episodes: Iterable[EpisodeRecord]) -> dict[SampleId, Item]:
    """The episodes of one defender, sample by sample; of an image shown twice the later episode counts."""
    items: dict[SampleId, Item] = {}
    for episode in episodes:
        item = items.setdefault(episode.sample_id, Item())
        match = first_attempt(episode.group_id)
        if episode.outcome is Outcome.FAILED:
            item.failed[match] = episode.attacker
            continue
        item.failed.pop(match, None)
        _enter(item, episode)
    return items


def _enter(item: Item, episode: EpisodeRecord) -> None:
    """Take the answer of one episode that has a result into the item of its sample."""
    replies = [to_reply(answer, episode.option_order) for answer in episode.answers]
    first = replies[0] if replies else None
    if episode.edit_id is None:
        item.original, item.again = first, tuple(replies[1:])
    elif episode.attacker == CONTROL:
        item.control = first
    else:
        item.attackers[episode.edit_id] = episode.attacker
        if episode.outcome is Outcome.REJECTED:
            item.rejected.add(episode.edit_id)
        else:
            item.edits[episode.edit_id] = first


def to_reply(answer: AnswerRecord, order: Sequence[int]) -> Reply:
    """The answer, with its letter read as the option that was shown under it."""
    return Reply(answer.correct, order[ord(answer.letter) - ord("A")] if answer.letter else None)


def first_attempt(group: GroupId) -> str:
    """The group's id without the number of the attempt."""
    return group.partition(RETRY)[0]

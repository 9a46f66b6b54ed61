"""How one defender did, sample by sample, as the episodes of an evaluation tell it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from sparring.ledgers.records import AnswerRecord, EditId, EpisodeId, EpisodeRecord, GroupId, Outcome, SampleId
from sparring.referee.terms import CONTROL, RETRY


@dataclass(frozen=True)
class Reply:
    """One answer.

    Attributes:
        right: whether it chose the right option.
        option: index of the chosen one among the sample's options; None if no choice could be read out of it, which is
            wrong.
        rule: how it was read, as `AnswerRecord.rule`.
    """

    right: bool
    option: int | None = None
    rule: str = ""


@dataclass(frozen=True)
class Failure:
    """A match without result.

    Attributes:
        attacker: whose edits it would have shown; nobody's for the original.
        error: of its last attempt.
    """

    attacker: str
    error: str = ""


@dataclass
class Item:
    """How one defender did on one sample of a suite; None is an answer that is missing for lack of transport.

    Attributes:
        original, control: the answers to those.
        again: further answers to the original: what chance does without any edit.
        edits: the answer to each valid edit.
        rejected: edits that the referee did not accept.
        attackers: who made each edit, valid or not.
        failed: matches without result.
        prompts: digests of what was said beside the images; several if it changed.
        makers: who answered, by `EpisodeRecord.defender_digest`; several if that changed.
    """

    original: Reply | None = None
    control: Reply | None = None
    again: tuple[Reply, ...] = ()
    edits: dict[EditId, Reply | None] = field(default_factory=dict)
    rejected: set[EditId] = field(default_factory=set)
    attackers: dict[EditId, str] = field(default_factory=dict)
    failed: dict[str, Failure] = field(default_factory=dict)
    prompts: set[str] = field(default_factory=set)
    makers: set[str] = field(default_factory=set)

    @property
    def steady(self) -> bool:
        """Right on original and control, so that a wrong answer to an edit is the edit's doing."""
        return all(reply is not None and reply.right for reply in (self.original, self.control))

    @property
    def replies(self) -> list[Reply]:
        """The answers to valid edits that are known."""
        return [reply for reply in self.edits.values() if reply is not None]

    @property
    def known(self) -> list[Reply]:
        """All answers that are known, further ones to the original included."""
        return [*(reply for reply in (self.original, self.control) if reply is not None), *self.again, *self.replies]

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
        concerned = ("", *attackers)
        return replace(chosen, failed={match: one for match, one in self.failed.items() if one.attacker in concerned})


Suite = Mapping[SampleId, Item]
"""How one defender did on every sample."""


def read(episodes: Iterable[EpisodeRecord]) -> dict[SampleId, Item]:
    """The episodes of one defender, sample by sample, in the order of ids.

    The order of the episodes does not matter: a match that was ever played has not failed, and of an image that was
    shown in several matches the episode with the last id counts.
    """
    items: dict[SampleId, Item] = {}
    played: set[str] = set()
    failures: dict[str, EpisodeRecord] = {}
    counting: dict[tuple[SampleId, EditId | None], EpisodeId] = {}
    for episode in episodes:
        item, match = items.setdefault(episode.sample_id, Item()), first_attempt(episode.group_id)
        if episode.outcome is Outcome.FAILED:
            failures[match] = max(failures.get(match, episode), episode, key=lambda failed: attempts(failed.group_id))
            continue
        played.add(match)
        view = episode.sample_id, episode.edit_id
        counting[view] = max(counting.get(view, episode.episode_id), episode.episode_id)
        if counting[view] == episode.episode_id:
            _enter(item, episode)
    for match in sorted(failures.keys() - played):
        failed = failures[match]
        items[failed.sample_id].failed[match] = Failure(failed.attacker, failed.error)
    return {name: _in_order(items[name]) for name in sorted(items)}


def _enter(item: Item, episode: EpisodeRecord) -> None:
    """Take the answer of one episode that has a result into the item of its sample."""
    replies = [to_reply(answer, episode.option_order) for answer in episode.answers]
    first = replies[0] if replies else None
    item.prompts.add(hashlib.sha256(episode.prompt.encode()).hexdigest())
    if episode.outcome is Outcome.PLAYED:
        item.makers.add(episode.defender_digest)
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


def _in_order(item: Item) -> Item:
    """The same with its edits in the order of their ids, so that nothing depends on when they were played."""
    return replace(item, edits=dict(sorted(item.edits.items())), attackers=dict(sorted(item.attackers.items())))


def to_reply(answer: AnswerRecord, order: Sequence[int]) -> Reply:
    """The answer, with its letter read as the option that was shown under it."""
    return Reply(answer.correct, order[ord(answer.letter) - ord("A")] if answer.letter else None, answer.rule)


def first_attempt(group: GroupId) -> str:
    """The group's id without the number of the attempt."""
    return group.partition(RETRY)[0]


def attempts(group: GroupId) -> int:
    """How many attempts there were before the group's own."""
    return int(group.partition(RETRY)[2].partition("/")[0] or 0)

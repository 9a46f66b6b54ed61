"""The match: edit, judge, answer, score, append."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace

import numpy as np

from sparring.ledgers.committer import Committer
from sparring.ledgers.episodes import EpisodeLedger
from sparring.ledgers.records import EditId, EditRecord, EpisodeRecord, GroupId, Kind, Learner
from sparring.referee.config import RefereeConfig
from sparring.referee.integrity import Subject, Verdict, judge
from sparring.referee.opponents import Answers, Attacker, Defender, Edits, OpponentError
from sparring.referee.rewards import attacker_reward, defender_reward, failure
from sparring.referee.scribe import control_row, edit_row, episode_row, failed_row, group_of
from sparring.referee.terms import Attack, Original, Recorded, Shown, Terms, View, control_id
from sparring.samples.images import decode
from sparring.samples.prompt import Prompt, put, shuffled
from sparring.samples.sample import Sample
from sparring.v1 import attacker_pb2

HOPELESS = 0.5
"""Share of wrong answers to the control above which the attacker could only be paid for the defender's own errors."""


@dataclass(frozen=True)
class Match:
    """What came of it: one episode for each image shown, or only the control's if the match was `skipped`."""

    episodes: tuple[EpisodeRecord, ...]
    shown: tuple[Shown, ...] = ()
    skipped: bool = False


@dataclass(frozen=True)
class Stage:
    """What is shown, and the control that it was judged by (None without fresh edits)."""

    shown: tuple[Shown, ...]
    control: Shown | None = None


class Table:
    """Where matches are played: the opponents, the ledger and the rules."""

    def __init__(
        self,
        config: RefereeConfig,
        attacker: Attacker,
        defender: Defender,
        ledger: EpisodeLedger,
        committer: Committer,
        judges: Executor,
    ) -> None:
        self._config, self._attacker, self._defender = config, attacker, defender
        self._ledger, self._committer, self._judges = ledger, committer, judges
        self._pay = attacker_reward(config.rewards.attacker)

    async def play(self, sample: Sample, view: View, terms: Terms) -> Match:
        """Play one match; when this returns, it is in the ledger. One that is there already is read back instead.

        Raises:
            BadImage: the sample's image can't be read.
            OpponentError: there was no result; a FAILED group in the ledger says why.
        """
        recalled = self._recall(view, terms)
        if recalled is not None:
            return recalled
        prompt = put(sample, shuffled(sample, self._config.option_seed))
        try:
            stage = await self._stage(sample, view, terms)
            calm = await self._calm(sample, prompt, stage, terms)
            if calm is not None and hopeless(calm):
                await self._append(sample, [(calm, stage.control)], view)
                return Match((calm,), skipped=True)
            answers = await asyncio.gather(*(self._ask(shown, prompt, terms) for shown in stage.shown))
        except OpponentError as error:
            await self._void(sample, prompt, terms, error)
            raise
        episodes = self._score(sample, prompt, stage.shown, answers, terms, calm)
        played = list(zip(episodes, stage.shown, strict=True))
        await self._append(sample, [*([(calm, stage.control)] if calm else []), *played], view)
        return Match(tuple(episodes), stage.shown)

    def edits(self, ids: Sequence[EditId]) -> dict[EditId, EditRecord]:
        """Recorded edits; those that are not there are left out."""
        return self._ledger.get_edits(ids)

    def _recall(self, view: View, terms: Terms) -> Match | None:
        """What the ledger has of the match."""
        groups = list(dict.fromkeys(terms.group(index) for index in range(images(view))))
        if self._ledger.has(groups[0]):
            found = self._ledger.get_groups(groups)
            return Match(tuple(episode for group in groups for episode in found.get(group, ())))
        if terms.learner is Learner.ATTACKER and self._ledger.has(terms.control_group):
            calm = self._ledger.get_groups([terms.control_group])[terms.control_group]
            return Match(calm, skipped=True) if hopeless(calm[0]) else None
        return None

    async def _stage(self, sample: Sample, view: View, terms: Terms) -> Stage:
        match view:
            case Original():
                return Stage((Shown(sample.image),))
            case Recorded(edits=edits):
                return Stage(tuple(Shown(edit.image, edit) for edit in edits))
            case Attack():
                return await self._attack(sample, view, terms)

    async def _attack(self, sample: Sample, view: Attack, terms: Terms) -> Stage:
        by, place = told(view.by, sample), view.recording or terms.match_id
        words = np.random.SeedSequence([terms.seed, int(sample.digest[:16], 16)])
        seeds = [int(seed) for seed in words.generate_state(view.count, np.uint32)]
        made = await self._attacker.edit(sample, seeds, by)
        verdicts = await asyncio.get_running_loop().run_in_executor(self._judges, self._judge, sample, made)
        control = Shown(made.control, control_row(control_id(place), sample, made.control))
        edits = (
            Shown(edited.image, edit_row(EditId(f"{place}/e{index}"), sample, edited, by, seed, verdict), edited.path)
            for index, (edited, seed, verdict) in enumerate(zip(made.edits, seeds, verdicts, strict=True))
        )
        return Stage((*([control] if view.show_control else []), *edits), control)

    def _judge(self, sample: Sample, made: Edits) -> list[Verdict]:
        limits = {"max_pixels": self._config.serving.max_pixels, "max_bytes": self._config.serving.max_image_bytes}
        subject = Subject(decode(made.control, **limits), sample.targets)
        return [
            Verdict({}, ())
            if edited.kind is Kind.CORRUPTION
            else judge(subject, decode(edited.image, **limits), self._config.integrity)
            for edited in made.edits
        ]

    async def _calm(self, sample: Sample, prompt: Prompt, stage: Stage, terms: Terms) -> EpisodeRecord | None:
        """How the defender does on the control; only a learning attacker is paid by it."""
        if terms.learner is not Learner.ATTACKER or stage.control is None:
            return None
        answers = await self._ask(stage.control, prompt, terms)
        return episode_row(sample, prompt, stage.control, answers, terms, terms.control_group, 1, 0)

    async def _ask(self, shown: Shown, prompt: Prompt, terms: Terms) -> Answers | None:
        """Answers to one image; None for an invalid edit, which nobody is shown."""
        if not shown.valid:
            return None
        return await self._defender.answer(
            shown.image, prompt.text, terms.defender, terms.answers, terms.seed, terms.sampling
        )

    def _score(
        self,
        sample: Sample,
        prompt: Prompt,
        shown: Sequence[Shown],
        answers: Sequence[Answers | None],
        terms: Terms,
        calm: EpisodeRecord | None,
    ) -> list[EpisodeRecord]:
        baseline = failure([answer.correct for answer in calm.answers]) if calm else 0.0
        alone = terms.learner is Learner.DEFENDER
        episodes = []
        for index, (image, given) in enumerate(zip(shown, answers, strict=True)):
            size, place = (1, 0) if alone else (len(shown), index)
            row = episode_row(sample, prompt, image, given, terms, terms.group(index), size, place)
            episodes.append(replace(row, rewards=self._rewards(row, baseline)))
        return episodes

    def _rewards(self, row: EpisodeRecord, baseline: float) -> tuple[float, ...]:
        match row.learner:
            case Learner.ATTACKER:
                correct = [answer.correct for answer in row.answers]
                return (self._pay(correct, baseline) if correct else 0.0,)
            case Learner.DEFENDER:
                return tuple(defender_reward(a.correct, a.exact, self._config.rewards) for a in row.answers) or (0.0,)
            case Learner.NONE:
                return ()

    async def _append(self, sample: Sample, played: Sequence[tuple[EpisodeRecord, Shown | None]], view: View) -> None:
        """Append the groups that the episodes form, and wait until they are durable."""
        learned = isinstance(view, Attack) and isinstance(view.by, attacker_pb2.LearnedAttack)
        sampling = view.by.sampling if learned else None  # type: ignore[union-attr]  # narrowed by `learned`
        groups: dict[GroupId, list[tuple[EpisodeRecord, Shown | None]]] = {}
        for episode, shown in played:
            groups.setdefault(episode.group_id, []).append((episode, shown))
        await asyncio.gather(
            *(
                self._committer.append(
                    group_of(sample, [s for _, s in rows if s is not None], [e for e, _ in rows], sampling)
                )
                for rows in groups.values()
            )
        )

    async def _void(self, sample: Sample, prompt: Prompt, terms: Terms, error: OpponentError) -> None:
        row = failed_row(sample, prompt, terms, terms.group(0), str(error))
        await self._append(sample, [(row, None)], Original())


def images(view: View) -> int:
    """How many are shown."""
    match view:
        case Attack():
            return view.count + view.show_control
        case Recorded():
            return len(view.edits)
        case Original():
            return 1


def hopeless(calm: EpisodeRecord) -> bool:
    """Whether the defender fails on the control so often that no edit could be credited."""
    return failure([answer.correct for answer in calm.answers]) > HOPELESS


def told(
    by: attacker_pb2.LearnedAttack | attacker_pb2.ProceduralAttack, sample: Sample
) -> attacker_pb2.LearnedAttack | attacker_pb2.ProceduralAttack:
    """The attack with the names of the targets in its instruction."""
    if isinstance(by, attacker_pb2.ProceduralAttack):
        return by
    names = " and ".join(f"the {target.name}" for target in sample.targets) or "the subject of the question"
    filled = attacker_pb2.LearnedAttack()
    filled.CopyFrom(by)
    filled.instruction = by.instruction.replace("{targets}", names)
    return filled

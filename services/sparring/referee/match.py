"""The match: edit, judge, answer, score, append."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from sparring.ledgers.committer import Committer
from sparring.ledgers.episodes import EpisodeLedger
from sparring.ledgers.records import EditId, EpisodeRecord, GroupId, Learner
from sparring.referee.bench import Bench
from sparring.referee.config import RefereeConfig
from sparring.referee.correlation import Pixels
from sparring.referee.errors import OpponentError
from sparring.referee.gathering import gather_all
from sparring.referee.metrics import RefereeMetrics
from sparring.referee.opponents import Answers, Attacker
from sparring.referee.rewards import AttackerReward, defender_reward, failure
from sparring.referee.scribe import control_row, edit_row, episode_row, failed_row, group_of
from sparring.referee.targets.target import Target
from sparring.referee.terms import Attack, Original, Recorded, Shown, Terms, View, control_id, images, sampling, told
from sparring.samples.prompt import Prompt, put, shuffled
from sparring.samples.sample import Sample
from sparring.v1 import attacker_pb2

HOPELESS = 0.5
"""Share of wrong answers to the control above which the attacker could only be paid for the defender's own errors."""

Played = Sequence[tuple[EpisodeRecord, Shown | None]]
"""Episodes, each with what was shown."""


@dataclass(frozen=True)
class Match:
    """What came of it: one episode for each image shown, or only the control's if the match was `skipped`.

    `shown` is empty where the match was recalled from the ledger.
    """

    episodes: tuple[EpisodeRecord, ...]
    shown: tuple[Shown, ...] = ()
    skipped: bool = False


@dataclass(frozen=True)
class Stage:
    """What is shown, and the control that it was judged by (None without fresh edits)."""

    shown: tuple[Shown, ...]
    control: Shown | None = None


@dataclass(frozen=True)
class Table:
    """Where matches are played: the rules, the opponents, the judges and the ledger. `pay` is the attacker's reward."""

    config: RefereeConfig
    pay: AttackerReward
    attacker: Attacker
    defender: Target
    bench: Bench
    ledger: EpisodeLedger
    committer: Committer
    metrics: RefereeMetrics

    async def play(self, sample: Sample, view: View, terms: Terms) -> Match:
        """Play one match; when this returns, it is in the ledger. One that is there already is recalled instead.

        Raises:
            BadImage, BadBox: the sample makes no sense.
            OpponentError: there was no result; a FAILED group in the ledger says why.
        """
        recalled = await asyncio.to_thread(self.recall, view, terms)
        if recalled is not None:
            self.metrics.match(terms.learner, "recalled")
            return recalled
        return await self.play_new(sample, view, terms)

    async def play_new(self, sample: Sample, view: View, terms: Terms) -> Match:
        """The same without looking first: for who knows that the match was not in the ledger a moment ago."""
        original = await self.bench.examine(sample)
        prompt = put(sample, shuffled(sample, self.config.option_seed))
        try:
            stage = await self._stage(sample, original, view, terms)
            calm = await self._calm(sample, prompt, stage, terms)
            if calm is not None and hopeless(calm):
                await self._append(sample, view, [(calm, stage.control)])
                self.metrics.match(terms.learner, "skipped")
                return Match((calm,), skipped=True)
            answers = await gather_all(self._ask(shown, prompt, terms) for shown in stage.shown)
        except OpponentError as error:
            self.metrics.failed(terms.learner, error)
            await self._append(sample, view, [(failed_row(sample, prompt, view, terms, str(error)), None)])
            raise
        episodes = self._score(sample, prompt, stage.shown, answers, terms, calm)
        before = [(calm, stage.control)] if calm is not None else []
        new = await self._append(sample, view, [*before, *zip(episodes, stage.shown, strict=True)])
        self.metrics.played(episodes)
        # Somebody may have played it meanwhile; what is in the ledger counts.
        earlier = None if new else await asyncio.to_thread(self.recall, view, terms)
        return earlier or Match(tuple(episodes), stage.shown)

    def recall(self, view: View, terms: Terms) -> Match | None:
        """What the ledger has of the match, FAILED or not; None if it has yet to be played."""
        groups = list(dict.fromkeys(terms.group(index) for index in range(images(view))))
        if self.ledger.has(groups[0]):
            found = self.ledger.get_groups(groups)
            return Match(tuple(episode for group in groups for episode in found.get(group, ())))
        if terms.learner is Learner.ATTACKER and self.ledger.has(terms.control_group):
            calm = self.ledger.get_groups([terms.control_group])[terms.control_group]
            return Match(calm, skipped=True) if hopeless(calm[0]) else None
        return None

    async def _stage(self, sample: Sample, original: Pixels, view: View, terms: Terms) -> Stage:
        match view:
            case Original():
                return Stage((Shown(sample.image),))
            case Recorded(edits=edits):
                return Stage(tuple(Shown(edit.image, edit) for edit in edits))
            case Attack():
                return await self._attack(sample, original, view, terms)

    async def _attack(self, sample: Sample, original: Pixels, view: Attack, terms: Terms) -> Stage:
        by, place = told(view.by, sample), view.recording or terms.match_id
        words = np.random.SeedSequence([terms.seed, int(sample.digest[:16], 16)])
        seeds = [int(seed) for seed in words.generate_state(view.count, np.uint32)]
        made = await self.attacker.edit(sample, seeds, by)
        learned = isinstance(by, attacker_pb2.LearnedAttack)
        verdicts = await self.bench.judge(sample, original, made, learned=learned)
        control = Shown(made.control, control_row(control_id(place), sample, made.control))
        edits = (
            Shown(edited.image, edit_row(EditId(f"{place}/e{index}"), sample, edited, by, seed, verdict), edited.path)
            for index, (edited, seed, verdict) in enumerate(zip(made.edits, seeds, verdicts, strict=True))
        )
        return Stage((*([control] if view.show_control else []), *edits), control)

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
        return await self.defender.answer(
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
        rules, correct = self.config.rewards, [answer.correct for answer in row.answers]
        match row.learner:
            case Learner.ATTACKER:
                return (self.pay(correct, baseline) if correct else 0.0,)
            case Learner.DEFENDER:
                return tuple(defender_reward(a.correct, a.exact, rules) for a in row.answers) or (0.0,)
            case Learner.NONE:
                return ()

    async def _append(self, sample: Sample, view: View, played: Played) -> bool:
        """Append the groups that the episodes form, and wait until they are durable; False if one was there."""
        groups: dict[GroupId, list[tuple[EpisodeRecord, Shown | None]]] = {}
        for episode, shown in played:
            groups.setdefault(episode.group_id, []).append((episode, shown))
        rows = (group_of(sample, part, sampling(view)) for part in groups.values())
        return all(await gather_all(self.committer.append(group) for group in rows))


def hopeless(calm: EpisodeRecord) -> bool:
    """Whether the defender fails on the control so often that no edit could be credited."""
    return failure([answer.correct for answer in calm.answers]) > HOPELESS

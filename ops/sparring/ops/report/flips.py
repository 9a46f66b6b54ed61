"""The edits of a check that tell most: the model is right without them and wrong with them, and they change little."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from sparring.ledgers.episodes import EpisodeLedger
from sparring.ledgers.records import EditId, EditRecord, EpisodeRecord, Kind, SampleId
from sparring.ops.report.gallery import LARGEST, Exhibit, Pixels, answered, data_uri, difference_map, to_pixels
from sparring.ops.text import percent, short
from sparring.referee.evidence import Evidence
from sparring.referee.terms import CONTROL

NOTICED = 24
"""Levels by which a channel must differ for a pixel to have changed."""
SPARE = 2
"""Edits that are looked at for each that is shown."""
PROCEDURAL = "procedural:"


@dataclass(frozen=True)
class Spoken:
    """What was answered about one sample: to the original, to edits, and which of these is the control."""

    original: EpisodeRecord
    edits: Mapping[EditId, EpisodeRecord]
    control: EditId | None


@dataclass(frozen=True)
class Pictures:
    """What belongs to one edit: uint8 [height, width, 3] each.

    Attributes:
        original, control, edit: as they were shown.
        reference: what the edit is compared with, of its size: the control, or the original if no model made the edit.
            Where geometry moved it is moved along, and has the edit's own pixels where something new came into sight.
    """

    original: Pixels
    control: Pixels
    edit: Pixels
    reference: Pixels

    @property
    def changed(self) -> float:
        """Part of the picture that changed visibly, 0 to 1."""
        change = np.abs(self.reference.astype(np.int16) - self.edit.astype(np.int16)).max(axis=2)
        return float((change >= NOTICED).mean())


def flips(ledger: EpisodeLedger, episodes: Iterable[EpisodeRecord], evidence: Evidence, most: int) -> list[Exhibit]:
    """The most telling flips: one of a sample, spread over the attacks; semantic ones first, and what changes little of
    the picture before what changes more.

    Args:
        ledger: where images are; those of one edit are held at a time.
        episodes: of the check, in any order; those of samples that are not shown are not held.
        evidence: what came of them.
        most: how many there may be.
    """
    candidates = spread(fooling(evidence), SPARE * most)
    spoken = listen(episodes, candidates)
    changed = {edit.edit_id: look(ledger, edit, spoken[edit.sample_id]).changed for edit in candidates}

    def rank(edit: EditRecord) -> tuple[bool, float, EditId]:
        return edit.kind is Kind.CORRUPTION, changed[edit.edit_id], edit.edit_id

    chosen = sorted(spread(sorted(candidates, key=rank), most), key=rank)
    return [to_exhibit(ledger, edit, spoken[edit.sample_id], changed[edit.edit_id]) for edit in chosen]


def fooling(evidence: Evidence) -> list[EditRecord]:
    """Valid edits that are answered wrongly though original and control are not; first those that left the targets most
    alike."""
    found = [
        evidence.edits[name]
        for item in evidence.suite.values()
        if item.steady
        for name, reply in item.edits.items()
        if reply is not None and not reply.right
    ]
    return sorted(found, key=lambda edit: (-dict(edit.verdict.measures).get("ssim", 0.0), edit.edit_id))


def spread(edits: Sequence[EditRecord], most: int) -> list[EditRecord]:
    """One edit of a sample at most, of each attack in turn the next, in the order given."""
    queues: dict[str, deque[EditRecord]] = {}
    for given in edits:
        queues.setdefault(given.attacker, deque()).append(given)
    chosen: dict[SampleId, EditRecord] = {}
    while any(queues.values()):
        for _, queue in sorted(queues.items()):
            while queue and queue[0].sample_id in chosen:
                queue.popleft()
            if queue:
                edit = queue.popleft()
                chosen[edit.sample_id] = edit
    return list(chosen.values())[:most]


def listen(episodes: Iterable[EpisodeRecord], edits: Sequence[EditRecord]) -> dict[SampleId, Spoken]:
    """What was answered about the samples of these edits; of an image that was shown twice as `items.read` has it."""
    wanted = {edit.sample_id for edit in edits}
    held: dict[SampleId, dict[EditId | None, EpisodeRecord]] = {name: {} for name in wanted}
    for episode in episodes:
        if episode.sample_id in wanted and episode.answers:
            views = held[episode.sample_id]
            earlier = views.get(episode.edit_id, episode)
            views[episode.edit_id] = max(earlier, episode, key=lambda one: one.episode_id)
    return {name: _spoken(views) for name, views in held.items()}


def _spoken(views: Mapping[EditId | None, EpisodeRecord]) -> Spoken:
    edits = {name: episode for name, episode in views.items() if name is not None}
    controls = sorted(name for name, episode in edits.items() if episode.attacker == CONTROL)
    return Spoken(views[None], edits, controls[-1] if controls else None)


def look(ledger: EpisodeLedger, edit: EditRecord, spoken: Spoken) -> Pictures:
    """The pictures of an edit."""
    names = [edit.edit_id, *([spoken.control] if spoken.control else [])]
    images = {name: to_pixels(record.image) for name, record in ledger.get_edits(names).items()}
    original = to_pixels(ledger.get_samples([edit.sample_id])[edit.sample_id].image)
    control = images[spoken.control] if spoken.control else original
    changed = images[edit.edit_id]
    before = original if edit.attacker.startswith(PROCEDURAL) else control
    return Pictures(original, control, changed, moved(before, edit.affine, changed))


def moved(before: Pixels, affine: tuple[float, ...] | None, edit: Pixels) -> Pixels:
    """The image as the edit's geometry has it: uint8, of the edit's size. What is not in `before` is that of `edit`.

    Args:
        before: uint8 [height, width, 3].
        affine: 2 x 3, row-major, from a point of it to its place in the edit, pixels; None only brings it to size.
        edit: uint8 [height, width, 3].
    """
    size = edit.shape[1], edit.shape[0]
    image = Image.fromarray(before)
    if affine is None:
        return np.asarray(image if image.size == size else image.resize(size, Image.Resampling.LANCZOS))
    back = np.linalg.inv(np.vstack([np.reshape(affine, (2, 3)), [0, 0, 1]]))[:2].ravel().tolist()
    known = Image.new("L", image.size, 255).transform(size, Image.Transform.AFFINE, back)
    turned = image.transform(size, Image.Transform.AFFINE, back, Image.Resampling.BILINEAR)
    return np.where(np.asarray(known)[..., None] == 255, np.asarray(turned), edit)


def to_exhibit(ledger: EpisodeLedger, edit: EditRecord, spoken: Spoken, changed: float) -> Exhibit:
    """An edit ready to be looked at, with the answer to the original and the one to the edit."""
    sample = ledger.get_samples([edit.sample_id], images=False)[edit.sample_id]
    shown = look(ledger, edit, spoken)
    return Exhibit(
        question=sample.question,
        options=sample.options,
        right=sample.options[sample.answer],
        attacker=short(edit.attacker),
        instruction=edit.instruction,
        original=data_uri(shown.original),
        control=data_uri(shown.control),
        edit=data_uri(shown.edit),
        difference=data_uri(difference_map(shown.reference, shown.edit)),
        width=min(shown.original.shape[1], LARGEST),
        before=answered(spoken.original, sample, "original"),
        after=answered(spoken.edits[edit.edit_id], sample, "edit"),
        note=f"{'Moved along, ' if edit.affine else ''}{percent(changed)} of the picture changed",
    )

"""The edits that tell most: those that fooled the first defender and do not fool the last."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sparring.ledgers.records import EditId, EditRecord, EpisodeRecord, SampleId, SampleRecord
from sparring.samples.images import decode
from sparring.samples.reader import LIMITS

LARGEST = 384
"""Longer sides are reduced to this, pixels: the page has to travel."""
Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class Answered:
    """What a defender said to the edit. `option` is what it chose, empty if no option could be read from it."""

    defender: str
    text: str
    option: str
    correct: bool


@dataclass(frozen=True)
class Exhibit:
    """One edit. Images are data URIs; `difference` is edit against control, dark where they differ most. `note` is what
    else is known of the edit."""

    question: str
    options: tuple[str, ...]
    right: str
    attacker: str
    instruction: str
    original: str
    control: str
    edit: str
    difference: str
    width: int
    before: Answered
    after: Answered
    note: str = ""

    @property
    def pictures(self) -> list[tuple[str, str]]:
        """Names and pictures, in a row; a control that is nothing but the original is no picture of its own."""
        named = [("original", self.original), ("control", self.control), ("edit", self.edit)]
        shown = [(name, uri) for name, uri in named if name != "control" or uri != self.original]
        return [*shown, ("difference", self.difference)]


@dataclass(frozen=True)
class Flip:
    """An edit with what two defenders answered."""

    edit: EditId
    sample: SampleId
    before: EpisodeRecord
    after: EpisodeRecord


def telling(before: Sequence[EpisodeRecord], after: Sequence[EpisodeRecord], most: int) -> list[Flip]:
    """Edits of which `before` was wrong and `after` is right, one per sample, the latest attacker's first.

    Only samples whose original and control `before` answered rightly count. Where there is no such edit, those that
    fool either are taken, and then any. Pure; ties are broken by id.
    """
    sound = _sound(before)
    later = {episode.edit_id: episode for episode in after if episode.edit_id is not None and episode.answers}
    pairs = [
        Flip(episode.edit_id, episode.sample_id, episode, later[episode.edit_id])
        for episode in before
        if episode.edit_id in later
        and episode.answers
        and episode.attacker != "control"
        and episode.edit_id is not None
    ]
    pairs.sort(key=lambda flip: (_rank(flip, sound), _reversed(flip.before.attacker), flip.edit))
    chosen: dict[SampleId, Flip] = {}
    for flip in pairs:
        chosen.setdefault(flip.sample, flip)
    return list(chosen.values())[:most]


def _sound(episodes: Iterable[EpisodeRecord]) -> set[SampleId]:
    """Samples answered rightly wherever there was no attack."""
    plain = [e for e in episodes if e.answers and (e.edit_id is None or e.attacker == "control")]
    wrong = {e.sample_id for e in plain if not _right(e)}
    return {e.sample_id for e in plain} - wrong


def _right(episode: EpisodeRecord) -> bool:
    return all(answer.correct for answer in episode.answers)


def _rank(flip: Flip, sound: set[SampleId]) -> int:
    """0 for what we look for; more for what we make do with."""
    fooled, mended = not _right(flip.before), _right(flip.after)
    return 2 * (not fooled) + (not mended) + 4 * (flip.sample not in sound)


def _reversed(name: str) -> tuple[int, ...]:
    """Sorts names the other way round."""
    return tuple(-ord(letter) for letter in name)


def exhibit(
    flip: Flip,
    sample: SampleRecord,
    edit: EditRecord,
    control: EditRecord | None,
    labels: Mapping[str, str],
) -> Exhibit:
    """Make an edit ready to be looked at."""
    original, edited = to_pixels(sample.image), to_pixels(edit.image)
    reference = original if control is None else to_pixels(control.image)
    return Exhibit(
        question=sample.question,
        options=sample.options,
        right=sample.options[sample.answer],
        attacker=labels.get(edit.attacker, edit.attacker),
        instruction=edit.instruction,
        original=data_uri(original),
        control=data_uri(reference),
        edit=data_uri(edited),
        difference=data_uri(difference_map(reference, edited)),
        width=min(original.shape[1], LARGEST),
        before=answered(flip.before, sample, labels.get(flip.before.defender, flip.before.defender)),
        after=answered(flip.after, sample, labels.get(flip.after.defender, flip.after.defender)),
    )


def answered(episode: EpisodeRecord, sample: SampleRecord, who: str) -> Answered:
    """The first answer of an episode, under the name of whoever gave it."""
    answer = episode.answers[0]
    place = ord(answer.letter) - ord("A") if answer.letter else -1
    known = 0 <= place < len(episode.option_order)
    option = sample.options[episode.option_order[place]] if known else ""
    return Answered(who, answer.text, option, answer.correct)


def difference_map(control: Pixels, edit: Pixels) -> Pixels:
    """Largest difference of the colour channels, white for none, dark for 128 levels or more: uint8 [height, width, 3].

    Where the two have different sizes, the edit is brought to that of the control.
    """
    if control.shape != edit.shape:
        edit = np.asarray(Image.fromarray(edit).resize(control.shape[1::-1], Image.Resampling.LANCZOS))
    change = np.abs(control.astype(np.int16) - edit.astype(np.int16)).max(axis=2)
    strength = np.minimum(change / 128.0, 1.0)[..., None]
    paper, ink = np.array([250.0, 250.0, 249.0]), np.array([124.0, 29.0, 29.0])
    return (paper + (ink - paper) * strength).round().astype(np.uint8)


def to_pixels(encoded: bytes) -> Pixels:
    """An encoded image of the ledger: uint8 [height, width, 3]."""
    return decode(encoded, max_pixels=LIMITS.pixels, max_bytes=LIMITS.bytes)


def data_uri(pixels: Pixels) -> str:
    """A picture that needs no request: PNG up to `LARGEST` pixels a side."""
    image = Image.fromarray(pixels)
    image.thumbnail((LARGEST, LARGEST), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    image.save(buffer, format="PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()

"""What is known of a match: the rows of the episode ledger.

One edit meets many defenders, so samples, edits, trajectories and episodes are rows of their own. An image is
stored once, and an episode names it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import NewType

import numpy as np
from numpy.typing import NDArray

EditId = NewType("EditId", str)
EpisodeId = NewType("EpisodeId", str)
GroupId = NewType("GroupId", str)
SampleId = NewType("SampleId", str)
"""Lower-case hex sha256 of what a sample asks, its image included."""
RevisionName = NewType("RevisionName", str)
"""`CAMPAIGN/ROLE/NUMBER`, the number with six digits: `demo/attacker/000012`."""


class Kind(StrEnum):
    """What an edit does to the image."""

    SEMANTIC = "semantic"
    CORRUPTION = "corruption"
    CONTROL = "control"
    """No attack: the original through the frozen VAE."""


class Purpose(StrEnum):
    """Why a match was played."""

    TRAIN = "train"
    EVALUATE = "evaluate"
    CHECK = "check"


class Outcome(StrEnum):
    """How an episode ended."""

    PLAYED = "played"
    REJECTED = "rejected"
    """The edit was invalid; it earns 0 and was not shown."""
    FAILED = "failed"
    """No result; it voids its group."""


class Learner(StrEnum):
    """Which side learns from an episode."""

    ATTACKER = "attacker"
    DEFENDER = "defender"
    NONE = "none"


@dataclass(frozen=True)
class TargetRecord:
    """An object of a sample: its name and box (pixel x, y, width, height)."""

    name: str
    box: tuple[float, float, float, float]


@dataclass(frozen=True)
class SampleRecord:
    """One question, as in `sparring.samples.sample.Sample`.

    `image` is the encoded original, empty where a reader did not ask for it. Samples with the same `image_digest`
    (sha256, lower-case hex) are about the same image; it is empty where it was not recorded.
    """

    sample_id: SampleId
    image: bytes
    question: str
    options: tuple[str, ...]
    answer: int
    targets: tuple[TargetRecord, ...]
    category: str
    source: str
    groups: tuple[tuple[str, str], ...] = ()
    image_digest: str = ""


@dataclass(frozen=True)
class VerdictRecord:
    """What the referee found in an edit.

    Attributes:
        valid: whether every integrity check passed.
        reasons: names of the checks that failed.
        measures: (name, value) of everything measured.
    """

    valid: bool
    reasons: tuple[str, ...]
    measures: tuple[tuple[str, float], ...]


@dataclass(frozen=True)
class EditRecord:
    """One attacked image.

    Attributes:
        edit_id: unique for ever.
        sample_id: what was edited.
        attacker: name of the revision, or `procedural:NAME`, or `control`.
        attacker_digest: sha256 of the revision's manifest; empty without one.
        instruction: what the editor was told; empty without one.
        seed: of this edit.
        kind: what it does.
        affine: 2 x 3 row-major matrix from original to edit in pixels where geometry moved.
        image: PNG; empty where a reader did not ask for it. Where an attack found nothing to do (reason `no_room`), the
            original, encoded as it was.
        verdict: the referee's finding.
        attack_type: what a valid semantic edit did: `imperceptible`, `add`, `remove`, `replace` or `hybrid`; empty for
            others, and where it was not recorded.
    """

    edit_id: EditId
    sample_id: SampleId
    attacker: str
    attacker_digest: str
    instruction: str
    seed: int
    kind: Kind
    affine: tuple[float, ...] | None
    image: bytes
    verdict: VerdictRecord
    attack_type: str = ""


@dataclass(frozen=True)
class TrajectoryRecord:
    """How an edit was denoised; may expire.

    Attributes:
        edit_id: the edit.
        sigmas: float32 [steps + 1].
        start: first recorded step.
        latents: float32 [window + 1, tokens, channels].
        final: float32 [tokens, channels].
        logprobs: float32 [window].
        noise_level, variant, guidance: as in `sparring.policies.config.EditSampling`.
    """

    edit_id: EditId
    sigmas: NDArray[np.float32]
    start: int
    latents: NDArray[np.float32]
    final: NDArray[np.float32]
    logprobs: NDArray[np.float32]
    noise_level: float
    variant: str
    guidance: float


@dataclass(frozen=True)
class AnswerRecord:
    """One sampled answer.

    Attributes:
        text: as the defender gave it.
        tokens: int32 [length]; empty for a target that does not tell.
        logprobs: float32 [length]; empty for a target that does not tell.
        letter: what was extracted, or None.
        rule: name of the extraction rule that decided.
        correct: whether the letter is the right one.
        exact: whether the answer has exactly the wanted format.
    """

    text: str
    tokens: NDArray[np.int32]
    logprobs: NDArray[np.float32]
    letter: str | None
    rule: str
    correct: bool
    exact: bool


@dataclass(frozen=True)
class EpisodeRecord:
    """One image played against one defender.

    Attributes:
        episode_id: unique for ever.
        sample_id: the question.
        edit_id: the image shown; None is the untouched original.
        prompt: the user's turn, as it was sent.
        option_order: option_order[i] is the index, in the sample's options, of the option shown under letter i.
        temperature: of the answers; 0 is greedy.
        defender: name of the revision or of the target.
        defender_digest: sha256 of the revision's manifest; empty without one.
        attacker: name of the revision, `procedural:NAME`, `control`, or empty for the original.
        answers: what it said; empty unless PLAYED.
        rewards: one number for the edit if the attacker learns, one per answer if the defender does, else none.
        purpose, campaign, phase, learner: what the match was for.
        group_id: the baseline that the rewards are compared within.
        group_size: episodes in the group.
        index: place in the group, 0 to group_size - 1.
        outcome: how it ended.
        error: for FAILED, what went wrong and where.
    """

    episode_id: EpisodeId
    sample_id: SampleId
    edit_id: EditId | None
    prompt: str
    option_order: tuple[int, ...]
    temperature: float
    defender: str
    defender_digest: str
    attacker: str
    answers: tuple[AnswerRecord, ...]
    rewards: tuple[float, ...]
    purpose: Purpose
    campaign: str
    phase: str
    learner: Learner
    group_id: GroupId
    group_size: int
    index: int
    outcome: Outcome
    error: str = ""


@dataclass(frozen=True)
class Group:
    """What one match appends, whole: rows that are new, in the order in which they are written."""

    samples: tuple[SampleRecord, ...]
    edits: tuple[EditRecord, ...]
    trajectories: tuple[TrajectoryRecord, ...]
    episodes: tuple[EpisodeRecord, ...]

    @property
    def group_id(self) -> GroupId:
        return self.episodes[0].group_id

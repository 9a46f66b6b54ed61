"""What a match is about, in plain values."""

from __future__ import annotations

from dataclasses import dataclass

from sparring.ledgers.records import EditId, EditRecord, GroupId, Kind, Learner, Purpose
from sparring.referee.opponents import Path
from sparring.samples.sample import Sample
from sparring.v1 import attacker_pb2, defender_pb2, revision_pb2

CONTROL = "control"
RETRY = "/retry"
"""What the number of a further attempt follows in the id of a match."""


@dataclass(frozen=True)
class Terms:
    """What a match is about, besides the sample and what is shown.

    Attributes:
        match_id: a retry has the same.
        campaign, phase, purpose, learner: as in the ledger.
        seed: of everything random but the order of options.
        defender: the revision to be asked; empty is whatever is active.
        answers: wanted for each image shown.
        sampling: of the answers.
    """

    match_id: str
    campaign: str
    phase: str
    purpose: Purpose
    learner: Learner
    seed: int
    defender: revision_pb2.Revision
    answers: int
    sampling: defender_pb2.AnswerSampling

    def group(self, index: int) -> GroupId:
        """The group of the image shown at `index`: the attacker's edits are compared with each other, the defender's
        answers only with others to the same image."""
        return GroupId(f"{self.match_id}/{index}" if self.learner is Learner.DEFENDER else self.match_id)

    @property
    def control_group(self) -> GroupId:
        return GroupId(f"{self.match_id}/{CONTROL}")


@dataclass(frozen=True)
class Attack:
    """New edits.

    Attributes:
        count: how many.
        by: whom. An instruction may hold `{targets}`.
        recording: what the edits' ids begin with; by default the match's id.
        show_control: whether the control is shown, too, as the first image.
    """

    count: int
    by: attacker_pb2.LearnedAttack | attacker_pb2.ProceduralAttack
    recording: str = ""
    show_control: bool = False

    def ids(self, match_id: str) -> list[EditId]:
        """Of the control, if it is shown, and of each edit."""
        place = self.recording or match_id
        control = [control_id(place)] if self.show_control else []
        return [*control, *(EditId(f"{place}/e{index}") for index in range(self.count))]


def control_id(place: str) -> EditId:
    return EditId(f"{place}/{CONTROL}")


def number(edit: EditId) -> int:
    """An edit's place among those that its attacker made of the sample, from 0."""
    return int(edit.rpartition("/e")[2])


@dataclass(frozen=True)
class Recorded:
    """Edits that are in the ledger."""

    edits: tuple[EditRecord, ...]


@dataclass(frozen=True)
class Original:
    """The untouched image."""


View = Attack | Recorded | Original


def author(view: View) -> str:
    """Whose edits a view shows, as the ledger names them; empty for the original, and for an attacker's revision that
    the attacker is left to choose."""
    match view:
        case Attack(by=attacker_pb2.ProceduralAttack() as by):
            return f"procedural:{by.name}"
        case Attack(by=attacker_pb2.LearnedAttack() as by):
            return str(by.revision.name)
        case Recorded(edits=edits):
            return edits[-1].attacker
        case _:
            return ""


def images(view: View) -> int:
    """How many images are shown."""
    match view:
        case Attack():
            return view.count + view.show_control
        case Recorded():
            return len(view.edits)
        case Original():
            return 1


@dataclass(frozen=True)
class Shown:
    """One image for the defender.

    Attributes:
        image: encoded.
        edit: what is known of it; None for the untouched original.
        path: how it was denoised, if that was asked for.
    """

    image: bytes
    edit: EditRecord | None = None
    path: Path | None = None

    @property
    def valid(self) -> bool:
        return self.edit is None or self.edit.verdict.valid

    @property
    def attacker(self) -> str:
        return self.edit.attacker if self.edit is not None else ""

    @property
    def is_control(self) -> bool:
        return self.edit is not None and self.edit.kind is Kind.CONTROL


def sampling(view: View) -> attacker_pb2.EditSampling | None:
    """How a trained editor draws the edits of a view."""
    return view.by.sampling if isinstance(view, Attack) and isinstance(view.by, attacker_pb2.LearnedAttack) else None


def told(
    by: attacker_pb2.LearnedAttack | attacker_pb2.ProceduralAttack, sample: Sample
) -> attacker_pb2.LearnedAttack | attacker_pb2.ProceduralAttack:
    """The attack with the names of the sample's targets in its instruction."""
    if isinstance(by, attacker_pb2.ProceduralAttack):
        return by
    names = " and ".join(f"the {target.name}" for target in sample.targets) or "the subject of the question"
    filled = attacker_pb2.LearnedAttack()
    filled.CopyFrom(by)
    filled.instruction = by.instruction.replace("{targets}", names)
    return filled

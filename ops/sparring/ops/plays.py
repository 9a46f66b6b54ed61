"""What is asked of the referee: one request for each slot of a phase, and the same one whenever it is asked again."""

from __future__ import annotations

from sparring.ledgers.entries import PhaseStarted
from sparring.ledgers.records import GroupId
from sparring.ops.config import AttackerPhase, CampaignConfig, DefenderPhase
from sparring.ops.messages import to_answer_sampling, to_edit_sampling, to_sample
from sparring.ops.seeds import seed_of, share_of
from sparring.policies.config import EditSampling
from sparring.referee.terms import RETRY
from sparring.samples.sample import Sample
from sparring.v1 import attacker_pb2, referee_pb2, revision_pb2


def match_id(campaign: str, phase: str, slot: int, attempt: int = 0) -> str:
    """Name of a match, which is also the id of its group. A further attempt has another, as one that failed is in the
    ledger, too."""
    return f"{campaign}/{phase}/{slot:06d}" + (f"{RETRY}{attempt}" if attempt else "")


def slot_of(campaign: str, phase: str, group: GroupId) -> int | None:
    """The slot of a match, from the id of its group or of its control's; None if it is of another phase."""
    prefix = f"{campaign}/{phase}/"
    number = group.removeprefix(prefix).partition("/")[0]
    return int(number) if group.startswith(prefix) and number.isdecimal() else None


class Plays:
    """Makes the requests of one phase.

    Args:
        config: of the campaign.
        started: the phase.
        opponent: the pinned revision of the side that does not learn.
    """

    def __init__(self, config: CampaignConfig, started: PhaseStarted, opponent: revision_pb2.Revision) -> None:
        self._config, self._started, self._opponent = config, started, opponent
        self._attacking = started.role == "attacker"

    def request(
        self, slot: int, sample: Sample, learner: revision_pb2.Revision, attempt: int = 0
    ) -> referee_pb2.PlayRequest:
        """The match of `slot` about `sample`, with the learner as it is now."""
        phase = self._config.phase(self._started.role)
        request = referee_pb2.PlayRequest(
            key=self._key(slot, attempt),
            sample=to_sample(sample),
            learner=referee_pb2.LEARNER_ATTACKER if self._attacking else referee_pb2.LEARNER_DEFENDER,
            seed=self._draw(slot, "match"),
            defender=self._opponent if self._attacking else learner,
            answers=phase.answers,
            sampling=to_answer_sampling(phase.answering),
        )
        if isinstance(phase, DefenderPhase) and share_of(*self._names(slot, "clean")) < phase.mix.clean:
            request.original.SetInParent()
        else:
            request.fresh.CopyFrom(self._edits(slot, phase, learner if self._attacking else self._opponent))
        return request

    def _edits(
        self, slot: int, phase: AttackerPhase | DefenderPhase, revision: revision_pb2.Revision
    ) -> referee_pb2.FreshEdits:
        instructions = self._config.instructions
        attack = learned(revision, instructions[self._draw(slot, "instruction") % len(instructions)], phase.editing)
        attack.trajectory = self._attacking
        return referee_pb2.FreshEdits(count=phase.edits if isinstance(phase, AttackerPhase) else 1, learned=attack)

    def _key(self, slot: int, attempt: int) -> referee_pb2.MatchKey:
        campaign, phase = self._config.campaign, self._started.phase
        return referee_pb2.MatchKey(match_id=match_id(campaign, phase, slot, attempt), campaign=campaign, phase=phase)

    def _names(self, slot: int, what: str) -> tuple[object, ...]:
        return self._config.seed, self._started.phase, slot, what

    def _draw(self, slot: int, what: str) -> int:
        return seed_of(*self._names(slot, what))


def learned(revision: revision_pb2.Revision, instruction: str, sampling: EditSampling) -> attacker_pb2.LearnedAttack:
    """An attack by a trained editor, without its trajectories."""
    return attacker_pb2.LearnedAttack(
        revision=revision, instruction=instruction, sampling=to_edit_sampling(sampling), trajectory=False
    )

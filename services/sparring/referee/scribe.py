"""Writes down what happened in a match, as rows of the ledger."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from sparring.ledgers.records import (
    AnswerRecord,
    EditId,
    EditRecord,
    EpisodeId,
    EpisodeRecord,
    Group,
    GroupId,
    Kind,
    Learner,
    Outcome,
    SampleId,
    SampleRecord,
    TargetRecord,
    TrajectoryRecord,
    VerdictRecord,
)
from sparring.referee.answers import choose
from sparring.referee.integrity import Verdict
from sparring.referee.opponents import Answer, Answers, Edited, Path
from sparring.referee.terms import CONTROL, Shown, Terms, View, author
from sparring.samples.prompt import Prompt
from sparring.samples.sample import Sample
from sparring.v1 import attacker_pb2

TRUNCATED = "_truncated"
VARIANTS = {
    attacker_pb2.SDE_VARIANT_ODE: "ode",
    attacker_pb2.SDE_VARIANT_FLOW_SDE: "flow_sde",
    attacker_pb2.SDE_VARIANT_CPS: "cps",
    attacker_pb2.SDE_VARIANT_DANCE: "dance",
}


def sample_row(sample: Sample) -> SampleRecord:
    targets = tuple(TargetRecord(t.name, (t.box.x, t.box.y, t.box.width, t.box.height)) for t in sample.targets)
    return SampleRecord(
        SampleId(sample.digest),
        sample.image,
        sample.question,
        sample.options,
        sample.answer,
        targets,
        sample.category,
        sample.source,
        sample.groups,
        sample.image_digest,
    )


def edit_row(
    edit_id: EditId,
    sample: Sample,
    edited: Edited,
    by: attacker_pb2.LearnedAttack | attacker_pb2.ProceduralAttack,
    seed: int,
    verdict: Verdict,
) -> EditRecord:
    if isinstance(by, attacker_pb2.LearnedAttack):
        who, instruction = edited.revision, by.instruction
    else:
        who, instruction = f"procedural:{by.name}", ""
    return EditRecord(
        edit_id,
        SampleId(sample.digest),
        who,
        edited.digest,
        instruction,
        seed,
        edited.kind,
        edited.affine,
        edited.image,
        VerdictRecord(verdict.valid, verdict.reasons, tuple(verdict.measures.items())),
        verdict.attack_type or "",
    )


def control_row(edit_id: EditId, sample: Sample, image: bytes) -> EditRecord:
    verdict = VerdictRecord(True, (), ())
    return EditRecord(edit_id, SampleId(sample.digest), CONTROL, "", "", 0, Kind.CONTROL, None, image, verdict)


def answer_row(answer: Answer, prompt: Prompt, options: Sequence[str]) -> AnswerRecord:
    """An answer with what was read out of it. Of one that was cut off, the rule's name ends in `_truncated`."""
    choice = choose(answer.text, prompt.letters, options)
    rule = choice.rule if answer.finished else f"{choice.rule}{TRUNCATED}"
    right = choice.letter == prompt.letter
    return AnswerRecord(answer.text, answer.tokens, answer.logprobs, choice.letter, rule, right, choice.exact)


def path_row(edit_id: EditId, path: Path, sampling: attacker_pb2.EditSampling) -> TrajectoryRecord:
    return TrajectoryRecord(
        edit_id,
        path.sigmas,
        path.start,
        path.latents,
        path.final,
        path.logprobs,
        sampling.noise_level,
        VARIANTS[sampling.variant],
        sampling.guidance,
    )


def episode_row(
    sample: Sample,
    prompt: Prompt,
    shown: Shown,
    answers: Answers | None,
    terms: Terms,
    group: GroupId,
    size: int,
    index: int,
) -> EpisodeRecord:
    """An episode without rewards; REJECTED without answers."""
    options = [sample.options[place] for place in prompt.order]
    rows = tuple(answer_row(answer, prompt, options) for answer in answers.answers) if answers else ()
    return EpisodeRecord(
        episode_id=EpisodeId(f"{group}#{index}"),
        sample_id=SampleId(sample.digest),
        edit_id=shown.edit.edit_id if shown.edit else None,
        prompt=prompt.text,
        option_order=prompt.order,
        temperature=terms.sampling.temperature,
        defender=answers.revision if answers else terms.defender.name,
        defender_digest=answers.digest if answers else terms.defender.digest,
        attacker=shown.attacker,
        answers=rows,
        rewards=(),
        purpose=terms.purpose,
        campaign=terms.campaign,
        phase=terms.phase,
        learner=Learner.NONE if shown.is_control else terms.learner,
        group_id=group,
        group_size=size,
        index=index,
        outcome=Outcome.PLAYED if answers else Outcome.REJECTED,
    )


def failed_row(sample: Sample, prompt: Prompt, view: View, terms: Terms, error: str) -> EpisodeRecord:
    """A match without result; it voids its group. It names whose edits would have been shown."""
    row = episode_row(sample, prompt, Shown(sample.image), None, terms, terms.group(0), 1, 0)
    return replace(row, attacker=author(view), outcome=Outcome.FAILED, error=error)


def group_of(
    sample: Sample,
    played: Sequence[tuple[EpisodeRecord, Shown | None]],
    sampling: attacker_pb2.EditSampling | None,
) -> Group:
    """Everything that one group appends. Rows that the ledger has already are left as they are."""
    shown = [image for _, image in played if image is not None]
    edits = tuple(image.edit for image in shown if image.edit is not None)
    paths = tuple(
        path_row(image.edit.edit_id, image.path, sampling)
        for image in shown
        if image.edit is not None and image.path is not None and sampling is not None
    )
    return Group((sample_row(sample),), edits, paths, tuple(episode for episode, _ in played))

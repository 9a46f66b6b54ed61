"""From our own values to those of the contract."""

from __future__ import annotations

from sparring.policies.config import AnswerSampling, EditSampling, Variant
from sparring.samples.sample import Sample
from sparring.v1 import attacker_pb2, defender_pb2, sample_pb2

VARIANTS: dict[Variant, attacker_pb2.SdeVariant] = {
    "ode": attacker_pb2.SDE_VARIANT_ODE,
    "flow_sde": attacker_pb2.SDE_VARIANT_FLOW_SDE,
    "cps": attacker_pb2.SDE_VARIANT_CPS,
    "dance": attacker_pb2.SDE_VARIANT_DANCE,
}


def to_sample(sample: Sample) -> sample_pb2.Sample:
    """The message that asks what `sample` asks."""
    targets = [
        sample_pb2.Target(
            name=target.name,
            box=sample_pb2.Box(x=target.box.x, y=target.box.y, width=target.box.width, height=target.box.height),
        )
        for target in sample.targets
    ]
    return sample_pb2.Sample(
        image=sample.image,
        question=sample.question,
        options=sample.options,
        answer=sample.answer,
        targets=targets,
        category=sample.category,
        source=sample.source,
        groups=[sample_pb2.Group(name=name, value=value) for name, value in sample.groups],
        unshuffled=not sample.shuffle,
    )


def to_edit_sampling(sampling: EditSampling) -> attacker_pb2.EditSampling:
    """The message for how edits are drawn."""
    return attacker_pb2.EditSampling(
        steps=sampling.steps,
        variant=VARIANTS[sampling.variant],
        noise_level=sampling.noise_level,
        window=sampling.window,
        window_first=sampling.window_first,
        window_last=sampling.window_last,
        guidance=sampling.guidance,
    )


def to_answer_sampling(sampling: AnswerSampling) -> defender_pb2.AnswerSampling:
    """The message for how answers are drawn."""
    return defender_pb2.AnswerSampling(temperature=sampling.temperature, max_tokens=sampling.max_tokens)

"""Between the attacker's messages and the values that its policy and its attacks work on."""

from __future__ import annotations

from pydantic import ValidationError

from sparring.attacker.procedural import Attacked
from sparring.attacker.space import NoRoom
from sparring.policies.config import EditSampling, Variant
from sparring.policies.policy import Edited, Trajectory
from sparring.samples.images import encode_png
from sparring.samples.sample import Box, Target
from sparring.serving.errors import InvalidRequest, Violation
from sparring.serving.reconciler import Pin
from sparring.serving.tensors import to_proto
from sparring.serving.weights import to_revision
from sparring.v1 import attacker_pb2

_VARIANTS: dict[attacker_pb2.SdeVariant, Variant] = {
    attacker_pb2.SDE_VARIANT_ODE: "ode",
    attacker_pb2.SDE_VARIANT_FLOW_SDE: "flow_sde",
    attacker_pb2.SDE_VARIANT_CPS: "cps",
    attacker_pb2.SDE_VARIANT_DANCE: "dance",
}
_KINDS = {"semantic": attacker_pb2.EDIT_KIND_SEMANTIC, "corruption": attacker_pb2.EDIT_KIND_CORRUPTION}


def to_sampling(message: attacker_pb2.EditSampling) -> EditSampling:
    """How to sample.

    Raises:
        InvalidRequest: its parts do not go together.
    """
    try:
        return EditSampling(
            steps=message.steps,
            variant=_VARIANTS[message.variant],
            noise_level=message.noise_level,
            window=message.window,
            window_first=message.window_first,
            window_last=message.window_last,
            guidance=message.guidance,
        )
    except ValidationError as error:
        raise InvalidRequest(
            [Violation(_path(detail["loc"]), detail["msg"], detail["type"]) for detail in error.errors()]
        ) from error


def _path(location: tuple[int | str, ...]) -> str:
    return ".".join(("learned", "sampling", *map(str, location)))


def to_targets(request: attacker_pb2.EditRequest) -> list[Target]:
    """The objects to keep off."""
    return [Target(t.name, Box(t.box.x, t.box.y, t.box.width, t.box.height)) for t in request.targets]


def learned_edit(index: int, made: Edited, pin: Pin, with_trajectory: bool) -> attacker_pb2.EditResponse:
    """The reply with one edit of the editor's."""
    edit = attacker_pb2.Edit(
        index=index,
        image=encode_png(made.image),
        revision=to_revision(pin),
        kind=attacker_pb2.EDIT_KIND_SEMANTIC,
        trajectory=to_trajectory(made.trajectory) if with_trajectory else None,
    )
    return attacker_pb2.EditResponse(edit=edit)


def procedural_edit(index: int, made: Attacked) -> attacker_pb2.EditResponse:
    """The reply with one edit made without a model."""
    edit = attacker_pb2.Edit(
        index=index, image=encode_png(made.image), kind=_KINDS[made.kind], affine=made.affine or ()
    )
    return attacker_pb2.EditResponse(edit=edit)


def no_edit(index: int, why: NoRoom) -> attacker_pb2.EditResponse:
    """The reply where an attack without a model found nothing to do."""
    return attacker_pb2.EditResponse(no_edit=attacker_pb2.NoEdit(index=index, kind=_KINDS[why.kind], reason=str(why)))


def to_trajectory(path: Trajectory) -> attacker_pb2.Trajectory:
    """How an edit was denoised."""
    return attacker_pb2.Trajectory(
        sigmas=to_proto(path.sigmas),
        start=path.start,
        latents=to_proto(path.latents),
        final=to_proto(path.final),
        logprobs=to_proto(path.logprobs),
    )

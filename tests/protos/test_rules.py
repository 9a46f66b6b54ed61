"""The rules that the contract states, as protovalidate reads them."""

from __future__ import annotations

import protovalidate
import pytest
from google.protobuf.message import Message

from sparring.v1 import attacker_pb2, defender_pb2, referee_pb2, revision_pb2, sample_pb2, tensor_pb2

SAMPLING = defender_pb2.AnswerSampling(temperature=1, max_tokens=16)
EDITING = attacker_pb2.EditSampling(
    steps=8, variant=attacker_pb2.SDE_VARIANT_CPS, noise_level=0.7, window=2, window_last=3, guidance=1
)
KEY = referee_pb2.MatchKey(match_id="demo/i0-attacker/3/0", campaign="demo", phase="i0-attacker")
NOISE = attacker_pb2.ProceduralAttack(name="noise")


def sample(**changes: object) -> sample_pb2.Sample:
    box = sample_pb2.Box(x=1, y=2, width=3, height=4)
    good = {"image": b"x", "question": "which?", "options": ["a", "b"], "answer": 1, "targets": [{"name": "it"}]}
    message = sample_pb2.Sample(**{**good, **changes})
    for target in message.targets:
        if not target.HasField("box"):
            target.box.CopyFrom(box)
    return message


def answering(**changes: object) -> defender_pb2.AnswerRequest:
    return defender_pb2.AnswerRequest(**{"image": b"x", "prompt": "?", "count": 4, "sampling": SAMPLING, **changes})


def playing(**changes: object) -> referee_pb2.PlayRequest:
    good = {"key": KEY, "sample": sample(), "learner": "LEARNER_NONE", "answers": 1, "sampling": SAMPLING}
    return referee_pb2.PlayRequest(**{**good, "original": {}, **changes})


def editing(**changes: object) -> attacker_pb2.EditRequest:
    learned = attacker_pb2.LearnedAttack(instruction="add a cat", sampling=EDITING)
    return attacker_pb2.EditRequest(**{"image": b"x", "seeds": [1, 2], "learned": learned, **changes})


def path(violation: protovalidate.Violation) -> str:
    """Dotted path of the field; empty for a rule over the whole message."""
    field = violation.proto.field
    return ".".join(element.field_name for element in field.elements) if field else ""


def violations(message: Message) -> set[tuple[str, str]]:
    """(path of the field, name of the rule) of each violation."""
    return {(path(violation), violation.proto.rule_id) for violation in protovalidate.collect_violations(message)}


@pytest.mark.parametrize(
    "message",
    [
        sample(),
        answering(),
        answering(sampling={"temperature": 0, "max_tokens": 1}),
        editing(),
        playing(),
        playing(original=None, recorded={"edit_ids": ["m/e0"]}),
        playing(original=None, fresh={"count": 8, "procedural": NOISE}),
        revision_pb2.Revision(),
        revision_pb2.Revision(name="demo/attacker/000012", digest="0f" * 32),
        tensor_pb2.Tensor(dtype="DTYPE_FLOAT32"),
        tensor_pb2.Tensor(dtype="DTYPE_INT32", shape=[0]),
    ],
    ids=lambda message: message.DESCRIPTOR.name,
)
def test_what_is_meant_is_allowed(message):
    assert violations(message) == set()


@pytest.mark.parametrize(
    ("message", "broken"),
    [
        (sample(image=b""), {("image", "bytes.min_len")}),
        (sample(options=["a", "a"]), {("options", "repeated.unique")}),
        (sample(options=[], answer=0), {("options", "repeated.min_items"), ("", "sample.answer")}),
        (sample(options=["a", ""]), {("options", "string.min_len")}),
        (sample(answer=2), {("", "sample.answer")}),
        (
            sample(targets=[{"name": "it", "box": {"x": float("nan"), "width": 1, "height": float("inf")}}]),
            {("targets.box.x", "float.finite"), ("targets.box.height", "float.finite")},
        ),
        (
            sample(targets=[{"name": "", "box": {"width": 0, "height": -1}}]),
            {("targets.name", "string.min_len"), ("targets.box.width", "float.gt"), ("targets.box.height", "float.gt")},
        ),
        (answering(count=0, sampling=None), {("count", "uint32.gte_lte"), ("sampling", "required")}),
        (
            answering(sampling={"temperature": float("nan"), "max_tokens": 0}),
            {("sampling.temperature", "double.gte_lte"), ("sampling.max_tokens", "uint32.gte_lte")},
        ),
        (editing(learned=None), {("attack", "required")}),
        (editing(seeds=[]), {("seeds", "repeated.min_items")}),
        (
            editing(learned={"instruction": "x", "sampling": {"steps": 1, "guidance": 0.5}}),
            {("learned.sampling.variant", "enum.not_in"), ("learned.sampling.guidance", "double.gte_lte")},
        ),
        (playing(original=None), {("view", "required")}),
        (playing(learner=0), {("learner", "enum.not_in")}),
        (playing(learner=77), {("learner", "enum.defined_only")}),
        (playing(key={"match_id": "a b", "campaign": "c", "phase": "p"}), {("key.match_id", "string.pattern")}),
        (revision_pb2.Revision(digest="0F" * 32), {("digest", "string.pattern")}),
        (tensor_pb2.Tensor(shape=[-1]), {("dtype", "enum.not_in"), ("shape", "int64.gte")}),
    ],
)
def test_what_is_wrong_is_named(message, broken):
    assert violations(message) == broken


def test_the_element_of_a_list_is_named():
    (violation,) = protovalidate.collect_violations(sample(targets=[{"name": "it"}, {"name": ""}]))
    first, second = violation.proto.field.elements
    assert (first.field_name, first.subscript.value, second.field_name) == ("targets", 1, "name")

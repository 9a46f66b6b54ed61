"""Which endpoint a check is about, and by whose rules it is called."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from google.protobuf.json_format import MessageToDict
from pydantic import TypeAdapter, ValidationError

from sparring.referee.targets.config import TargetConfig, TargetsConfig
from sparring.serving.errors import InvalidRequest, Violation
from sparring.v1 import checks_pb2

KINDS = {"chat": "openai", "inference": "oip"}
_TARGET: TypeAdapter[TargetConfig] = TypeAdapter(TargetConfig)


@dataclass(frozen=True)
class Endpoint:
    """How a model that is not ours is called, and what that may make this process do."""

    target: TargetConfig
    rules: TargetsConfig


def to_endpoint(model: checks_pb2.TestedModel, rules: TargetsConfig) -> Endpoint | None:
    """The endpoint under test; None if it is our own defender.

    What a caller describes must be on the allow-list. What the configuration names is called as it says there.

    Raises:
        InvalidRequest: its settings make no sense together, or there is none of that name.
    """
    kind = model.WhichOneof("model")
    if kind == "defender":
        return None
    if kind in KINDS:
        return Endpoint(_described(model, kind), rules)
    if model.endpoint not in rules.named:
        known = ", ".join(sorted(rules.named)) or "none"
        message = f"the referee knows no endpoint {model.endpoint!r}; it knows {known}"
        raise InvalidRequest([Violation("spec.model.endpoint", message, "check.endpoint")])
    target = rules.named[model.endpoint]
    return Endpoint(target, TargetsConfig.only(target, rules.cache))


def _described(model: checks_pb2.TestedModel, kind: str) -> TargetConfig:
    told = MessageToDict(getattr(model, kind), preserving_proto_field_name=True)
    calling = told.pop("calling")
    if "parameters" in told:
        told["parameters"] = {name: called or None for name, called in told["parameters"].items()}
    try:
        return _TARGET.validate_python({"kind": KINDS[kind], **calling, **told})
    except ValidationError as error:
        raise InvalidRequest([*_violations(error, f"spec.model.{kind}", set(calling))]) from error


def _violations(error: ValidationError, place: str, calling: set[str]) -> Iterator[Violation]:
    for detail in error.errors():
        # The first part of the location is the kind that pydantic chose by.
        path = [str(part) for part in detail["loc"][1:]]
        inner = ["calling", *path] if path and path[0] in calling else path
        yield Violation(".".join([place, *inner]), detail["msg"], detail["type"])

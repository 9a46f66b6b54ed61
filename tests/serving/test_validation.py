from __future__ import annotations

import pytest

from sparring.serving.errors import InvalidRequest
from sparring.serving.validation import check
from sparring.v1 import attacker_pb2, sample_pb2


def request() -> attacker_pb2.EditRequest:
    return attacker_pb2.EditRequest(image=b"x", seeds=[1], procedural=attacker_pb2.ProceduralAttack(name="noise"))


def box(width: float) -> sample_pb2.Target:
    return sample_pb2.Target(name="a cat", box=sample_pb2.Box(x=0, y=0, width=width, height=1))


def test_what_keeps_the_rules_passes():
    check(request())


def test_the_path_leads_into_lists():
    bad = request()
    bad.targets.extend([box(1), box(float("nan")), box(-1)])
    with pytest.raises(InvalidRequest) as caught:
        check(bad)
    assert {violation.field for violation in caught.value.violations} == {
        "targets[1].box.width",
        "targets[2].box.width",
    }


def test_a_oneof_and_a_rule_over_the_whole_message_are_named():
    bad = request()
    bad.ClearField("procedural")
    with pytest.raises(InvalidRequest) as caught:
        check(bad)
    assert [violation.field for violation in caught.value.violations] == ["attack"]
    sample = sample_pb2.Sample(image=b"x", question="?", options=["a", "b"], answer=2)
    with pytest.raises(InvalidRequest, match="request: answer must be an index into options"):
        check(sample)

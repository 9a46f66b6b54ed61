from __future__ import annotations

import pytest

from sparring.attacker.attacks.add import add
from sparring.attacker.attacks.geometry import crop
from sparring.attacker.procedural import UnknownAttack, find_attack


def test_attacks_are_found_by_name():
    assert find_attack("add") is add
    assert find_attack("crop") is crop
    with pytest.raises(UnknownAttack, match=r"'sing'; there are \['add', 'blur', 'crop', .*'shift'\]"):
        find_attack("sing")

from __future__ import annotations

from sparring.attacker.controls import Controls


def test_keeps_what_was_used_last_within_its_size():
    controls = Controls(10)
    controls.keep(b"a", b"1234")
    controls.keep(b"b", b"5678")
    assert controls.find(b"a") == b"1234"
    controls.keep(b"c", b"9012")
    assert [controls.find(original) for original in (b"a", b"b", b"c")] == [b"1234", None, b"9012"]


def test_keeping_one_twice_counts_it_once():
    controls = Controls(8)
    for _ in range(3):
        controls.keep(b"a", b"1234")
    controls.keep(b"b", b"5678")
    assert controls.find(b"a") == b"1234"


def test_one_that_is_too_large_is_not_kept():
    controls = Controls(3)
    controls.keep(b"a", b"1234")
    assert controls.find(b"a") is None

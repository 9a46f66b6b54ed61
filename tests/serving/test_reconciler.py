from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from sparring.ledgers.errors import InvalidName, UnknownRevision
from sparring.ledgers.records import RevisionName
from sparring.ledgers.weights import WeightsLedger
from sparring.serving.config import WeightsConfig
from sparring.serving.errors import DigestMismatch, NotResident, WrongRole
from sparring.serving.reconciler import Installs, Phase, Pin, Reconciler


@pytest.fixture
def make(
    ledger: WeightsLedger, shelf: Installs, registry: CollectorRegistry, tmp_path: Path
) -> Callable[..., Reconciler]:
    def reconciler(*, serve_base: bool = False) -> Reconciler:
        (tmp_path / "cache").mkdir()
        config = WeightsConfig(cache=str(tmp_path / "cache"), serve_base=serve_base)
        return Reconciler(ledger, shelf, "defender", config, registry)

    return reconciler


async def until(condition: Callable[[], bool]) -> None:
    while not condition():
        await asyncio.sleep(0.001)


async def settled(reconciler: Reconciler) -> None:
    await until(lambda: reconciler.state.phase is not Phase.LOADING)


def bound(reconciler: Reconciler, shelf: Installs, name: str = "", digest: str = "") -> tuple[Pin, bytes]:
    with reconciler.bind(name, digest) as found:
        return found.pin, shelf.held[found.handle]


async def test_goes_from_nothing_to_its_target(make, publish, shelf, tmp_path):
    first, second = publish(1), publish(2)
    async with make() as reconciler:
        assert reconciler.state.phase is Phase.LOADING
        assert not reconciler.ready.is_set()
        with pytest.raises(NotResident, match="none yet"):
            bound(reconciler, shelf)
        await reconciler.aim(second, [first])
        await settled(reconciler)
        state = reconciler.state
        assert (state.phase, state.active, state.resident, state.target) == (Phase.READY, second, (first,), second)
        assert reconciler.ready.is_set()
        assert bound(reconciler, shelf) == (second, b"weights 2")
        assert bound(reconciler, shelf, first.name, first.digest) == (first, b"weights 1")
    assert list((tmp_path / "cache").iterdir()) == []


async def test_what_is_no_longer_wanted_is_removed(make, publish, shelf):
    first, second, third = publish(1), publish(2), publish(3)
    async with make() as reconciler:
        await reconciler.aim(first)
        await settled(reconciler)
        await reconciler.aim(third, [second])
        await settled(reconciler)
        await until(lambda: set(shelf.held.values()) == {b"weights 2", b"weights 3"})
        with pytest.raises(NotResident, match=r"c/defender/000001.*c/defender/000002.*c/defender/000003"):
            bound(reconciler, shelf, first.name)


async def test_one_that_comes_back_is_loaded_under_a_new_name(make, publish, shelf):
    first, second = publish(1), publish(2)
    async with make() as reconciler:
        for pin in (first, second, first):
            await reconciler.aim(pin)
            await settled(reconciler)
        assert bound(reconciler, shelf) == (first, b"weights 1")
        await until(lambda: list(shelf.held.values()) == [b"weights 1"])


async def test_the_old_one_serves_until_the_new_one_is_there_and_stays_for_those_it_is_bound_to(make, publish, shelf):
    first, second = publish(1), publish(2)
    async with make() as reconciler:
        await reconciler.aim(first)
        await settled(reconciler)
        with reconciler.bind("", "") as running:
            shelf.gate.clear()
            shelf.entered.clear()
            await reconciler.aim(second)
            await shelf.entered.wait()
            assert reconciler.state.phase is Phase.LOADING
            assert bound(reconciler, shelf) == (first, b"weights 1")
            shelf.gate.set()
            await settled(reconciler)
            assert bound(reconciler, shelf) == (second, b"weights 2")
            assert shelf.held[running.handle] == b"weights 1"
        await until(lambda: list(shelf.held.values()) == [b"weights 2"])


async def test_a_new_target_overtakes_one_that_is_loading(make, publish, shelf):
    first, second, third = publish(1), publish(2), publish(3)
    async with make() as reconciler:
        shelf.gate.clear()
        await reconciler.aim(first, [second])
        await shelf.entered.wait()
        await reconciler.aim(third)
        shelf.gate.set()
        await settled(reconciler)
        assert bound(reconciler, shelf) == (third, b"weights 3")
        await until(lambda: list(shelf.held.values()) == [b"weights 3"])
        assert not any("000002" in name for name in shelf.used)


async def test_a_file_that_is_not_what_its_manifest_says_fails_and_the_last_one_serves(
    make, publish, shelf, registry, tmp_path
):
    first, second = publish(1), publish(2)
    file = tmp_path / "root" / "weights" / second.name / "model.safetensors"
    file.write_bytes(b"weights X")
    async with make() as reconciler:
        await reconciler.aim(first)
        await settled(reconciler)
        await reconciler.aim(second)
        await settled(reconciler)
        state = reconciler.state
        assert (state.phase, state.active, state.target) == (Phase.FAILED, first, second)
        assert "sha256" in state.error
        assert "model.safetensors" in state.error
        assert bound(reconciler, shelf) == (first, b"weights 1")
        assert registry.get_sample_value("sparring_weights_failed_total") == 1
        file.write_bytes(b"weights 2")
        await reconciler.aim(second)
        await settled(reconciler)
        assert bound(reconciler, shelf) == (second, b"weights 2")
        assert reconciler.state.error == ""


@pytest.mark.parametrize("manifest", ["no json", '{"campaign": "c"}'])
async def test_a_corrupt_manifest_fails(make, publish, tmp_path, manifest):
    pin = publish(1)
    (tmp_path / "root" / "weights" / pin.name / "manifest.json").write_text(manifest)
    async with make() as reconciler:
        await reconciler.aim(Pin(pin.name))
        await settled(reconciler)
        assert reconciler.state.phase is Phase.FAILED
        assert "manifest.json" in reconciler.state.error
        assert not reconciler.ready.is_set()


async def test_weights_that_do_not_load_fail(make, publish, shelf):
    first, poison = publish(1), publish(2, b"poison")
    async with make() as reconciler:
        await reconciler.aim(first)
        await settled(reconciler)
        await reconciler.aim(first, [poison])
        await settled(reconciler)
        assert reconciler.state.error == "RuntimeError: these are no weights"
        assert bound(reconciler, shelf) == (first, b"weights 1")


@pytest.mark.parametrize(
    ("name", "digest", "error"),
    [
        ("c/defender/000009", "", UnknownRevision),
        ("../../etc/passwd", "", InvalidName),
        ("c/defender/000001", "0" * 64, DigestMismatch),
        ("c/attacker/000001", "", WrongRole),
    ],
)
async def test_a_target_that_can_not_be_meant_is_refused_at_once(make, publish, shelf, name, digest, error):
    first = publish(1)
    publish(1, role="attacker")
    async with make() as reconciler:
        await reconciler.aim(first)
        await settled(reconciler)
        with pytest.raises(error):
            await reconciler.aim(Pin(RevisionName(name), digest))
        assert reconciler.state.phase is Phase.READY
        assert bound(reconciler, shelf) == (first, b"weights 1")


async def test_another_digest_than_the_caller_means_is_refused(make, publish, shelf):
    first = publish(1)
    async with make() as reconciler:
        await reconciler.aim(first)
        await settled(reconciler)
        for name in ("", first.name):
            with pytest.raises(DigestMismatch, match=first.digest):
                bound(reconciler, shelf, name, "0" * 64)


async def test_the_base_serves_until_there_is_a_target(make, publish, shelf):
    first = publish(1)
    async with make(serve_base=True) as reconciler:
        assert reconciler.ready.is_set()
        with reconciler.bind("", "") as base:
            assert (base.handle, base.pin) == ("base", Pin(RevisionName("base")))
            assert reconciler.state.phase is Phase.READY
            await reconciler.aim(first)
            await settled(reconciler)
        assert bound(reconciler, shelf) == (first, b"weights 1")
        with pytest.raises(NotResident):
            bound(reconciler, shelf, "base")


async def test_counts_what_is_loaded_and_says_what_is_active(make, publish, registry):
    first, second = publish(1), publish(2)
    async with make() as reconciler:
        await reconciler.aim(second, [first])
        await settled(reconciler)
    active = {"revision": second.name, "digest": second.digest}
    assert registry.get_sample_value("sparring_weights_active_info", active) == 1
    assert registry.get_sample_value("sparring_weights_resident") == 2
    assert registry.get_sample_value("sparring_weights_load_seconds_count") == 2

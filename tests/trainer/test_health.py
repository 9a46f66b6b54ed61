"""Training health as Prometheus reads it."""

from __future__ import annotations

from urllib.request import urlopen

from prometheus_client.parser import text_string_to_metric_families

from sparring.trainer.health import DESCRIPTIONS, Clock, Gauges
from tests.trainer.conftest import CAMPAIGN, PHASE, Arena


def read(port: int) -> dict[str, float]:
    with urlopen(f"http://127.0.0.1:{port}/metrics") as response:
        families = list(text_string_to_metric_families(response.read().decode()))
    samples = [sample for family in families for sample in family.samples]
    labels = {"campaign": CAMPAIGN, "phase": PHASE, "role": "defender"}
    return {
        sample.name.removeprefix("sparring_trainer_"): sample.value for sample in samples if sample.labels == labels
    }


def test_numbers_of_the_last_step_are_served(arena: Arena) -> None:
    gauges = Gauges(arena.config(metrics_port=0))
    assert gauges.port is not None
    gauges.show({"loss": 1.5, "kl": 0.25})
    gauges.show({"loss": 0.5, "kl": None})
    found = read(gauges.port)
    assert found["loss"] == 0.5
    assert found["kl"] == 0.25
    assert found["steps_total"] == 2


def test_nothing_is_served_unless_asked_for(arena: Arena) -> None:
    assert Gauges(arena.config()).port is None


def test_every_number_has_a_description(arena: Arena) -> None:
    names = {name for manifest in arena.train() for name in manifest.metrics}
    assert {name for name in names if not name.startswith("seconds_")} <= DESCRIPTIONS.keys()


def test_the_clock_starts_anew_when_it_is_read() -> None:
    clock = Clock()
    for _ in range(2):
        with clock.part("load"):
            pass
    assert clock.read()["seconds_load"] > 0
    assert clock.read() == {}

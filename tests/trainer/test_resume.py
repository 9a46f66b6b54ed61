"""A trainer that dies anywhere in a step is taken up where the ledgers say.

Death is an exception that nothing catches, for speed: what it leaves on disk is what SIGKILL leaves there. The real
signal, to a whole process tree, is in `test_torchrun`.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from sparring.ledgers.manifest import CLAIM, MANIFEST
from sparring.ledgers.weights import WeightsLedger
from sparring.ops.window import Window
from sparring.policies.config import Adapter, MllmConfig
from sparring.trainer.engine import Engine
from sparring.trainer.sides.answers import Answers
from tests.trainer.conftest import FIRST, Arena, Tensors, apart

STEPS = 4


class Death(BaseException):
    """The process is gone."""


def dies_before(*arguments: object) -> None:
    raise Death


def half_a_checkpoint(engine: Engine, folder: Path, tag: str) -> None:
    (folder / tag).mkdir()
    (folder / tag / "mp_rank_00_model_states.pt").write_bytes(b"half")
    raise Death


def dies_after(method: Callable[..., object]) -> Callable[..., object]:
    def last(*arguments: object, **options: object) -> None:
        method(*arguments, **options)
        raise Death

    return last


def creates(file: str, end: Callable[..., object]) -> Callable[..., object]:
    """`WeightsLedger._create` that dies on one of the two files."""
    method = WeightsLedger._create

    def create(ledger: WeightsLedger, revision: object, name: str, data: bytes) -> None:
        (end if name == file else method)(ledger, revision, name, data)

    return create


POINTS = {
    "before the optimizer": (Engine, "step", dies_before),
    "after the optimizer": (Engine, "step", dies_after(Engine.step)),
    "within the checkpoint": (Engine, "save", half_a_checkpoint),
    "after the checkpoint": (Engine, "save", dies_after(Engine.save)),
    "after the export": (Answers, "export", dies_after(Answers.export)),
    "after the claim": (WeightsLedger, "_create", creates(CLAIM, dies_after(WeightsLedger._create))),
    "before the manifest": (WeightsLedger, "_create", creates(MANIFEST, dies_before)),
    "after the manifest": (WeightsLedger, "_create", creates(MANIFEST, dies_after(WeightsLedger._create))),
}


@pytest.fixture(scope="module")
def expected() -> dict[int, Tensors]:
    """Final weights of a trainer that nobody killed, made by the first test that asks."""
    return {}


@pytest.mark.parametrize("point", POINTS)
def test_killed_in_the_third_step(
    make_arena: Callable[[], Arena], expected: dict[int, Tensors], point: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not expected:
        whole = make_arena()
        expected[0] = whole.tensors(whole.train(steps=STEPS)[-1].name)
    arena = make_arena()
    die_in_step(3, point, arena, monkeypatch, every=1)
    arena.train(steps=STEPS)
    check_chain(arena)
    assert apart(arena.tensors(arena.steps[-1].name), expected[0], arena.tensors(FIRST)) < 1e-3


@pytest.mark.parametrize(
    ("step", "point"),
    [
        (2, "after the checkpoint"),
        *((step, p) for step in (2, 3) for p in ("after the optimizer", "after the manifest")),
    ],
)
def test_killed_between_checkpoints(arena: Arena, step: int, point: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Steps since the last checkpoint are abandoned, so another chain may be trained on their groups."""
    die_in_step(step, point, arena, monkeypatch, every=2)
    before = arena.steps
    after = arena.train(steps=STEPS, checkpoint_every=2)[len(before) :]
    kept = 2 if any(manifest.step == 2 for manifest in before) else 0
    lost = before[kept:]
    assert [manifest.step for manifest in after] == [kept] * bool(lost) + list(range(kept + 1, STEPS + 1))
    if lost:
        published = arena.weights.manifest(before[kept - 1].name if kept else FIRST)
        assert (after[0].parent, after[0].consumed) == (published.name, ())
        assert after[0].checkpoint == published.checkpoint
        assert after[0].files["model.safetensors"] == published.files["model.safetensors"]
    check_chain(arena)


def test_matches_are_played_again_after_steps_were_lost(arena: Arena, monkeypatch: pytest.MonkeyPatch) -> None:
    """The conductor's window was full of groups by revisions that are abandoned now."""
    die_in_step(4, "after the optimizer", arena, monkeypatch, every=2)
    books = Window(batch=2, staleness=1, steps=STEPS, lineage=[FIRST])
    for manifest in arena.steps:
        books.train(manifest.step, manifest.name, ())
    for slot in range(2):
        books.accept(slot, books.newest)
    assert (books.done, books.room) == (3, 0)
    number = arena.steps[-1].number
    again, *_ = arena.train(steps=STEPS, checkpoint_every=2)[3:]
    assert (again.number, again.step) == (number + 1, 2)
    books.train(again.step, again.name, ())
    assert (books.done, books.newest, books.pending, books.room) == (2, again.name, 0, 4)


def die_in_step(step: int, point: str, arena: Arena, monkeypatch: pytest.MonkeyPatch, every: int) -> None:
    """Train until `point` of a step, where the process ends."""
    owner, name, deadly = POINTS[point]
    method = getattr(owner, name)

    def sound_until(*arguments: object, **options: object) -> object:
        due = len(arena.steps) == step - 1
        return (deadly if due else method)(*arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(owner, name, sound_until)
        with pytest.raises(Death):
            arena.train(steps=STEPS, checkpoint_every=every)


def check_chain(arena: Arena) -> None:
    """Nothing is trained on twice, steps continue, numbers only rise."""
    *steps, first = arena.weights.lineage(arena.steps[-1].name)
    assert first.name == FIRST
    steps.reverse()
    taught = [manifest for manifest in steps if manifest.consumed]
    assert [manifest.step for manifest in taught] == list(range(1, STEPS + 1))
    consumed = [group for manifest in steps for group in manifest.consumed]
    assert len(set(consumed)) == len(consumed) == 2 * STEPS
    numbers = [manifest.number for manifest in arena.steps]
    assert len(set(numbers)) == len(numbers)
    assert [manifest.number for manifest in steps] == sorted(manifest.number for manifest in steps)


def test_a_checkpoint_of_an_adapter_leaves_out_the_base_and_is_taken_up(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    policy = MllmConfig(base=str(base), adapter=Adapter(rank=2, alpha=4, targets=("q_proj",)))
    broken, whole = (Arena(tmp_path / name, policy) for name in ("broken", "whole"))
    for arena in (broken, whole):
        arena.found()
        arena.play(8)
    die_in_step(3, "after the optimizer", broken, monkeypatch, every=1)
    checkpoint = Path(broken.config().checkpoints) / "000002"
    assert sum(file.stat().st_size for file in checkpoint.iterdir()) < 100_000
    newest = broken.train(steps=STEPS)[-1].name
    expected = whole.tensors(whole.train(steps=STEPS)[-1].name)
    assert apart(broken.tensors(newest), expected, broken.tensors(FIRST)) < 1e-3


def test_checkpoints_that_nobody_needs_are_removed(arena: Arena, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = Path(arena.config().checkpoints)
    (folder / "000077").mkdir(parents=True)
    die_in_step(4, "after the optimizer", arena, monkeypatch, every=1)
    assert {file.name for file in folder.iterdir() if file.is_dir()} == {"000002", "000003", "export"}
    arena.train(steps=STEPS)
    assert not folder.exists()

"""The attacker's phases on the small editor: recorded steps, final latents, exact pairs."""

from __future__ import annotations

import tempfile
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest

from sparring.ledgers.episodes import EpisodeLedger
from sparring.ledgers.manifest import Draft, Manifest
from sparring.ledgers.records import (
    EditId,
    EditRecord,
    EpisodeId,
    EpisodeRecord,
    Group,
    GroupId,
    Kind,
    Learner,
    Outcome,
    Purpose,
    RevisionName,
    SampleId,
    SampleRecord,
    TrajectoryRecord,
    VerdictRecord,
)
from sparring.ledgers.storage import Storage
from sparring.ledgers.weights import WeightsLedger
from sparring.policies.config import EditorConfig, EditSampling
from sparring.policies.editor import Editor
from sparring.policies.policy import Edited, Order
from sparring.policies.residents import BASE
from sparring.samples.images import encode_png
from sparring.samples.pairs import instruct
from sparring.samples.shapes import Shapes, World, render
from sparring.trainer.config import TrainerConfig
from sparring.trainer.errors import Unusable
from sparring.trainer.feed import TrainGroup
from sparring.trainer.phase import train
from sparring.trainer.sides.edits import load_edits

POLICY = EditorConfig(base=str(files("sparring.ops") / "small" / "editor"))
SAMPLING = EditSampling(steps=4, window=2, window_last=1)
FIRST = RevisionName("c/attacker/000000")
EDITS = 3
REWARDS = (0.0, 0.25, 1.0)


@pytest.fixture(scope="module")
def editor() -> Editor:
    return Editor(POLICY)


@pytest.fixture
def weights(editor: Editor, tmp_path: Path) -> WeightsLedger:
    ledger = WeightsLedger(tmp_path)
    with tempfile.TemporaryDirectory() as folder:
        editor.export(Path(folder))
        draft = Draft(campaign="c", role="attacker", number=0, layout="full", base=POLICY.base)
        ledger.publish(Path(folder), draft)
    return ledger


@pytest.fixture
def played(editor: Editor, weights: WeightsLedger, tmp_path: Path) -> Path:
    """Ledgers with four groups of edits by the first revision."""
    shapes = Shapes(World(bystanders=(1, 2)), 0, "test")
    for number in range(4):
        scene = shapes.scene(number)
        orders = [Order(render(scene), instruct("add", scene), 10 * number + index) for index in range(EDITS)]
        edits = [edited for (edited,) in editor.rollout(orders, SAMPLING, BASE)]
        EpisodeLedger(tmp_path).append_group(group(f"g{number}", orders, edits))
    return tmp_path


def group(name: str, orders: list[Order], edits: list[Edited]) -> Group:
    sample = SampleRecord(SampleId(f"s-{name}"), encode_png(orders[0].image), "?", ("l", "r"), 0, (), "", "")
    ids = [EditId(f"{name}/e{index}") for index in range(EDITS)]
    records = tuple(
        EditRecord(
            *(edit_id, sample.sample_id, FIRST, "", order.instruction, order.seed, Kind.SEMANTIC, None),
            image=encode_png(edited.image),
            verdict=VerdictRecord(True, (), ()),
        )
        for edit_id, order, edited in zip(ids, orders, edits, strict=True)
    )
    paths = tuple(
        TrajectoryRecord(edit_id=edit_id, **vars(edited.trajectory)) for edit_id, edited in zip(ids, edits, strict=True)
    )
    return Group((sample,), records, paths, tuple(episode(name, index) for index in range(EDITS)))


def episode(name: str, index: int) -> EpisodeRecord:
    return EpisodeRecord(
        episode_id=EpisodeId(f"{name}/{index}"),
        sample_id=SampleId(f"s-{name}"),
        edit_id=EditId(f"{name}/e{index}"),
        prompt="?",
        option_order=(0, 1),
        temperature=1,
        defender="c/defender/000000",
        defender_digest="",
        attacker=FIRST,
        answers=(),
        rewards=(REWARDS[index],),
        purpose=Purpose.TRAIN,
        campaign="c",
        phase="i1-attacker",
        learner=Learner.ATTACKER,
        group_id=GroupId(name),
        group_size=EDITS,
        index=index,
        outcome=Outcome.PLAYED if REWARDS[index] else Outcome.REJECTED,
    )


def run(root: Path, objective: dict[str, object], **changes: object) -> list[Manifest]:
    values: dict[str, object] = {
        "storage": Storage(root=str(root)),
        "campaign": "c",
        "phase": "i1-attacker",
        "role": "attacker",
        "policy": POLICY,
        "sampling": SAMPLING,
        "start": FIRST,
        "steps": 2,
        "groups": 2,
        "objective": objective,
        "optimizer": {"rate": 1e-4},
        "engine": {"micro_batch": 4},
        "limits": {"starve_seconds": 1},
        "checkpoints": str(root / "checkpoints"),
    }
    train(TrainerConfig.model_validate(values | changes))
    return WeightsLedger(root).revisions("c", "attacker", after=0)


def test_flow_grpo_makes_good_edits_likelier(played: Path, editor: Editor) -> None:
    objective = {"kind": "flow_grpo", "clip": 0.01, "kl": 0.01}
    first, second = run(played, objective, updates=2)
    assert first.metrics["mismatch_mean"] < 1e-5
    assert first.metrics["kl_start"] >= 0
    assert second.metrics["kl_start"] > 0
    assert first.metrics["validity"] == pytest.approx(2 / 3)
    assert first.metrics["staleness"] == 0
    assert second.metrics["staleness"] == 1
    gain = likelier(played, editor, first.name)
    assert np.corrcoef(np.tile(REWARDS, 2), gain)[0, 1] > 0.5


def likelier(root: Path, editor: Editor, name: RevisionName) -> list[float]:
    """How much more probable a revision finds the edits of the first two groups than those who made them did."""
    ledger = EpisodeLedger(root)
    found = ledger.get_groups([GroupId("g0"), GroupId("g1")])
    groups = [TrainGroup(key, found[key], lag=0) for key in sorted(found)]
    rows = load_edits(ledger, groups, [np.zeros(EDITS, dtype=np.float32)] * 2)
    editor.install(name, WeightsLedger(root).fetch(name, None, root / "cache"))
    scored = editor.logprob([row.order for row in rows], [row.edited for row in rows], SAMPLING, name)
    editor.remove(name)
    before = np.stack([row.edited.trajectory.logprobs for row in rows])
    return (scored.logprob.numpy() - before).sum(1).tolist()


def test_nft_learns_from_final_latents(played: Path) -> None:
    first, second = run(played, {"kind": "nft", "kl": 0.01}, updates=2)
    assert "mismatch_mean" not in first.metrics, "it needs no log-probabilities"
    assert first.metrics["kl"] > 0, "of the second update"
    assert second.metrics["kl_start"] > 0
    assert np.isfinite(first.metrics["loss"])


def test_steps_that_were_never_recorded_cannot_be_learnt_from(played: Path) -> None:
    EpisodeLedger(played).expire_trajectories("c", "i1-attacker")
    with pytest.raises(Unusable, match=r"edit g0/e0 \(6 in all\) has no trajectory"):
        run(played, {"kind": "flow_grpo"})


def test_warm_up_comes_closer_to_exact_edits(weights: WeightsLedger, tmp_path: Path) -> None:
    objective = {"kind": "sft", "dataset": "shapes:train?bystanders=1-2", "edits": ["recolour"]}
    manifests = run(tmp_path, objective, sampling=None, steps=6, groups=16, optimizer={"rate": 1e-3})
    losses = [manifest.metrics["loss"] or 0 for manifest in manifests]
    assert np.mean(losses[3:]) < np.mean(losses[:3])
    assert {manifest.consumed for manifest in manifests} == {()}

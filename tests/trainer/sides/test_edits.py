"""The attacker's objectives over a real editor and ledger, with pictures of different shapes."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from sparring.ledgers.episodes import EpisodeLedger
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
    SampleId,
    SampleRecord,
    TrajectoryRecord,
    VerdictRecord,
)
from sparring.policies.config import EditorConfig, EditSampling
from sparring.policies.editor import Editor
from sparring.policies.policy import Order
from sparring.samples.images import encode_png
from sparring.trainer.config import FlowGrpo, Nft
from sparring.trainer.feed import TrainGroup
from sparring.trainer.sides.edits import EditsByGrpo
from sparring.trainer.sides.nft import EditsByNft
from sparring.trainer.sides.side import Side

SAMPLING = EditSampling(steps=4, window=2, window_first=0, window_last=1)
REWARDS = (0.0, 1.0, 1 / 3)
SHAPES = ((64, 64), (48, 96))


@pytest.fixture(scope="module")
def folder() -> Path:
    return Path(str(files("sparring.ops") / "small" / "editor"))


@pytest.fixture(scope="module")
def editor(folder: Path) -> Editor:
    return Editor(EditorConfig(base=str(folder)))


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory, editor: Editor) -> EpisodeLedger:
    """A group of edits of each of two pictures, made by the editor as it is."""
    made = EpisodeLedger(tmp_path_factory.mktemp("ledger"))
    rng = np.random.default_rng(0)
    made.append_groups([played(editor, f"g{index}", rng, shape) for index, shape in enumerate(SHAPES)])
    return made


def played(editor: Editor, name: str, rng: np.random.Generator, shape: tuple[int, int]) -> Group:
    image = rng.integers(0, 256, (*shape, 3), dtype=np.uint8)
    orders = [Order(image, "add an object away from the red circle", seed=seed) for seed in range(len(REWARDS))]
    sample = SampleRecord(SampleId(f"s-{name}"), encode_png(image), "Where?", ("left", "right"), 0, (), "", "s:1")
    edits, paths, episodes = [], [], []
    for order, reward, (edit,) in zip(orders, REWARDS, editor.rollout(orders, SAMPLING, "base"), strict=True):
        edit_id, path = EditId(f"{name}/e{order.seed}"), edit.trajectory
        edits.append(
            EditRecord(
                edit_id,
                sample.sample_id,
                "c/attacker/000000",
                "ab" * 32,
                order.instruction,
                order.seed,
                Kind.SEMANTIC,
                None,
                encode_png(edit.image),
                VerdictRecord(True, (), ()),
            )
        )
        paths.append(TrajectoryRecord(edit_id, **vars(path)))
        episodes.append(to_episode(name, sample.sample_id, edit_id, order.seed, reward))
    return Group((sample,), tuple(edits), tuple(paths), tuple(episodes))


def to_episode(name: str, sample: SampleId, edit: EditId, index: int, reward: float) -> EpisodeRecord:
    return EpisodeRecord(
        episode_id=EpisodeId(f"{name}/{index}"),
        sample_id=sample,
        edit_id=edit,
        prompt="Where?",
        option_order=(0, 1),
        temperature=1.0,
        defender="c/defender/000000",
        defender_digest="",
        attacker="c/attacker/000000",
        answers=(),
        rewards=(reward,),
        purpose=Purpose.TRAIN,
        campaign="c",
        phase="i1-attacker",
        learner=Learner.ATTACKER,
        group_id=GroupId(name),
        group_size=len(REWARDS),
        index=index,
        outcome=Outcome.PLAYED if reward else Outcome.REJECTED,
    )


def groups(ledger: EpisodeLedger) -> list[TrainGroup]:
    found = ledger.get_groups([GroupId("g0"), GroupId("g1")])
    return [TrainGroup(name, found[name], 0) for name in sorted(found)]


def gradients(editor: Editor, side: Side[Any, Any], parts: Sequence[Sequence[Any]]) -> tuple[float, torch.Tensor]:
    """Loss, and gradient with respect to all weights, of rows that are gone through in parts."""
    editor.learner().zero_grad()
    loss = 0.0
    for rows in parts:
        part = side.part(rows)
        part.loss.backward()
        loss += part.loss.item()
    found = [parameter.grad.flatten() for _, parameter in editor.trainable() if parameter.grad is not None]
    editor.learner().zero_grad()
    return loss, torch.cat(found)


def disturb(editor: Editor) -> None:
    """Take a step away from the policy that sampled."""
    torch.manual_seed(0)
    with torch.no_grad():
        for _, parameter in editor.trainable():
            parameter.add_(1e-3 * torch.randn_like(parameter))


@pytest.mark.parametrize("objective", [FlowGrpo(kl=0.5, clip=0.05), Nft(kl=0.1), Nft(spread="batch")])
def test_micro_batches_change_nothing(folder: Path, ledger: EpisodeLedger, objective: FlowGrpo | Nft) -> None:
    editor = Editor(EditorConfig(base=str(folder)))
    side: Side[Any, Any] = (
        EditsByGrpo(editor, ledger, SAMPLING, objective)
        if isinstance(objective, FlowGrpo)
        else EditsByNft(editor, ledger, objective, seed=0, single=False)
    )
    side.adopt(folder / "transformer")
    rows = side.rows(groups(ledger), range(2), 1)
    disturb(editor)
    loss, gradient = gradients(editor, side, [rows])
    for parts in ([rows[:1], rows[1:4], rows[4:]], [rows[3:], rows[:3]]):
        again, other = gradients(editor, side, parts)
        assert again == pytest.approx(loss, rel=1e-4, abs=1e-5)
        assert (other - gradient).norm() < 1e-3 * gradient.norm()
    assert "kl_start" not in side.part(rows).sums or side.part(rows).sums["kl_start"] > 0


def test_in_a_step_of_one_update_the_learner_is_the_old_policy(editor: Editor, ledger: EpisodeLedger) -> None:
    found = []
    for single in (True, False):
        side = EditsByNft(editor, ledger, Nft(kl=0), seed=0, single=single)
        found.append(gradients(editor, side, [side.rows(groups(ledger), range(2), 1)]))
    assert found[0][0] == pytest.approx(found[1][0], rel=1e-5)
    assert (found[0][1] - found[1][1]).norm() < 1e-3 * found[1][1].norm()


def test_noise_depends_on_step_and_edit_alone(editor: Editor, ledger: EpisodeLedger) -> None:
    side = EditsByNft(editor, ledger, Nft(), seed=0, single=True)
    whole, second = side.rows(groups(ledger), range(2), 1), side.rows(groups(ledger), [1], 1)
    assert torch.equal(whole[-1].noised.noise, second[-1].noised.noise)
    assert not torch.equal(second[-1].noised.noise, side.rows(groups(ledger), [1], 2)[-1].noised.noise)

"""Edits of several sizes in one batch come to what each comes to alone."""

from __future__ import annotations

from importlib.resources import files

import numpy as np
import pytest
import torch

from sparring.policies.config import EditorConfig
from sparring.policies.editor import Editor
from sparring.policies.policy import Order
from sparring.trainer.objectives.nft import nft_loss
from sparring.trainer.objectives.sft import flow_matching
from sparring.trainer.sides.noised import LEAST_LEVEL, MOST_LEVEL, Noised, NoisedRow, noised

SIZES = ((64, 64), (48, 96), (96, 40))


@pytest.fixture(scope="module")
def editor() -> Editor:
    return Editor(EditorConfig(base=str(files("sparring.ops") / "small" / "editor")))


@pytest.fixture(scope="module")
def rows(editor: Editor) -> list[NoisedRow]:
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 256, (*size, 3), dtype=np.uint8) for size in SIZES]
    finals = editor.encode(images)
    assert len({len(final) for final in finals}) > 1
    orders = [Order(image, "add an object", seed=0) for image in images]
    return [
        noised(order, final, 2, 0.7, 5, index) for index, (order, final) in enumerate(zip(orders, finals, strict=True))
    ]


def losses(editor: Editor, rows: list[NoisedRow]) -> torch.Tensor:
    """Both kinds of loss of each state: float32 [2, states]."""
    batch = Noised.stack(rows, "cpu")
    with torch.no_grad():
        velocity = batch.velocity(editor)
    nft = nft_loss(velocity, 0.5 * velocity, batch.true, batch.good, beta=0.1)
    return torch.stack([flow_matching(velocity, batch.true), nft]) * batch.share


def test_padding_counts_for_nothing(editor: Editor, rows: list[NoisedRow]) -> None:
    alone = torch.cat([losses(editor, [row]) for row in rows], dim=1)
    torch.testing.assert_close(losses(editor, rows), alone, atol=1e-4, rtol=1e-4)


def test_states_lie_between_edit_and_noise(rows: list[NoisedRow]) -> None:
    batch = Noised.stack(rows, "cpu")
    assert ((batch.levels >= LEAST_LEVEL) & (batch.levels <= MOST_LEVEL)).all()
    level = batch.levels[:, None, None]
    clean, noise = batch.x - level * batch.true, batch.x + (1 - level) * batch.true
    for index, row in enumerate(rows):
        for draw in range(2):
            tokens = len(row.final)
            torch.testing.assert_close(clean[2 * index + draw, :tokens], row.final, atol=1e-4, rtol=1e-4)
            torch.testing.assert_close(noise[2 * index + draw, :tokens], row.noise[draw], atol=1e-4, rtol=1e-4)


def test_noise_follows_from_the_seeds(rows: list[NoisedRow]) -> None:
    again = noised(rows[0].order, rows[0].final, 2, 0.7, 5, 0)
    assert torch.equal(again.noise, rows[0].noise)
    assert torch.equal(again.levels, rows[0].levels)
    other = noised(rows[0].order, rows[0].final, 2, 0.7, 5, 9)
    assert not torch.equal(other.levels, rows[0].levels)

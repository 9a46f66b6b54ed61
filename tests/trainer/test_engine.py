"""DeepSpeed's step against plain torch's on the same losses."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import nn

from sparring.trainer.config import Engine as EngineConfig
from sparring.trainer.config import Optimizer
from sparring.trainer.engine import Engine, Ranks

OPTIMIZER = Optimizer(rate=1e-2, warm_up=3, cool_down=2, clip=0.5, weight_decay=0.1)
RATES = (1 / 3, 2 / 3, 1, 1, 1, 1 / 2)
PARTS = 3


@pytest.fixture(autouse=True)
def ranks() -> Iterator[Ranks]:
    ranks = Ranks()
    yield ranks
    ranks.close()


def module() -> nn.Module:
    torch.manual_seed(0)
    made = nn.Sequential(nn.Linear(6, 16), nn.Tanh(), nn.Linear(16, 4), nn.Linear(4, 2))
    made[0].requires_grad_(False)
    return made


def losses(made: nn.Module, step: int) -> list[torch.Tensor]:
    """Micro-batches of a step; the gradient is sometimes clipped and sometimes not."""
    generator = torch.Generator().manual_seed(step)
    parts = torch.randn(PARTS, 5, 6, generator=generator)
    return [made(part).square().mean() * 10.0 ** -(step % 2) for part in parts]


def by_torch(steps: int) -> tuple[nn.Module, list[float]]:
    made, norms = module(), []
    trained = [parameter for parameter in made.parameters() if parameter.requires_grad]
    adamw = torch.optim.AdamW(trained, lr=OPTIMIZER.rate, betas=OPTIMIZER.betas, weight_decay=OPTIMIZER.weight_decay)
    for step in range(steps):
        adamw.param_groups[0]["lr"] = OPTIMIZER.rate * RATES[step]
        sum(losses(made, step)).backward()
        norms.append(float(nn.utils.clip_grad_norm_(trained, OPTIMIZER.clip)))
        adamw.step()
        adamw.zero_grad()
    return made, norms


def advance(engine: Engine, made: nn.Module, steps: range) -> list[float]:
    norms = []
    for step in steps:
        for index, loss in enumerate(losses(made, step)):
            engine.backward(loss, last=index + 1 == PARTS)
        norms.append(engine.step())
    return norms


@pytest.mark.parametrize("stage", [0, 1, 2])
def test_steps_are_those_of_adamw(stage: int) -> None:
    made = module()
    norms = advance(Engine(made, EngineConfig(zero_stage=stage), OPTIMIZER, len(RATES)), made, range(len(RATES)))
    expected, expected_norms = by_torch(len(RATES))
    assert norms == pytest.approx(expected_norms, rel=1e-4)
    assert min(norms) < OPTIMIZER.clip < max(norms)
    for ours, theirs in zip(made.parameters(), expected.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("stage", [0, 2])
def test_a_checkpoint_is_gone_on_from(stage: int, tmp_path: Path) -> None:
    """Moments, warm-up and weights; the frozen ones are those of the base."""
    first, second = module(), module()
    engine = Engine(first, EngineConfig(zero_stage=stage), OPTIMIZER, len(RATES))
    advance(engine, first, range(2))
    engine.save(tmp_path, "000002")
    taken_up = Engine(second, EngineConfig(zero_stage=stage), OPTIMIZER, len(RATES))
    taken_up.load(tmp_path, "000002")
    advance(taken_up, second, range(2, 6))
    expected, _ = by_torch(len(RATES))
    for ours, theirs in zip(second.parameters(), expected.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs)


def test_one_rank_agrees_with_itself(ranks: Ranks) -> None:
    assert ranks.first
    assert ranks.tell("word") == "word"
    assert ranks.sum({"a": 1.5, "b": 2.0}) == {"a": 1.5, "b": 2.0}
    assert ranks.most(3) == 3
    ranks.wait()

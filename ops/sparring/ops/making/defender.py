"""Makes the small defender from nothing.

It is taught scenes of two objects only. Objects that it was not asked about confuse it: that is the weakness which
the attacker finds and the campaign trains away.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import nn
from torch.optim.lr_scheduler import LambdaLR

from sparring.ops.making.attention import FLOAT_ATTENTION
from sparring.ops.making.lessons import disturb, fresh, held_out
from sparring.ops.making.small_mllm import MllmShape, build, write
from sparring.ops.making.tokenizer import make_tokenizer
from sparring.ops.making.tutor import Tutor
from sparring.samples.shapes import World


class DefenderRecipe(BaseModel):
    """How the small defender is made."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    seed: int = Field(0, ge=0)
    shape: MllmShape = MllmShape()
    world: World = World()
    """Scenes that it is taught."""
    steps: int = Field(5_500, ge=1)
    batch: int = Field(64, ge=1)
    naming: float = Field(0.3, ge=0, lt=1)
    """Share of batches that teach to name the object at a place, which is how colours and shapes are learnt."""
    rate: float = Field(1e-3, gt=0)
    """Peak learning rate of AdamW (embeddings, norms, biases, patches); a cosine takes it to a hundredth."""
    matrix_rate: float = Field(2e-3, gt=0)
    """Peak learning rate of Muon (matrices), scaled so that its steps are as large as AdamW's."""
    warm_up: int = Field(100, ge=0)
    decay: float = Field(0.01, ge=0)
    """Weight decay."""
    clip: float = Field(1.0, gt=0)
    """Largest gradient norm."""
    last_words: float = Field(2.0, gt=0)
    """Weight in the loss of an answer's last two words (the relation and the letter), beside 1 for the others."""
    every: int = Field(250, ge=1)
    """Steps between two evaluations, each of which also saves the model."""
    exam: int = Field(512, ge=1)
    """Held-out scenes per evaluation and number of bystanders."""
    bystanders: tuple[int, ...] = (0, 1, 2, 4, 6)
    """Numbers of bystanders at which it is evaluated."""


@dataclass(frozen=True)
class Milestone:
    """State of the making at one evaluation.

    Attributes:
        step: optimizer steps done.
        loss: mean loss since the last milestone, nats per token.
        accuracy: share of right letters, greedy, by number of bystanders.
        rate: lessons learnt per second since the last milestone.
        seconds: since the beginning.
    """

    step: int
    loss: float
    accuracy: dict[int, float]
    rate: float
    seconds: float


def make_defender(folder: Path, recipe: DefenderRecipe, progress: Callable[[Milestone], None]) -> None:
    """Train the small defender and write it to `folder` in Hugging Face layout, with its processor.

    `metrics.json` there holds the recipe, what was measured and how long it took.
    """
    torch.manual_seed(recipe.seed)
    tokenizer = make_tokenizer()
    model = build(recipe.shape, tokenizer)
    model.set_attn_implementation(FLOAT_ATTENTION)
    tutor = Tutor(model, tokenizer, recipe.shape)
    step = learning(model, tutor, recipe)
    exams = {
        count: held_out(recipe.world.model_copy(update={"bystanders": (count, count)}), recipe.seed, recipe.exam)
        for count in recipe.bystanders
    }
    began = last = time.monotonic()
    losses: list[float] = []
    for done in range(1, recipe.steps + 1):
        losses.append(step())
        if done % recipe.every == 0 or done == recipe.steps:
            rate = len(losses) * recipe.batch / (time.monotonic() - last)
            accuracy = {count: tutor.examine(exam) for count, exam in exams.items()}
            milestone = Milestone(done, float(np.mean(losses)), accuracy, rate, time.monotonic() - began)
            write(folder, model, recipe.shape)
            record(folder, recipe, milestone)
            progress(milestone)
            losses, last = [], time.monotonic()


def learning(model: nn.Module, tutor: Tutor, recipe: DefenderRecipe) -> Callable[[], float]:
    """A function that takes one optimizer step on fresh lessons and returns their loss."""
    rng = np.random.default_rng([recipe.seed, 1])
    optimizers = optimizers_of(model, recipe)
    schedules = [LambdaLR(optimizer, lambda step: rate_at(step, recipe)) for optimizer in optimizers]

    def step() -> float:
        lessons = fresh(rng, recipe.world, recipe.batch, naming=rng.random() < recipe.naming)
        pixels = disturb(rng, np.stack([item.pixels for item in lessons]))
        with torch.autocast("cpu", torch.bfloat16):
            loss = tutor.loss(lessons, pixels, last_words=recipe.last_words)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), recipe.clip)
        for optimizer, schedule in zip(optimizers, schedules, strict=True):
            optimizer.step()
            optimizer.zero_grad()
            schedule.step()
        return loss.item()

    return step


def optimizers_of(model: nn.Module, recipe: DefenderRecipe) -> list[torch.optim.Optimizer]:
    """Muon for the matrices, which halves the steps to tell objects apart; AdamW for the rest."""
    matrices = {name for name, value in model.named_parameters() if value.ndim == 2 and "embed" not in name}
    chosen = [value for name, value in model.named_parameters() if name in matrices]
    others = [value for name, value in model.named_parameters() if name not in matrices]
    return [
        torch.optim.Muon(chosen, lr=recipe.matrix_rate, weight_decay=recipe.decay, adjust_lr_fn="match_rms_adamw"),
        torch.optim.AdamW(others, lr=recipe.rate, betas=(0.9, 0.98), weight_decay=recipe.decay, fused=True),
    ]


def rate_at(step: int, recipe: DefenderRecipe) -> float:
    """Learning rate as a share of its peak: linear warm-up, then a cosine to a hundredth."""
    if step < recipe.warm_up:
        return (step + 1) / recipe.warm_up
    done = (step - recipe.warm_up) / max(1, recipe.steps - recipe.warm_up)
    return 0.01 + 0.99 * (1 + math.cos(math.pi * done)) / 2


def record(folder: Path, recipe: DefenderRecipe, milestone: Milestone) -> None:
    metrics = {
        "recipe": recipe.model_dump(),
        "step": milestone.step,
        "seconds": round(milestone.seconds),
        "lessons_per_second": round(milestone.rate),
        "loss": milestone.loss,
        "accuracy": milestone.accuracy,
    }
    (folder / "metrics.json").write_text(json.dumps(metrics, indent=2) + "\n")

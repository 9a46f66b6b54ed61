"""Makes the small editor from nothing: flow matching on exact pairs of rendered scenes.

It ends as a folder in the layout of Qwen-Image-Edit, with the autoencoder and a text encoder that were made before. The
text encoder is a frozen copy of a small Qwen2.5-VL and stays as it is, whatever becomes of the defender later.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import cast

import numpy as np
import torch
from diffusers import FlowMatchEulerDiscreteScheduler, QwenImageTransformer2DModel
from pydantic import BaseModel, ConfigDict, Field
from safetensors.torch import load_file, save_file
from torch import nn

from sparring.ops.making.fidelity import added, resemblance
from sparring.ops.making.vae import cosine
from sparring.policies.conditions import Batch, Condition, stack
from sparring.policies.config import EditorConfig, EditSampling
from sparring.policies.editor import Editor
from sparring.policies.policy import Order
from sparring.samples.pairs import Kind, Pair, instruct, pair
from sparring.samples.shapes import Scene, Shapes, World, draw, render

GROUNDS = ("plain", "graded", "striped")


class EditorRecipe(BaseModel):
    """How the small editor is made."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    vae: str
    """Folder of its autoencoder."""
    text_encoder: str
    """Folder of its text encoder, with processor."""
    seed: int = 0
    bare: World = World(grounds=GROUNDS)
    """Scenes of which most pairs are made."""
    busy: World = World(bystanders=(1, 4), grounds=GROUNDS)
    """The other scenes."""
    busy_share: float = Field(0.3, ge=0, le=1)
    kinds: dict[Kind, float] = {
        "add": 0.4, "distract": 0.15, "add_two": 0.1, "ground": 0.1, "any": 0.1,
        "replace": 0.05, "recolour": 0.05, "remove": 0.05,
    }  # fmt: skip
    """Kinds of edit and how often each is tried; those that a scene has no room for are drawn again."""
    scenes: int = Field(6_000, ge=1)
    edits: int = Field(4, ge=1)
    """Pairs per scene. All are encoded once and used many times, each time with fresh noise."""
    layers: int = Field(4, ge=1)
    heads: int = Field(8, ge=1)
    """Attention heads, 16 channels each."""
    shift: float = Field(3.0, gt=0)
    """Of the sampling schedule: above 1 more steps are spent on high noise."""
    steps: int = Field(3_000, ge=1)
    batch: int = Field(48, ge=1)
    rate: float = Field(1e-3, gt=0)
    """Peak learning rate of AdamW (norms, biases, first and last layer); a cosine takes it to a hundredth."""
    matrix_rate: float = Field(2e-3, gt=0)
    """Peak learning rate of Muon (matrices of the blocks), scaled so that its steps are as large as AdamW's."""
    warm_up: int = Field(100, ge=0)
    clip: float = Field(1.0, gt=0)
    """Largest gradient norm."""
    average: float = Field(0.995, ge=0, lt=1)
    """Decay of the moving average of the weights, which is what is kept."""
    change_weight: float = Field(2.0, ge=1)
    """Weight of tokens that the edit changes, beside 1 for the others."""
    sampling: EditSampling = EditSampling(variant="ode")
    """How edits are drawn for evaluation."""
    every: int = Field(500, ge=1)
    """Steps between two evaluations, each of which also saves the model."""
    exam: int = Field(256, ge=1)
    """Held-out scenes per evaluation."""


@dataclass(frozen=True)
class EditorMilestone:
    """State of the making at one evaluation, on held-out bare scenes with the instruction to add an object.

    Attributes:
        step: optimizer steps done.
        loss: mean training loss since the last milestone.
        kept: share of edits in which both targets have a similarity of 0.8 or more to the control.
        median: median over edits of the lower of the two similarities.
        added: share of edits in which something new looks like one of the world's shapes.
        changed: share of edits in which anything is new.
        rate: pairs learnt per second since the beginning of the training.
        seconds: since that beginning.
    """

    step: int
    loss: float
    kept: float
    median: float
    added: float
    changed: float
    rate: float
    seconds: float


@dataclass(frozen=True)
class Pool:
    """Encoded pairs.

    Attributes:
        conditions: of each pair.
        clean: float32 [pairs, tokens, channels]; latents of the scenes after the edit.
    """

    conditions: list[Condition]
    clean: torch.Tensor

    def take(self, rows: Sequence[int]) -> tuple[Batch, torch.Tensor]:
        return stack([self.conditions[row] for row in rows]), self.clean[list(rows)]


def draw_pair(rng: np.random.Generator, recipe: EditorRecipe, world: World, scene: Scene) -> Pair:
    kinds = list(recipe.kinds)
    share = np.array([recipe.kinds[kind] for kind in kinds])
    while True:
        made = pair(rng, world, kinds[rng.choice(len(kinds), p=share / share.sum())], scene)
        if made:
            return made


def make_pool(editor: Editor, recipe: EditorRecipe) -> Pool:
    """Draw and encode the training pairs."""
    rng = np.random.default_rng([recipe.seed, 3])
    conditions: list[Condition] = []
    clean: list[torch.Tensor] = []
    for _ in range(0, recipe.scenes, 64):
        worlds = [recipe.busy if rng.random() < recipe.busy_share else recipe.bare for _ in range(64)]
        scenes = [draw(rng, world) for world in worlds]
        pairs = [
            draw_pair(rng, recipe, world, scene)
            for world, scene in zip(worlds, scenes, strict=True)
            for _ in range(recipe.edits)
        ]
        conditions += editor.conditioner.encode([Order(render(p.before), p.instruction, 0) for p in pairs])
        clean += editor.encode([render(p.after) for p in pairs])
    return Pool(conditions, torch.stack(clean))


def build_transformer(recipe: EditorRecipe, width: int) -> QwenImageTransformer2DModel:
    """The untrained transformer for a text encoder of `width`; every residual branch starts closed."""
    transformer = QwenImageTransformer2DModel(
        num_layers=recipe.layers,
        attention_head_dim=16,
        num_attention_heads=recipe.heads,
        joint_attention_dim=width,
        axes_dims_rope=(4, 6, 6),
    )
    closed = [transformer.proj_out]
    closed += [part[1] for block in transformer.transformer_blocks for part in (block.img_mod, block.txt_mod)]
    for layer in closed:
        nn.init.zeros_(layer.weight)
        nn.init.zeros_(layer.bias)
    return transformer


def flow_loss(
    transformer: nn.Module, batch: Batch, clean: torch.Tensor, weight: float, generator: torch.Generator
) -> torch.Tensor:
    """Squared error of the velocity eps - x0, at a uniformly drawn noise level."""
    sigma = torch.rand(len(clean), generator=generator)
    noise = torch.randn(clean.shape, generator=generator)
    level = sigma[:, None, None]
    predicted = batch.velocity(transformer, (1 - level) * clean + level * noise, sigma)
    change = (clean - batch.original).square().mean(2)
    weights = 1 + (weight - 1) * (change > 0.1).float()
    error = (predicted - (noise - clean)).square().mean(2)
    return (weights * error).sum() / weights.sum()


def optimizers_of(transformer: nn.Module, recipe: EditorRecipe) -> list[torch.optim.Optimizer]:
    """Muon for the matrices within blocks, AdamW for the rest."""
    named = list(transformer.named_parameters())
    inner = [value for name, value in named if value.ndim == 2 and name.startswith("transformer_blocks")]
    outer = [value for name, value in named if value.ndim != 2 or not name.startswith("transformer_blocks")]
    return [
        torch.optim.Muon(inner, lr=recipe.matrix_rate, weight_decay=0.01, adjust_lr_fn="match_rms_adamw"),
        torch.optim.AdamW(outer, lr=recipe.rate, betas=(0.9, 0.98), weight_decay=0.01, fused=True),
    ]


def lay_out(folder: Path, recipe: EditorRecipe) -> QwenImageTransformer2DModel:
    """Write the sub-folders of the pipeline, with the untrained transformer, which is returned."""
    shutil.copytree(recipe.vae, folder / "vae", dirs_exist_ok=True)
    source = Path(recipe.text_encoder)
    for part in ("text_encoder", "processor"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    for file in source.iterdir():
        part = "text_encoder" if file.name in MODEL_FILES else "processor"
        if file.is_file() and file.name != "metrics.json":
            shutil.copyfile(file, folder / part / file.name)
    scheduler = FlowMatchEulerDiscreteScheduler(shift=recipe.shift)
    scheduler.save_pretrained(folder / "scheduler")
    width = json.loads((source / "config.json").read_text())["text_config"]["hidden_size"]
    transformer = build_transformer(recipe, width)
    transformer.save_pretrained(folder / "transformer")
    return transformer


MODEL_FILES = ("config.json", "generation_config.json", "model.safetensors")


def examine_editor(editor: Editor, recipe: EditorRecipe) -> tuple[float, float, float, float]:
    """Shares and median as in `EditorMilestone`: kept, median, added, changed."""
    shapes = Shapes(recipe.bare, recipe.seed, "eval")
    scenes = [shapes.scene(index) for index in range(recipe.exam)]
    orders = [Order(render(scene), instruct("add", scene), seed) for seed, scene in enumerate(scenes)]
    controls = editor.control([order.image for order in orders])
    edits = [edit.image for (edit,) in editor.rollout(orders, recipe.sampling, "base")]
    lowest, news = [], []
    for scene, control, edit in zip(scenes, controls, edits, strict=True):
        lowest.append(min(resemblance(control, edit, item.box) for item in scene.targets))
        news.append(added(control, edit, scene.targets))
    kept = np.array(lowest) >= 0.8
    found = [any(new.item for new in row) for row in news]
    return (
        float(kept.mean()),
        float(np.median(lowest)),
        float(np.mean(found)),
        float(np.mean([len(n) > 0 for n in news])),
    )


def make_editor(folder: Path, recipe: EditorRecipe, progress: Callable[[EditorMilestone], None]) -> None:
    """Train the small editor and write it to `folder` as the sub-folders of its pipeline, with `metrics.json`."""
    torch.manual_seed(recipe.seed)
    transformer = lay_out(folder, recipe)
    averaged = torch.optim.swa_utils.AveragedModel(
        transformer, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(recipe.average)
    )
    pool = make_pool(Editor(EditorConfig(base=str(folder))), recipe)
    rng, generator = np.random.default_rng([recipe.seed, 4]), torch.Generator().manual_seed(recipe.seed)
    optimizers = optimizers_of(transformer, recipe)
    schedules = [
        torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: cosine(step, recipe.steps, recipe.warm_up))
        for optimizer in optimizers
    ]
    began = time.monotonic()
    losses: list[float] = []
    for step in range(1, recipe.steps + 1):
        batch, clean = pool.take(rng.integers(len(pool.clean), size=recipe.batch).tolist())
        loss = flow_loss(transformer, batch, clean, recipe.change_weight, generator)
        loss.backward()
        nn.utils.clip_grad_norm_(transformer.parameters(), recipe.clip)
        for optimizer, schedule in zip(optimizers, schedules, strict=True):
            optimizer.step()
            schedule.step()
        transformer.zero_grad(set_to_none=True)
        averaged.update_parameters(transformer)
        losses.append(loss.item())
        if step % recipe.every == 0 or step == recipe.steps:
            seconds = time.monotonic() - began
            cast(QwenImageTransformer2DModel, averaged.module).save_pretrained(folder / "transformer")
            measured = examine_editor(Editor(EditorConfig(base=str(folder))), recipe)
            rate = step * recipe.batch / seconds
            milestone = EditorMilestone(step, float(np.mean(losses)), *measured, rate, seconds)
            metrics = {"recipe": recipe.model_dump(), **asdict(milestone)}
            (folder / "metrics.json").write_text(json.dumps(metrics, indent=2) + "\n")
            progress(milestone)
            losses = []
    shrink(folder)


def shrink(folder: Path) -> None:
    """Store all weights in `folder` in 16 bits. Opened in 32, they give the same pictures to within a grey level."""
    for file in folder.rglob("*.safetensors"):
        halves = {name: tensor.half() for name, tensor in load_file(file).items()}
        if not all(tensor.isfinite().all() for tensor in halves.values()):
            raise ValueError(f"{file}: a weight is beyond the range of float16")
        save_file(halves, file, metadata={"format": "pt"})

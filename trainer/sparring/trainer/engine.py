"""DeepSpeed around a policy's module: what is the same for every objective."""

from __future__ import annotations

import logging
import os
from datetime import timedelta
from pathlib import Path
from typing import TypeVar, cast

import torch
from torch import distributed, nn

from sparring.trainer.config import Engine as EngineConfig
from sparring.trainer.config import Optimizer as OptimizerConfig

# DeepSpeed looks for an accelerator unless it is told that there is none.
if not torch.cuda.is_available():
    os.environ.setdefault("DS_ACCELERATOR", "cpu")
import deepspeed

if not torch.cuda.is_available():
    # Nor does it need the shared-memory reduction, which it would compile first: minutes, with a compiler that may not
    # be there.
    deepspeed.ops.__compatible_ops__ = {}

RENDEZVOUS = timedelta(minutes=10)
ValueT = TypeVar("ValueT")
NumberT = TypeVar("NumberT", int, float)


class Engine:
    """Steps a module's trainable parameters; gradients add up over any number of `backward` calls.

    Every rank calls `backward` and `step` equally often.

    Args:
        module: what is trained, where its parameters require it.
        config: how DeepSpeed runs it.
        optimizer: how it steps.
        updates: calls of `step` in the whole phase.
    """

    def __init__(self, module: nn.Module, config: EngineConfig, optimizer: OptimizerConfig, updates: int) -> None:
        self._parameters = [parameter for parameter in module.parameters() if parameter.requires_grad]
        adamw = torch.optim.AdamW(
            self._parameters, lr=optimizer.rate, betas=optimizer.betas, weight_decay=optimizer.weight_decay
        )
        schedule = torch.optim.lr_scheduler.LambdaLR(adamw, lambda update: pace(update, updates, optimizer))
        self._engine, *_ = deepspeed.initialize(
            model=module, optimizer=adamw, lr_scheduler=schedule, config=settings(config, optimizer)
        )
        self._stage = config.zero_stage

    def backward(self, loss: torch.Tensor, *, last: bool) -> None:
        """Add a loss's gradients; `last` says that `step` follows. Gradients are averaged over ranks."""
        self._engine.set_gradient_accumulation_boundary(last)
        self._engine.backward(loss)

    def step(self) -> float:
        """Update the weights and return the gradient's norm before clipping."""
        plain = self._norm() if self._stage == 0 else None  # which only ZeRO tells, and only afterwards
        self._engine.step()
        return float(self._engine.get_global_grad_norm()) if plain is None else plain

    def _norm(self) -> float:
        gradients = [parameter.grad for parameter in self._parameters if parameter.grad is not None]
        return float(nn.utils.get_total_norm(gradients))

    def save(self, folder: Path, tag: str) -> None:
        """Write a checkpoint; when this returns on any rank, it is whole. Frozen weights are not in it."""
        self._engine.save_checkpoint(str(folder), tag=tag, save_latest=False, exclude_frozen_parameters=True)

    def load(self, folder: Path, tag: str) -> None:
        """Go on from a checkpoint of `save`, made by as many ranks."""
        self._engine.load_checkpoint(str(folder), tag=tag, load_module_strict=False)


def pace(update: int, updates: int, optimizer: OptimizerConfig) -> float:
    """Share of the rate, in (0, 1], with which update number `update` (from 0) of `updates` is made."""
    rising = (update + 1) / max(1, optimizer.warm_up)
    falling = max(1, updates - update) / max(1, optimizer.cool_down)
    return min(1.0, rising, falling)


def settings(config: EngineConfig, optimizer: OptimizerConfig) -> dict[str, object]:
    """DeepSpeed's configuration. Accumulation is ours: a step takes as many micro-batches as its groups need."""
    return {
        "train_micro_batch_size_per_gpu": 1,
        "gradient_accumulation_steps": 1,
        "gradient_clipping": optimizer.clip,
        "zero_optimization": {"stage": config.zero_stage},
        "zero_allow_untested_optimizer": True,
        "zero_force_ds_cpu_optimizer": False,
        "bf16": {"enabled": config.bf16},
        "data_types": {"grad_accum_dtype": "fp32"},
        "steps_per_print": 10**9,
        "wall_clock_breakdown": False,
    }


class Ranks:
    """The processes of one phase.

    Args:
        patience: longest that the others may have to wait for what the first one tells, seconds.
    """

    def __init__(self, patience: float = 0.0) -> None:
        logging.getLogger("DeepSpeed").setLevel(logging.ERROR)
        gpu = torch.cuda.is_available()
        if gpu:
            torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
        deepspeed.init_distributed(dist_backend="nccl" if gpu else "gloo", timeout=RENDEZVOUS, verbose=False)
        self.rank = distributed.get_rank()
        self.count = distributed.get_world_size()
        # Gradients are never late, but the first rank may wait for groups as long as it likes. So talk has a group of
        # its own, which also spares it the GPU.
        self._talk = distributed.new_group(backend="gloo", timeout=RENDEZVOUS + timedelta(seconds=patience))

    @property
    def first(self) -> bool:
        """Whether this process decides and publishes."""
        return self.rank == 0

    def tell(self, value: ValueT | None) -> ValueT:
        """What the first rank has, on every rank; the others' `value` is not looked at."""
        box = [value]
        if self.count > 1:
            distributed.broadcast_object_list(box, src=0, group=self._talk)
        return cast(ValueT, box[0])

    def sum(self, values: dict[str, float]) -> dict[str, float]:
        """Each number added up over ranks, which all have the same names."""
        names = sorted(values)
        total = torch.tensor([values[name] for name in names], dtype=torch.float64)
        if self.count > 1:
            distributed.all_reduce(total, group=self._talk)
        return dict(zip(names, total.tolist(), strict=True))

    def most(self, value: NumberT) -> NumberT:
        """The largest `value` of all ranks."""
        box = torch.tensor(value, dtype=torch.float64)
        if self.count > 1:
            distributed.all_reduce(box, distributed.ReduceOp.MAX, group=self._talk)
        return type(value)(box.item())

    def wait(self) -> None:
        """Return when every rank is here."""
        if self.count > 1:
            distributed.barrier(group=self._talk)

    def close(self) -> None:
        deepspeed.comm.destroy_process_group()

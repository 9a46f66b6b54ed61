"""DeepSpeed around a policy's module: what is the same for every objective."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TypeVar, cast

import torch
from torch import distributed, nn

from sparring.trainer.config import Engine as EngineConfig
from sparring.trainer.config import Optimizer as OptimizerConfig

# DeepSpeed compiles for a GPU unless told that there is none.
if not torch.cuda.is_available():
    os.environ.setdefault("DS_ACCELERATOR", "cpu")
import deepspeed  # it reads the variable above when imported

RENDEZVOUS = timedelta(minutes=10)
ValueT = TypeVar("ValueT")
NumberT = TypeVar("NumberT", int, float)


class Engine:
    """Steps a module's trainable parameters; gradients add up over any number of `backward` calls.

    Every rank calls `backward` and `step` equally often.
    """

    def __init__(self, module: nn.Module, config: EngineConfig, optimizer: OptimizerConfig) -> None:
        logging.getLogger("DeepSpeed").setLevel(logging.WARNING)
        parameters = [parameter for parameter in module.parameters() if parameter.requires_grad]
        adamw = torch.optim.AdamW(
            parameters, lr=optimizer.rate, betas=optimizer.betas, weight_decay=optimizer.weight_decay
        )
        warm_up = torch.optim.lr_scheduler.LambdaLR(
            adamw, lambda step: min(1.0, (step + 1) / max(1, optimizer.warm_up))
        )
        self._engine, *_ = deepspeed.initialize(
            model=module, optimizer=adamw, lr_scheduler=warm_up, config=settings(config, optimizer)
        )
        self._stage = config.zero_stage
        self._parameters = parameters

    def backward(self, loss: torch.Tensor, *, last: bool) -> None:
        """Add a loss's gradients; `last` says that `step` follows. Losses are averaged over ranks."""
        self._engine.set_gradient_accumulation_boundary(last)
        self._engine.backward(loss)

    def step(self) -> float:
        """Update the weights and return the gradient's norm before clipping."""
        self._engine.step()
        norm = self._engine.get_global_grad_norm()
        return float(norm) if norm is not None else float("nan")

    def save(self, folder: Path, tag: str) -> None:
        """Write a checkpoint; when this returns on every rank, it is whole."""
        self._engine.save_checkpoint(str(folder), tag=tag, save_latest=False)

    def load(self, folder: Path, tag: str) -> None:
        """Go on from a checkpoint of `save`.

        Raises:
            FileNotFoundError: there is none of that tag.
        """
        found, _ = self._engine.load_checkpoint(str(folder), tag=tag)
        if found is None:
            raise FileNotFoundError(f"{folder}/{tag}: no checkpoint that DeepSpeed can load")

    @contextmanager
    def whole(self) -> Iterator[None]:
        """Within the block every rank has whole parameters (ZeRO-3 shares them out)."""
        with deepspeed.zero.GatheredParameters(self._parameters, enabled=self._stage == 3):
            yield


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
        "steps_per_print": 10**9,
        "wall_clock_breakdown": False,
    }


class Ranks:
    """The processes of one phase."""

    def __init__(self) -> None:
        deepspeed.init_distributed(
            dist_backend="nccl" if torch.cuda.is_available() else "gloo", timeout=RENDEZVOUS, verbose=False
        )
        self.rank = distributed.get_rank()
        self.count = distributed.get_world_size()

    @property
    def first(self) -> bool:
        """Whether this process decides and publishes."""
        return self.rank == 0

    def tell(self, value: ValueT | None) -> ValueT:
        """What the first rank has, on every rank; the others' `value` is not looked at."""
        box = [value]
        if self.count > 1:
            distributed.broadcast_object_list(box, src=0)
        return cast(ValueT, box[0])

    def sum(self, values: dict[str, float]) -> dict[str, float]:
        """Each number added up over ranks, which all have the same names."""
        names = sorted(values)
        total = torch.tensor([values[name] for name in names], dtype=torch.float64)
        if self.count > 1:
            distributed.all_reduce(total)
        return dict(zip(names, total.tolist(), strict=True))

    def most(self, value: NumberT) -> NumberT:
        """The largest `value` of all ranks."""
        box = torch.tensor(value, dtype=torch.float64)
        if self.count > 1:
            distributed.all_reduce(box, distributed.ReduceOp.MAX)
        return type(value)(box.item())

    def wait(self) -> None:
        """Return when every rank is here."""
        if self.count > 1:
            distributed.barrier()

    def close(self) -> None:
        distributed.destroy_process_group()

"""What waits for the editor, and how it is batched: edits of one revision and sampling together, controls together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from sparring.policies.config import EditSampling
from sparring.policies.policy import Edited, Order
from sparring.serving.batching import Batcher
from sparring.serving.config import QueueConfig
from sparring.serving.queue_metrics import QueueMetrics
from sparring.serving.reconciler import Installs

Pixels = NDArray[np.uint8]


class Edits(Installs, Protocol):
    """The part of a policy that edits, under the revision called `name`, and makes controls."""

    def rollout(self, acts: Sequence[Order], sampling: EditSampling, name: str) -> list[list[Edited]]: ...

    def control(self, images: Sequence[Pixels]) -> list[Pixels]: ...


@dataclass(frozen=True)
class Job:
    """An order with what must be alike within a batch. `sampling` None asks for the control."""

    order: Order
    sampling: EditSampling | None
    handle: str

    @classmethod
    def control(cls, image: Pixels) -> Job:
        return cls(Order(image, instruction="", seed=0), None, "")


def gather(policy: Edits, config: QueueConfig, metrics: QueueMetrics) -> Batcher[Job, Edited | Pixels]:
    """The queue before `policy`, counted in edits. A job with sampling gives an edit, one without gives pixels."""

    def run(jobs: list[Job]) -> Sequence[Edited | Pixels]:
        orders, sampling = [job.order for job in jobs], jobs[0].sampling
        if sampling is None:
            return policy.control([order.image for order in orders])
        return [edit for (edit,) in policy.rollout(orders, sampling, jobs[0].handle)]

    return Batcher(run, key=lambda job: (job.handle, job.sampling), cost=lambda job: 1, config=config, metrics=metrics)

"""Settings of the defender's service. Importable without torch."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from sparring.ledgers.storage import Storage
from sparring.policies.config import MllmConfig
from sparring.serving.config import QueueConfig, ServingConfig, WeightsConfig


class DefenderConfig(BaseModel):
    """One defender process."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    serving: ServingConfig = ServingConfig()
    storage: Storage = Storage()
    weights: WeightsConfig = WeightsConfig()
    mllm: MllmConfig
    queue: QueueConfig = QueueConfig(batch=512, limit=8192)
    threads: int = Field(1, ge=1)
    """Of torch."""

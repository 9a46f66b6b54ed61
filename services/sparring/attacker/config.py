"""Settings of the attacker's service. Importable without torch."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from sparring.ledgers.storage import Storage
from sparring.policies.config import EditorConfig
from sparring.serving.config import QueueConfig, ServingConfig, WeightsConfig


class AttackerConfig(BaseModel):
    """One attacker process."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    serving: ServingConfig = ServingConfig()
    storage: Storage = Storage()
    weights: WeightsConfig = WeightsConfig()
    editor: EditorConfig | None = None
    """None serves attacks without a model alone: no torch is imported, no weights are held, and the control is the
    original itself."""
    queue: QueueConfig = QueueConfig(batch=128, limit=4096)
    controls_bytes: int = Field(256 * 2**20, ge=0)
    """Controls that are kept, so that a second group of edits of an image does not make them again; PNG bytes."""
    threads: int = Field(1, ge=1)
    """Of torch."""

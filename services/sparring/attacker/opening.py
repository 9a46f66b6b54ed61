"""Puts together what an attacker edits with. Torch is imported only where there is an editor."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from prometheus_client import CollectorRegistry

from sparring.attacker.config import AttackerConfig
from sparring.attacker.editing import Editing, WithoutEditor, with_editor


@asynccontextmanager
async def open_editing(config: AttackerConfig, registry: CollectorRegistry) -> AsyncIterator[Editing]:
    """What `config` edits with, for the time of the block."""
    if config.editor is None:
        yield WithoutEditor()
        return
    import torch

    from sparring.policies.editor import Editor

    torch.set_num_threads(config.threads)
    async with with_editor(Editor(config.editor), config, registry) as editing:
        yield editing

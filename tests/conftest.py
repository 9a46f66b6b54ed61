"""Settings of all tests, and a clock for those about time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, settings

# The same examples everywhere, and as slow as the machine is: how long one takes says nothing about the code.
settings.register_profile("house", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("house")


@pytest.fixture
async def advance(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Puts the event loop's clock forward by so many seconds; it stands still otherwise, and no deadline comes by
    itself, however slow the machine is."""
    loop = asyncio.get_running_loop()
    now = loop.time()

    def forward(seconds: float) -> None:
        nonlocal now
        now += seconds

    monkeypatch.setattr(loop, "time", lambda: now)
    return forward

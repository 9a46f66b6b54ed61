"""Puts a foreign target together."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from sparring.referee.targets.admission import admit
from sparring.referee.targets.cache import AnswerCache
from sparring.referee.targets.caller import Caller
from sparring.referee.targets.config import OipConfig, OpenAiConfig, TargetsConfig
from sparring.referee.targets.metrics import TargetMetrics
from sparring.referee.targets.oip import OipTarget
from sparring.referee.targets.openai import OpenAiTarget
from sparring.referee.targets.pacing import Clock


@asynccontextmanager
async def open_target(
    config: OpenAiConfig | OipConfig, rules: TargetsConfig, metrics: TargetMetrics, clock: Clock | None = None
) -> AsyncIterator[OpenAiTarget | OipTarget]:
    """The target of a configuration, for the time of the block. Nothing is called before it is asked.

    Args:
        config: which.
        rules: whom may be called, and where answers are kept.
        metrics: what is counted, of all targets together.
        clock: time and chance; None is the real one.

    Raises:
        BadTarget: it must not or can't be called as configured.
        BadCache: answers can't be kept where `rules.cache` says.
    """
    async with AsyncExitStack() as stack:
        admission = admit(config, rules)
        cache = AnswerCache(Path(rules.cache)) if rules.cache else None
        if cache is not None:
            stack.callback(cache.close)
        caller = Caller(config, admission, metrics, clock or Clock())
        stack.push_async_callback(caller.close)
        if isinstance(config, OpenAiConfig):
            yield OpenAiTarget(config, caller, metrics, cache)
        else:
            yield OipTarget(config, caller, metrics, cache)

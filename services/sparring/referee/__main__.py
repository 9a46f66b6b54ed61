"""`python -m sparring.referee --config FILE`: serve the referee."""

from __future__ import annotations

import argparse
import asyncio
from pathlib import Path

from sparring.referee.config import RefereeConfig


async def run(config: RefereeConfig) -> None:
    """Serve until SIGTERM."""
    from sparring.referee.opening import open_referee
    from sparring.referee.service import RULES
    from sparring.serving.metrics import new_registry
    from sparring.serving.runner import serve

    registry = new_registry()
    async with open_referee(config, registry) as services:
        await serve(config.serving, services, registry=registry, rules=RULES)


def main() -> None:
    parser = argparse.ArgumentParser(prog="sparring.referee", description="Serve the referee.")
    parser.add_argument("--config", type=Path, required=True, help="JSON file with a resolved RefereeConfig")
    asyncio.run(run(RefereeConfig.model_validate_json(parser.parse_args().config.read_text())))


if __name__ == "__main__":
    main()

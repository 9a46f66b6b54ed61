"""`python -m sparring.attacker --config FILE`: serve an attacker."""

from __future__ import annotations

import argparse
import asyncio
from pathlib import Path

from sparring.attacker.config import AttackerConfig


async def run(config: AttackerConfig) -> None:
    """Serve until SIGTERM."""
    from sparring.attacker.opening import open_editing
    from sparring.attacker.service import serve_attacker
    from sparring.serving.metrics import new_registry

    registry = new_registry()
    async with open_editing(config, registry) as editing:
        await serve_attacker(editing, config, registry)


def main() -> None:
    parser = argparse.ArgumentParser(prog="sparring.attacker", description="Serve an attacker.")
    parser.add_argument("--config", type=Path, required=True, help="JSON file with a resolved AttackerConfig")
    asyncio.run(run(AttackerConfig.model_validate_json(parser.parse_args().config.read_text())))


if __name__ == "__main__":
    main()

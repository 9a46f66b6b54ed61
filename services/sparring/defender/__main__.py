"""`python -m sparring.defender --config FILE`: serve a defender."""

from __future__ import annotations

import argparse
import asyncio
from pathlib import Path

from sparring.defender.config import DefenderConfig


async def run(config: DefenderConfig) -> None:
    """Serve until SIGTERM."""
    import torch

    from sparring.defender.service import serve_policy
    from sparring.policies.mllm import Mllm

    torch.set_num_threads(config.threads)
    await serve_policy(Mllm(config.mllm), config)


def main() -> None:
    parser = argparse.ArgumentParser(prog="sparring.defender", description="Serve a defender.")
    parser.add_argument("--config", type=Path, required=True, help="JSON file with a resolved DefenderConfig")
    asyncio.run(run(DefenderConfig.model_validate_json(parser.parse_args().config.read_text())))


if __name__ == "__main__":
    main()

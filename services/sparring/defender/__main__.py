"""`python -m sparring.defender --config FILE`: serve a defender."""

from __future__ import annotations

import argparse
import asyncio
from pathlib import Path

from sparring.defender.config import DefenderConfig


async def run(config: DefenderConfig) -> None:
    """Serve until SIGTERM."""
    import torch

    from sparring.defender.service import RULES, DefenderService, gather
    from sparring.ledgers.weights import WeightsLedger
    from sparring.policies.mllm import Mllm
    from sparring.serving.metrics import new_registry
    from sparring.serving.queue_metrics import QueueMetrics
    from sparring.serving.reconciler import Reconciler
    from sparring.serving.runner import Service, serve
    from sparring.v1 import defender_pb2
    from sparring.v1.defender_pb2_grpc import add_DefenderServicer_to_server

    torch.set_num_threads(config.threads)
    policy, registry = Mllm(config.mllm), new_registry()
    async with (
        Reconciler(WeightsLedger(config.storage.root), policy, "defender", config.weights, registry) as reconciler,
        gather(policy, config.queue, QueueMetrics(registry, "answers")) as queue,
    ):
        service = DefenderService(config.serving, queue, reconciler)
        descriptor = defender_pb2.DESCRIPTOR.services_by_name["Defender"]
        await serve(
            config.serving,
            [Service(descriptor, lambda server: add_DefenderServicer_to_server(service, server))],
            registry=registry,
            reconciler=reconciler,
            rules=RULES,
        )


def main() -> None:
    parser = argparse.ArgumentParser(prog="sparring.defender", description="Serve a defender.")
    parser.add_argument("--config", type=Path, required=True, help="JSON file with a resolved DefenderConfig")
    asyncio.run(run(DefenderConfig.model_validate_json(parser.parse_args().config.read_text())))


if __name__ == "__main__":
    main()

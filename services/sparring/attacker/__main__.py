"""`python -m sparring.attacker --config FILE`: serve an attacker."""

from __future__ import annotations

import argparse
import asyncio
from pathlib import Path

from sparring.attacker.config import AttackerConfig


async def run(config: AttackerConfig) -> None:
    """Serve until SIGTERM."""
    import torch

    from sparring.attacker.batches import gather
    from sparring.attacker.service import RULES, AttackerService
    from sparring.ledgers.weights import WeightsLedger
    from sparring.policies.editor import Editor
    from sparring.serving.metrics import new_registry
    from sparring.serving.queue_metrics import QueueMetrics
    from sparring.serving.reconciler import Reconciler
    from sparring.serving.runner import Service, serve
    from sparring.v1 import attacker_pb2
    from sparring.v1.attacker_pb2_grpc import add_AttackerServicer_to_server

    torch.set_num_threads(config.threads)
    policy, registry = Editor(config.editor), new_registry()
    async with (
        Reconciler(WeightsLedger(config.storage.root), policy, "attacker", config.weights, registry) as reconciler,
        gather(policy, config.queue, QueueMetrics(registry, "edits")) as queue,
    ):
        service = AttackerService(config, queue, reconciler)
        descriptor = attacker_pb2.DESCRIPTOR.services_by_name["Attacker"]
        await serve(
            config.serving,
            [Service(descriptor, lambda server: add_AttackerServicer_to_server(service, server))],
            registry=registry,
            reconciler=reconciler,
            rules=RULES,
        )


def main() -> None:
    parser = argparse.ArgumentParser(prog="sparring.attacker", description="Serve an attacker.")
    parser.add_argument("--config", type=Path, required=True, help="JSON file with a resolved AttackerConfig")
    asyncio.run(run(AttackerConfig.model_validate_json(parser.parse_args().config.read_text())))


if __name__ == "__main__":
    main()

"""`python -m sparring.referee --config FILE`: serve the referee."""

from __future__ import annotations

import argparse
import asyncio
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from sparring.referee.config import RefereeConfig


async def run(config: RefereeConfig) -> None:
    """Serve until SIGTERM."""
    import grpc
    from prometheus_client import CollectorRegistry

    from sparring.client.channel import Endpoint
    from sparring.ledgers.committer import Committer
    from sparring.ledgers.episodes import EpisodeLedger
    from sparring.referee.match import Table
    from sparring.referee.opponents import Attacker, Defender
    from sparring.referee.service import Away, Late, RefereeService, UnknownEdit
    from sparring.samples.catalog import BadDataset
    from sparring.samples.images import BadImage
    from sparring.serving.runner import Service, serve
    from sparring.serving.statuses import Rule
    from sparring.v1 import referee_pb2
    from sparring.v1.referee_pb2_grpc import add_RefereeServicer_to_server

    ledger = EpisodeLedger(config.storage.root)
    committer = Committer(ledger)
    attacker = Attacker(Endpoint(config.attacker), config.call_seconds)
    defender = Defender(Endpoint(config.defender), config.call_seconds)
    judges = ThreadPoolExecutor(config.judges, thread_name_prefix="judge")
    service = RefereeService(config, Table(config, attacker, defender, ledger, committer, judges))
    descriptor = referee_pb2.DESCRIPTOR.services_by_name["Referee"]
    referee = Service(descriptor, lambda server: add_RefereeServicer_to_server(service, server))
    rules = {
        BadImage: Rule(grpc.StatusCode.INVALID_ARGUMENT, "sample.image"),
        UnknownEdit: Rule(grpc.StatusCode.INVALID_ARGUMENT, "recorded.edit_ids"),
        BadDataset: Rule(grpc.StatusCode.INVALID_ARGUMENT, "dataset.uri"),
        Away: Rule(grpc.StatusCode.UNAVAILABLE),
        Late: Rule(grpc.StatusCode.DEADLINE_EXCEEDED),
    }
    try:
        await serve(config.serving, [referee], registry=CollectorRegistry(), rules=rules)
    finally:
        await committer.close()
        await attacker.close()
        await defender.close()


def main() -> None:
    parser = argparse.ArgumentParser(prog="sparring.referee", description="Serve the referee.")
    parser.add_argument("--config", type=Path, required=True, help="JSON file with a resolved RefereeConfig")
    asyncio.run(run(RefereeConfig.model_validate_json(parser.parse_args().config.read_text())))


if __name__ == "__main__":
    main()

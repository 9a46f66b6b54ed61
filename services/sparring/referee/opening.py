"""Puts a referee together."""

from __future__ import annotations

from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager

from prometheus_client import CollectorRegistry

from sparring.ledgers.committer import Committer
from sparring.ledgers.episodes import EpisodeLedger
from sparring.referee.bench import Bench
from sparring.referee.config import RefereeConfig
from sparring.referee.endpoints import to_endpoint
from sparring.referee.match import Table
from sparring.referee.metrics import RefereeMetrics
from sparring.referee.opponents import Attacker, Defender
from sparring.referee.rewards import attacker_reward
from sparring.referee.service import RefereeService
from sparring.serving.runner import Service
from sparring.v1 import referee_pb2
from sparring.v1.referee_pb2_grpc import add_RefereeServicer_to_server


@asynccontextmanager
async def open_referee(config: RefereeConfig, registry: CollectorRegistry) -> AsyncIterator[Service]:
    """The Referee service, for the time of the block, at whose end everything handed in is in the ledger.

    Raises:
        ValueError: there is no attacker's reward of the configured name.
        BadOpponent: attacker or defender can't be called as configured.
    """
    pay = attacker_reward(config.rewards.attacker)
    attack, defence = to_endpoint("attacker", config.attacker), to_endpoint("defender", config.defender)
    async with AsyncExitStack() as stack:
        ledger, metrics = EpisodeLedger(config.storage.root), RefereeMetrics(registry)
        threads = stack.enter_context(ThreadPoolExecutor(config.judges, thread_name_prefix="judge"))
        attacker = Attacker(attack, config.call_seconds)
        stack.push_async_callback(attacker.close)
        defender = Defender(defence, config.call_seconds)
        stack.push_async_callback(defender.close)
        committer = Committer(ledger)
        stack.push_async_callback(committer.close)
        bench = Bench(config, threads, metrics)
        service = RefereeService(config, Table(config, pay, attacker, defender, bench, ledger, committer, metrics))
        descriptor = referee_pb2.DESCRIPTOR.services_by_name["Referee"]
        yield Service(descriptor, lambda server: add_RefereeServicer_to_server(service, server))

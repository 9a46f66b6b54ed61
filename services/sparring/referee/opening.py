"""Puts a referee together."""

from __future__ import annotations

from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial

from prometheus_client import CollectorRegistry

from sparring.ledgers.committer import Committer
from sparring.ledgers.episodes import EpisodeLedger
from sparring.referee.bench import Bench
from sparring.referee.checks.checks import Checks
from sparring.referee.checks.playing import Court
from sparring.referee.checks.service import ChecksService
from sparring.referee.checks.store import CheckStore
from sparring.referee.config import RefereeConfig
from sparring.referee.endpoints import to_endpoint
from sparring.referee.match import Table
from sparring.referee.metrics import RefereeMetrics
from sparring.referee.opponents import Absent, Attacker, Defender
from sparring.referee.rewards import attacker_reward
from sparring.referee.service import RefereeService
from sparring.referee.targets.metrics import TargetMetrics
from sparring.serving.runner import Service
from sparring.v1 import checks_pb2, referee_pb2
from sparring.v1.checks_pb2_grpc import add_ChecksServicer_to_server
from sparring.v1.referee_pb2_grpc import add_RefereeServicer_to_server


@asynccontextmanager
async def open_referee(config: RefereeConfig, registry: CollectorRegistry) -> AsyncIterator[tuple[Service, ...]]:
    """The services Referee and Checks, for the time of the block, at whose end everything handed in is in the ledger.
    Checks that the last referee left are taken up.

    Raises:
        ValueError: there is no attacker's reward of the configured name.
        BadOpponent: attacker or defender can't be called as configured.
    """
    pay = attacker_reward(config.rewards.attacker)
    attack = to_endpoint("attacker", config.attacker)
    defence = to_endpoint("defender", config.defender) if config.defender else None
    async with AsyncExitStack() as stack:
        ledger, metrics = EpisodeLedger(config.storage.root), RefereeMetrics(registry)
        threads = stack.enter_context(ThreadPoolExecutor(config.judges, thread_name_prefix="judge"))
        attacker = Attacker(attack, config.call_seconds)
        stack.push_async_callback(attacker.close)
        defender = Defender(defence, config.call_seconds) if defence else Absent()
        stack.push_async_callback(defender.close)
        committer = Committer(ledger)
        stack.push_async_callback(committer.close)
        table = Table(config, pay, attacker, defender, Bench(config, threads, metrics), ledger, committer, metrics)
        store = CheckStore(config.storage)
        checks = Checks(config.checks, store, Court(config, table, store, TargetMetrics(registry)), ledger)
        stack.push_async_callback(checks.close)
        await checks.resume()
        referee, desk = RefereeService(config, table), ChecksService(config, checks, store, ledger)
        yield (
            Service(
                referee_pb2.DESCRIPTOR.services_by_name["Referee"], partial(add_RefereeServicer_to_server, referee)
            ),
            Service(checks_pb2.DESCRIPTOR.services_by_name["Checks"], partial(add_ChecksServicer_to_server, desk)),
        )

"""The house of a check on this machine: a referee, an attacker, and the defender if it is ours to serve."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from sparring.attacker.config import AttackerConfig
from sparring.client.channel import Endpoint
from sparring.client.checks import AioChecksClient
from sparring.defender.config import DefenderConfig
from sparring.ledgers.records import RevisionName
from sparring.ledgers.weights import WeightsLedger
from sparring.ops.aim import Aim
from sparring.ops.checks.campaigns import Campaigned
from sparring.ops.checks.config import CheckConfig, LargeServing, ModelTarget, RunTarget
from sparring.ops.checks.folder import CheckFolder
from sparring.ops.checks.request import ENDPOINT
from sparring.ops.environment import child_environment, share_threads
from sparring.ops.staff import Staff
from sparring.ops.status import Status
from sparring.ops.supervisor import Server
from sparring.referee.config import Opponent, RefereeConfig
from sparring.referee.targets.config import OipConfig, OpenAiConfig, TargetsConfig
from sparring.serving.addresses import Addresses
from sparring.serving.config import WeightsConfig


@dataclass(frozen=True)
class Player:
    """A service, and which revisions it is to serve; without an aim it has what it needs."""

    server: Server[AttackerConfig] | Server[DefenderConfig]
    aim: Aim | None = None
    revisions: Sequence[RevisionName] = ()


def reconnecting(aim: Aim) -> Callable[[Addresses], Awaitable[None]]:
    """Tells a service that is back from a crash what it served."""

    async def ready(addresses: Addresses) -> None:
        await aim.connect(addresses.grpc)

    return ready


class CheckHouse:
    """Starts and keeps the processes of one check.

    Args:
        config: of the check.
        folder: where it is.
        attackers: the campaign whose attackers edit, if any do.
        status: for whoever watches.
    """

    def __init__(self, config: CheckConfig, folder: CheckFolder, attackers: Campaigned | None, status: Status) -> None:
        self._config, self._folder, self._attackers, self._status = config, folder, attackers, status
        target = config.target
        self._defenders = Campaigned(Path(target.run)) if isinstance(target, RunTarget) else None
        self._staff = Staff(folder.run, config.machine.restarts, child_environment(self._threads, self._bases()))

    @asynccontextmanager
    async def open(self) -> AsyncIterator[AioChecksClient]:
        """Everything running, for the time of the block.

        Raises:
            ProcessFailed: a service died for good.
            TargetFailed: a revision can't be served.
        """
        async with AsyncExitStack() as stack:
            start = await stack.enter_async_context(self._staff.at_work())
            self._status.begin("starting the services")
            players = [player for player in (self._attacker(), self._defender()) if player is not None]
            for player in players:
                start(player.server)
            attacker, *defender = [await self._settle(player, stack) for player in players]
            referee = self._staff.server("referee", self._referee(attacker, defender[0] if defender else None))
            start(referee)
            yield await stack.enter_async_context(AioChecksClient(Endpoint((await referee.addresses()).grpc)))

    async def _settle(self, player: Player, stack: AsyncExitStack) -> str:
        """Wait until a service serves what it should; returns where."""
        address = (await player.server.addresses()).grpc
        if player.aim is not None:
            stack.push_async_callback(player.aim.close)
            await player.aim.connect(address)
            await player.aim.set(player.revisions[0], player.revisions)
        return address

    def _attacker(self) -> Player:
        serving = self._staff.serving(LargeServing(), "attacker")
        if self._attackers is None:
            return Player(self._staff.server("attacker", AttackerConfig(serving=serving, threads=self._threads)))
        campaign = self._attackers
        config = AttackerConfig(
            serving=serving,
            storage=campaign.folder.storage,
            editor=campaign.config.editor,
            queue=campaign.config.attacker.queue,
            threads=self._threads,
        )
        aim = Aim("attacker", WeightsLedger(campaign.folder.root))
        revisions = [campaign.revision("attacker", name) for name in self._config.learned]
        return Player(self._staff.server("attacker", config, reconnecting(aim)), aim, revisions)

    def _defender(self) -> Player | None:
        serving, target = self._staff.serving(LargeServing(), "defender"), self._config.target
        if isinstance(target, ModelTarget):
            weights = WeightsConfig(serve_base=True)
            config = DefenderConfig(serving=serving, weights=weights, mllm=target.mllm, threads=self._threads)
            return Player(self._staff.server("defender", config))
        if not isinstance(target, RunTarget) or self._defenders is None:
            return None
        campaign = self._defenders
        config = DefenderConfig(
            serving=serving,
            storage=campaign.folder.storage,
            mllm=campaign.config.mllm,
            queue=campaign.config.defender.queue,
            threads=self._threads,
        )
        aim = Aim("defender", WeightsLedger(campaign.folder.root))
        revisions = [campaign.revision("defender", target.revision)]
        return Player(self._staff.server("defender", config, reconnecting(aim)), aim, revisions)

    def _referee(self, attacker: str, defender: str | None) -> RefereeConfig:
        part, target = self._config.referee, self._config.target
        foreign = isinstance(target, OpenAiConfig | OipConfig)
        return RefereeConfig(
            serving=self._staff.serving(part.serving, "referee"),
            storage=self._folder.run.storage,
            attacker=Opponent(address=attacker),
            defender=Opponent(address=defender) if defender else None,
            integrity=part.integrity,
            dataset_roots=self._config.data.roots,
            option_seed=part.option_seed,
            check_window=part.check_window,
            judges=part.judges,
            targets=TargetsConfig(named={ENDPOINT: target} if foreign else {}, cache=str(self._folder.answers)),
        )

    def _bases(self) -> list[str]:
        """Models that are opened here."""
        attackers = [self._attackers.config.editor.base] if self._attackers else []
        defenders = [self._defenders.config.mllm.base] if self._defenders else []
        served = [self._config.target.mllm.base] if isinstance(self._config.target, ModelTarget) else []
        return [*attackers, *defenders, *served]

    @property
    def _threads(self) -> int:
        """Of attacker and defender, which work at the same time."""
        return share_threads(self._config.machine.threads or os.cpu_count() or 1, 2)

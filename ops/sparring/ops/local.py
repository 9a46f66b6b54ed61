"""The house of a campaign on this machine: three services and a trainer as supervised child processes."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path

from pydantic import BaseModel

from sparring.attacker.config import AttackerConfig
from sparring.client.channel import Endpoint
from sparring.client.client import AioClient
from sparring.defender.config import DefenderConfig
from sparring.ledgers.entries import PhaseStarted
from sparring.ledgers.episodes import EpisodeLedger
from sparring.ledgers.revision import ROLES, Role
from sparring.ledgers.weights import WeightsLedger
from sparring.ops.aim import Aim
from sparring.ops.bases import BasesConfig
from sparring.ops.config import AttackerPhase, CampaignConfig
from sparring.ops.environment import child_environment, share_threads
from sparring.ops.errors import ProcessFailed
from sparring.ops.folder import RunFolder
from sparring.ops.house import House
from sparring.ops.process import python
from sparring.ops.seeds import seed_of
from sparring.ops.staff import Staff
from sparring.ops.status import Status
from sparring.ops.supervisor import Server, keep
from sparring.referee.config import Opponent, RefereeConfig
from sparring.serving.addresses import Addresses
from sparring.trainer.config import TrainerConfig

MATCHES = 256
"""Matches that the referee plays at the same time, at least."""
_CLEAN_EXITS = 3
"""Times that a trainer may end well without having done all its steps, as it does when somebody else stops it."""


class Local:
    """Starts and keeps the processes of one campaign."""

    def __init__(self, config: CampaignConfig, folder: RunFolder, status: Status) -> None:
        self._config, self._folder, self._status = config, folder, status
        self._weights = WeightsLedger(folder.root)
        self._aims: Mapping[Role, Aim] = {role: Aim(role, self._weights) for role in ROLES}
        bases = [config.policy(role).base for role in ROLES]
        self._staff = Staff(folder, config.machine.restarts, child_environment(self._threads, bases))

    @asynccontextmanager
    async def open(self) -> AsyncIterator[House]:
        """Everything running, for the time of the block.

        Raises:
            ProcessFailed: a service died for good.
        """
        async with AsyncExitStack() as stack:
            start = await stack.enter_async_context(self._staff.at_work())
            self._status.begin("starting attacker, defender and referee")
            players = {role: self._player(role) for role in ROLES}
            for player in players.values():
                start(player)
            found = {role: (await server.addresses()).grpc for role, server in players.items()}
            referee = self._staff.server("referee", self._referee(found))
            start(referee)
            address = (await referee.addresses()).grpc
            client = await stack.enter_async_context(AioClient(Endpoint(address)))
            for aim in self._aims.values():
                stack.push_async_callback(aim.close)
            yield House(
                config=self._config,
                folder=self._folder,
                episodes=EpisodeLedger(self._folder.root),
                weights=self._weights,
                referee=client,
                aims=self._aims,
                train=self.train,
                publish_bases=self.publish_bases,
                status=self._status,
            )

    def _player(self, role: Role) -> Server[AttackerConfig] | Server[DefenderConfig]:
        """The service of attacker or defender, which is told its target each time it has started."""
        aim, config, storage = self._aims[role], self._config, self._folder.storage

        async def ready(addresses: Addresses) -> None:
            await aim.connect(addresses.grpc)

        if role == "attacker":
            attacker = AttackerConfig(
                serving=self._staff.serving(config.attacker.serving, role),
                storage=storage,
                editor=config.editor,
                queue=config.attacker.queue,
                threads=self._threads,
            )
            return self._staff.server(role, attacker, ready)
        defender = DefenderConfig(
            serving=self._staff.serving(config.defender.serving, role),
            storage=storage,
            mllm=config.mllm,
            queue=config.defender.queue,
            threads=self._threads,
        )
        return self._staff.server(role, defender, ready)

    def _referee(self, found: Mapping[Role, str]) -> RefereeConfig:
        part, phases = self._config.referee, [self._config.phase(role) for role in ROLES]
        return RefereeConfig(
            serving=self._staff.serving(part.serving, "referee"),
            storage=self._folder.storage,
            attacker=Opponent(address=found["attacker"]),
            defender=Opponent(address=found["defender"]),
            integrity=part.integrity,
            rewards=part.rewards,
            dataset_roots=self._config.data.roots,
            option_seed=part.option_seed,
            matches=max(MATCHES, *((phase.max_staleness + 1) * phase.groups for phase in phases)),
            check_window=part.check_window,
            judges=part.judges,
        )

    @property
    def _threads(self) -> int:
        """Of attacker, defender and each rank of the trainer, which all work at the same time."""
        budget = self._config.machine.threads or os.cpu_count() or 1
        ranks = max(self._config.phase(role).processes for role in ROLES)
        return share_threads(budget, 2 + ranks)

    async def publish_bases(self, roles: Sequence[Role]) -> None:
        """Make the base weights of `roles` their first revisions."""
        config = BasesConfig(
            storage=self._folder.storage,
            campaign=self._config.campaign,
            seed=self._config.seed,
            roles=tuple(roles),
            attacker=self._config.editor,
            defender=self._config.mllm,
        )
        file = self._write("bases", config)
        command = self._staff.command("bases", python("sparring.ops.bases", "--config", str(file)))
        await keep(command, self._config.machine.restarts)

    async def train(self, started: PhaseStarted) -> None:
        """Run the trainer of a phase until its last manifest is there.

        Raises:
            ProcessFailed: it died too often, or ended well too often without being done.
        """
        file = self._write("trainer", self._trainer(started))
        ranks = self._config.phase(started.role).processes
        log = self._folder.log("trainer")
        # Each rank is guarded as well, so that the launcher's death takes it along, and its log has only its own words.
        rank = python("sparring.ops.guard", "--append-to", str(log), *python("sparring.trainer", "--config", str(file)))
        launcher = python("torch.distributed.run", "--standalone", f"--nproc-per-node={ranks}", "--no-python", *rank)
        command = replace(self._staff.command("trainer", launcher), output=self._folder.log("launcher"))
        for _ in range(_CLEAN_EXITS):
            await keep(command, self._config.machine.restarts)
            if await asyncio.to_thread(self._is_done, started):
                return
        raise ProcessFailed(
            f"the trainer ended {_CLEAN_EXITS} times without finishing {started.phase}; the end of {command.log}:\n"
            f"{command.tail()}"
        )

    def _is_done(self, started: PhaseStarted) -> bool:
        found = self._weights.revisions(self._config.campaign, started.role)
        steps = [manifest.step for manifest in found if manifest.phase == started.phase]
        return bool(steps) and steps[-1] >= started.steps

    def _trainer(self, started: PhaseStarted) -> TrainerConfig:
        phase = self._config.phase(started.role)
        return TrainerConfig(
            storage=self._folder.storage,
            campaign=self._config.campaign,
            phase=started.phase,
            role=started.role,
            policy=self._config.policy(started.role),
            sampling=phase.editing if isinstance(phase, AttackerPhase) else phase.answering,
            start=started.parent,
            steps=started.steps,
            groups=phase.groups,
            updates=phase.updates,
            max_staleness=phase.max_staleness,
            objective=phase.objective,
            optimizer=phase.optimizer,
            engine=phase.engine.model_copy(update={"threads": self._threads}),
            limits=phase.limits,
            checkpoints=str(self._folder.checkpoints(started.phase)),
            checkpoint_every=phase.checkpoint_every,
            metrics_port=phase.metrics_port,
            seed=seed_of(self._config.seed, started.phase) % 2**31,
        )

    def _write(self, name: str, config: BaseModel) -> Path:
        file = self._folder.config(name)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(config.model_dump_json(indent=2))
        return file

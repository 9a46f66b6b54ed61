"""Everything that a running campaign works with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from sparring.client.client import AioClient
from sparring.ledgers.entries import PhaseStarted
from sparring.ledgers.episodes import EpisodeLedger
from sparring.ledgers.revision import Role
from sparring.ledgers.weights import WeightsLedger
from sparring.ops.aim import Aim
from sparring.ops.config import CampaignConfig
from sparring.ops.folder import RunFolder
from sparring.ops.status import Status


class Trains(Protocol):
    """Runs the trainer of a phase until it has ended well."""

    async def __call__(self, started: PhaseStarted) -> None: ...


class PublishesBases(Protocol):
    """Makes the base weights of roles their first revisions."""

    async def __call__(self, roles: Sequence[Role]) -> None: ...


@dataclass(frozen=True)
class House:
    """What a running campaign works with.

    Attributes:
        config: of the campaign.
        folder: where everything is.
        episodes, weights: the ledgers.
        referee: plays and checks.
        aims: tells attacker and defender what to serve.
        train: runs a trainer.
        publish_bases: makes the first revisions.
        status: for whoever watches.
    """

    config: CampaignConfig
    folder: RunFolder
    episodes: EpisodeLedger
    weights: WeightsLedger
    referee: AioClient
    aims: Mapping[Role, Aim]
    train: Trains
    publish_bases: PublishesBases
    status: Status

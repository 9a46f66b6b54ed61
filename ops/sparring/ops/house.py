"""Everything that a running campaign works with."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from sparring.ledgers.entries import PhaseStarted
from sparring.ledgers.episodes import EpisodeLedger
from sparring.ledgers.records import RevisionName
from sparring.ledgers.revision import Role
from sparring.ledgers.weights import WeightsLedger
from sparring.ops.config import CampaignConfig
from sparring.ops.folder import RunFolder
from sparring.ops.status import Status
from sparring.v1 import referee_pb2, revision_pb2


class PlaysMatches(Protocol):
    """A referee; see `sparring.client.client.AioClient`."""

    def play(self, request: referee_pb2.PlayRequest, *, seconds: float) -> AsyncIterator[referee_pb2.PlayResponse]: ...

    def check(
        self, request: referee_pb2.CheckRequest, *, seconds: float
    ) -> AsyncIterator[referee_pb2.CheckResponse]: ...


class Serves(Protocol):
    """A service that can be told what to serve; see `sparring.ops.aim.Aim`."""

    async def set(self, active: RevisionName, resident: Sequence[RevisionName] = ()) -> revision_pb2.Revision: ...


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
    referee: PlaysMatches
    aims: Mapping[Role, Serves]
    train: Trains
    publish_bases: PublishesBases
    status: Status

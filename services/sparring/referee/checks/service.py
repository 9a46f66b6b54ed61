"""The Checks service: messages in, messages out."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

from sparring.ledgers.episodes import EpisodeLedger
from sparring.referee.asked import Asked
from sparring.referee.checks.checks import Checks
from sparring.referee.checks.endpoint import to_endpoint
from sparring.referee.checks.intake import Received, receive_samples, receive_spec
from sparring.referee.checks.messages import to_check, unclear
from sparring.referee.checks.record import CheckRecord
from sparring.referee.checks.store import CheckStore, name_of
from sparring.referee.config import RefereeConfig
from sparring.referee.evidence import gather
from sparring.referee.facts import DatasetFacts
from sparring.referee.report import CheckReport, report
from sparring.referee.targets.admission import admit
from sparring.samples.catalog import open_dataset
from sparring.serving.authentication import caller
from sparring.serving.errors import InvalidRequest
from sparring.serving.interceptor import Context
from sparring.v1 import checks_pb2
from sparring.v1.checks_pb2_grpc import ChecksServicer


class ChecksService(ChecksServicer):
    """Takes in checks and tells of them; see the contract.

    Args:
        config: limits.
        checks: plays them.
        store: takes in their samples.
        ledger: what reports are made of.
    """

    def __init__(self, config: RefereeConfig, checks: Checks, store: CheckStore, ledger: EpisodeLedger) -> None:
        self._config, self._checks, self._store, self._ledger = config, checks, store, ledger

    async def Submit(  # noqa: N802  # gRPC's name
        self, requests: AsyncIterator[checks_pb2.SubmitRequest], context: Context
    ) -> checks_pb2.SubmitResponse:
        spec = await receive_spec(requests)
        owner = caller()
        check_id = name_of(owner, spec.request_id)
        with self._store.arriving(check_id) as file:
            received = await receive_samples(
                requests,
                file,
                max_image_bytes=self._config.serving.max_image_bytes,
                max_bytes=self._config.checks.upload_bytes,
            )
            await asyncio.to_thread(self._examine, spec, received)
            record = CheckRecord(check_id, owner, spec, received.count, received.digest, datetime.now(UTC))
            standing = await self._checks.submit(record, file)
        return checks_pb2.SubmitResponse(check=to_check(standing))

    def _examine(self, spec: checks_pb2.CheckSpec, received: Received) -> None:
        """What is known to be wrong before anything begins.

        Raises:
            InvalidRequest, BadTarget, BadDataset, OutsideRoots: it can't be played.
        """
        if violations := tuple(unclear(spec, received.count)):
            raise InvalidRequest(violations)
        if (endpoint := to_endpoint(spec.model, self._config.targets)) is not None:
            admit(endpoint.target, endpoint.rules)
        if not received.count:
            open_dataset(spec.dataset.uri, [Path(root) for root in self._config.dataset_roots])

    async def Watch(  # noqa: N802  # gRPC's name
        self, request: checks_pb2.WatchRequest, context: Context
    ) -> AsyncIterator[checks_pb2.WatchResponse]:
        async for standing in self._checks.watch(caller(), request.check_id):
            yield checks_pb2.WatchResponse(check=to_check(standing))

    async def GetReport(  # noqa: N802  # gRPC's name
        self, request: checks_pb2.GetReportRequest, context: Context
    ) -> checks_pb2.GetReportResponse:
        found = await asyncio.to_thread(self._report, caller(), request.check_id)
        return checks_pb2.GetReportResponse(report=found.model_dump_json(by_alias=True))

    def _report(self, owner: str, check_id: str) -> CheckReport:
        record, ended = self._checks.ended(owner, check_id)
        evidence = gather(self._ledger, self._ledger.scan(campaign=record.check_id))
        asked, facts = Asked.model_validate(ended.asked), DatasetFacts.model_validate(ended.dataset)
        return report(asked, evidence, facts, ended.ending)

    async def List(  # noqa: N802  # gRPC's name
        self, request: checks_pb2.ListRequest, context: Context
    ) -> checks_pb2.ListResponse:
        found = await asyncio.to_thread(self._checks.mine, caller())
        return checks_pb2.ListResponse(checks=map(to_check, found))

    async def Cancel(  # noqa: N802  # gRPC's name
        self, request: checks_pb2.CancelRequest, context: Context
    ) -> checks_pb2.CancelResponse:
        return checks_pb2.CancelResponse(check=to_check(await self._checks.cancel(caller(), request.check_id)))

    async def Delete(  # noqa: N802  # gRPC's name
        self, request: checks_pb2.DeleteRequest, context: Context
    ) -> checks_pb2.DeleteResponse:
        await self._checks.delete(caller(), request.check_id)
        return checks_pb2.DeleteResponse()

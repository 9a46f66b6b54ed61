"""A referee that does what the match id says, on a free port of the loopback."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from google.rpc.code_pb2 import INVALID_ARGUMENT, RESOURCE_EXHAUSTED, UNAVAILABLE
from google.rpc.error_details_pb2 import BadRequest, RetryInfo
from google.rpc.status_pb2 import Status
from grpc_status import rpc_status

from sparring.v1 import referee_pb2, referee_pb2_grpc


@dataclass
class Scripted(referee_pb2_grpc.RefereeServicer):
    """Notes what it is asked; `left` is set when a caller has stopped listening."""

    port: int = 0
    metadata: list[dict[str, str]] = field(default_factory=list)
    left: threading.Event = field(default_factory=threading.Event)

    def Play(  # noqa: N802  # gRPC's name
        self, request: referee_pb2.PlayRequest, context: grpc.ServicerContext
    ) -> Iterator[referee_pb2.PlayResponse]:
        self.metadata.append(dict(context.invocation_metadata()))
        context.add_callback(self.left.set)
        match request.key.match_id:
            case "bad":
                refuse(context, INVALID_ARGUMENT, "no good", wrong("sample.image", "is empty"), wrong("seed", "is odd"))
            case "full":
                refuse(context, RESOURCE_EXHAUSTED, "no room", RetryInfo(retry_delay=Duration(nanos=250_000_000)))
            case "bare":
                context.abort(grpc.StatusCode.NOT_FOUND, "not here")
            case "once" if len(self.metadata) == 1:
                refuse(context, UNAVAILABLE, "starting")
        yield referee_pb2.PlayResponse(judged=referee_pb2.Judged(edit_id="e0", valid=True))
        if request.key.match_id == "broken":
            refuse(context, UNAVAILABLE, "going")
        if request.key.match_id == "endless":
            self.left.wait(30)
        yield referee_pb2.PlayResponse(played=referee_pb2.Played(group_id=request.key.match_id))

    def Check(  # noqa: N802  # gRPC's name
        self, request: referee_pb2.CheckRequest, context: grpc.ServicerContext
    ) -> Iterator[referee_pb2.CheckResponse]:
        yield referee_pb2.CheckResponse(progress=referee_pb2.CheckProgress(done=1, total=1))
        yield referee_pb2.CheckResponse(report=referee_pb2.CheckReport(clean=referee_pb2.Share(value=0.5, n=4)))


def wrong(path: str, description: str) -> BadRequest:
    return BadRequest(field_violations=[BadRequest.FieldViolation(field=path, description=description)])


def refuse(context: grpc.ServicerContext, code: int, message: str, *details: BadRequest | RetryInfo) -> None:
    status = Status(code=code, message=message)
    for detail in details:
        status.details.add().Pack(detail)
    context.abort_with_status(rpc_status.to_status(status))


@pytest.fixture
def serve() -> Iterator[Callable[..., Scripted]]:
    """Start a referee, with TLS if credentials are given."""
    servers = []

    def start(credentials: grpc.ServerCredentials | None = None) -> Scripted:
        server = grpc.server(ThreadPoolExecutor(4), options=[("grpc.max_receive_message_length", 64 * 2**20)])
        scripted = Scripted()
        referee_pb2_grpc.add_RefereeServicer_to_server(scripted, server)
        if credentials is None:
            scripted.port = server.add_insecure_port("127.0.0.1:0")
        else:
            scripted.port = server.add_secure_port("127.0.0.1:0", credentials)
        server.start()
        servers.append(server)
        return scripted

    yield start
    for server in servers:
        server.stop(0).wait()


@pytest.fixture
def referee(serve: Callable[..., Scripted]) -> Scripted:
    return serve()

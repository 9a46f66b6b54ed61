"""What the referee's caller is told when an opponent gives no result."""

from __future__ import annotations

import grpc
import pytest

from sparring.client.errors import Refused
from sparring.referee.errors import OpponentError, nonsense, plain
from sparring.v1 import defender_pb2
from sparring.v1.defender_pb2_grpc import DefenderServicer, DefenderStub, add_DefenderServicer_to_server

Code = grpc.StatusCode
SAME = [
    Code.INVALID_ARGUMENT,
    Code.NOT_FOUND,
    Code.FAILED_PRECONDITION,
    Code.UNAVAILABLE,
    Code.RESOURCE_EXHAUSTED,
    Code.DEADLINE_EXCEEDED,
]
OTHER = {
    Code.CANCELLED: Code.UNAVAILABLE,
    Code.ABORTED: Code.UNAVAILABLE,
    Code.UNAUTHENTICATED: Code.FAILED_PRECONDITION,
    Code.PERMISSION_DENIED: Code.FAILED_PRECONDITION,
}


@pytest.mark.parametrize("code", [code for code in Code if code is not Code.OK])
def test_a_status_keeps_its_meaning(code: grpc.StatusCode) -> None:
    error = OpponentError("defender", Refused(code, "no"), "d:1")
    assert error.status is (code if code in SAME else OTHER.get(code, Code.INTERNAL))
    assert (error.who, error.code) == ("defender", code)
    assert str(error).startswith(f"defender at d:1: {code.name}: no")


def test_nonsense_is_internal() -> None:
    assert (nonsense("attacker", "a cat").status, str(nonsense("attacker", "a cat"))) == (
        Code.INTERNAL,
        "attacker: INTERNAL: it replied with a cat",
    )


def test_fields_are_named_with_whose_they_are() -> None:
    error = OpponentError("attacker", Refused(Code.INVALID_ARGUMENT, "no", (("targets", "no room"), ("", "odd"))))
    assert [(v.field, v.message) for v in error.violations] == [("attacker.targets", "no room"), ("attacker", "odd")]
    bare = OpponentError("attacker", Refused(Code.INVALID_ARGUMENT, "no"))
    assert [(v.field, v.message) for v in bare.violations] == [("attacker", "no")]
    assert OpponentError("attacker", Refused(Code.NOT_FOUND, "no")).violations == ()


def test_when_to_come_again_is_kept() -> None:
    assert OpponentError("defender", Refused(Code.RESOURCE_EXHAUSTED, "full", retry_seconds=0.5)).retry_seconds == 0.5
    assert OpponentError("defender", Refused(Code.UNAVAILABLE, "away")).retry_seconds is None


class Echo(DefenderServicer):
    """Answers with as many letters as the seed says."""

    async def Answer(  # noqa: N802  # gRPC's name
        self, request: defender_pb2.AnswerRequest, context: grpc.aio.ServicerContext
    ) -> defender_pb2.AnswerResponse:
        return defender_pb2.AnswerResponse(answers=[defender_pb2.Answer(text="x" * request.seed)])


async def test_a_message_over_a_limit_of_grpc_is_no_full_queue() -> None:
    """gRPC tells both alike; its words are what tells them apart, so they are tested against gRPC itself."""
    server = grpc.aio.server(options=[("grpc.max_receive_message_length", 2000), ("grpc.so_reuseport", 0)])
    add_DefenderServicer_to_server(Echo(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    limits = [("grpc.max_send_message_length", 5000), ("grpc.max_receive_message_length", 3000)]
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}", options=limits) as channel:
        for size, seed in ((3000, 1), (9000, 1), (10, 4000)):
            request = defender_pb2.AnswerRequest(image=b"x" * size, seed=seed)
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await DefenderStub(channel).Answer(request, timeout=30)
            said = Refused(caught.value.code(), caught.value.details() or "")
            assert said.code is Code.RESOURCE_EXHAUSTED
            assert plain(said).code is Code.INVALID_ARGUMENT
    await server.stop(0)
    full = Refused(Code.RESOURCE_EXHAUSTED, "Concurrent RPC limit exceeded!")
    assert plain(full) is full

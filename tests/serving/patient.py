"""A process that serves a defender which takes its time: `python patient.py CONFIG`, the configuration as JSON."""

from __future__ import annotations

import asyncio
import sys

from prometheus_client import CollectorRegistry

from sparring.serving.config import ServingConfig
from sparring.serving.runner import Service, serve
from sparring.v1 import defender_pb2, defender_pb2_grpc


class Patient(defender_pb2_grpc.DefenderServicer):
    """Answers at once, but a call for `soon` after a line on its input, and one `for ever` never."""

    async def Answer(self, request, context):  # noqa: N802  # gRPC's name
        print("entered", flush=True)
        match request.prompt:
            case "for ever":
                await asyncio.Event().wait()
            case "soon":
                await asyncio.to_thread(sys.stdin.readline)
        return defender_pb2.AnswerResponse(answers=[defender_pb2.Answer(text="done")])


async def main() -> None:
    service = Service(
        defender_pb2.DESCRIPTOR.services_by_name["Defender"],
        lambda server: defender_pb2_grpc.add_DefenderServicer_to_server(Patient(), server),
    )
    await serve(ServingConfig.model_validate_json(sys.argv[1]), [service], registry=CollectorRegistry())


asyncio.run(main())

"""Whoever has nothing but reflection, as grpcurl has, can check a model."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import grpc
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.json_format import MessageToDict, Parse
from google.protobuf.message_factory import GetMessageClass
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

from sparring.ledgers.storage import Storage
from sparring.referee.config import Opponent, RefereeConfig
from sparring.referee.opening import open_referee
from sparring.serving.config import ServingConfig
from sparring.serving.metrics import new_registry
from sparring.serving.runner import Runner

from .conftest import SAMPLES, URI

ASKED = {
    "spec": {
        "requestId": "by-hand",
        "model": {"defender": {"name": "c/defender/000002"}},
        "dataset": {"uri": URI, "limit": SAMPLES},
        "budget": 1,
        "sampling": {"maxTokens": 9},
    }
}
SERVICE = "sparring.v1.Checks"


def submit(address: str) -> dict[str, Any]:
    """What grpcurl does: learn the messages from the server, and call it."""
    with grpc.insecure_channel(address) as channel:
        pool = DescriptorPool(ProtoReflectionDescriptorDatabase(channel))
        method = pool.FindServiceByName(SERVICE).FindMethodByName("Submit")
        request, response = GetMessageClass(method.input_type), GetMessageClass(method.output_type)
        call = channel.stream_unary(
            f"/{SERVICE}/Submit",
            request_serializer=request.SerializeToString,
            response_deserializer=response.FromString,
        )
        return MessageToDict(call(iter([Parse(json.dumps(ASKED), request(), descriptor_pool=pool)]), timeout=60))


async def test_a_check_is_submitted_by_reflection_alone(tmp_path: Path) -> None:
    config = RefereeConfig(
        serving=ServingConfig(), storage=Storage(root=str(tmp_path)), attacker=Opponent(address="127.0.0.1:1")
    )
    registry = new_registry()
    async with open_referee(config, registry) as services:
        runner = Runner(config.serving, services, registry=registry)
        addresses = await runner.start()
        told = await asyncio.to_thread(submit, addresses.grpc)
        await runner.drain()
    assert told["check"]["requestId"] == "by-hand"
    assert told["check"]["wanted"] == SAMPLES

"""Serves an attacker without an editor, has it edit, and prints which modules that took.

python modelless.py FOLDER
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from pathlib import Path

import grpc
import numpy as np

from sparring.attacker.__main__ import run
from sparring.attacker.config import AttackerConfig
from sparring.samples.images import encode_png
from sparring.serving.addresses import Addresses
from sparring.serving.config import ServingConfig
from sparring.v1 import attacker_pb2
from sparring.v1.attacker_pb2_grpc import AttackerStub


async def main(addresses: Path) -> None:
    config = AttackerConfig(serving=ServingConfig(address_file=str(addresses), open_inference=True, rest_port=0))
    service = asyncio.create_task(run(config))
    async with asyncio.timeout(60):
        while not addresses.exists():
            assert not service.done(), service.exception()
            await asyncio.sleep(0.01)
    request = attacker_pb2.EditRequest(
        image=encode_png(np.zeros((24, 32, 3), np.uint8)),
        seeds=[1, 2],
        procedural=attacker_pb2.ProceduralAttack(name="add"),
        control=True,
    )
    async with grpc.aio.insecure_channel(Addresses.read(addresses).grpc) as channel:
        replies = [reply.WhichOneof("result") async for reply in AttackerStub(channel).Edit(request, timeout=60)]
    os.kill(os.getpid(), signal.SIGTERM)
    await service
    print(json.dumps({"replies": replies, "modules": [*sys.modules]}))


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]) / "addresses.json"))

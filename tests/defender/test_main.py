from __future__ import annotations

import asyncio
import json
import sys
from importlib.resources import files
from pathlib import Path

import grpc

from sparring.defender.config import DefenderConfig
from sparring.ledgers.storage import Storage
from sparring.policies.config import MllmConfig
from sparring.serving.addresses import Addresses
from sparring.serving.config import ServingConfig, WeightsConfig
from sparring.v1.defender_pb2_grpc import DefenderStub


async def test_a_process_serves_the_small_defender_until_it_is_told_to_stop(tmp_path: Path, request_answers):
    addresses = tmp_path / "addresses.json"
    config = DefenderConfig(
        serving=ServingConfig(address_file=str(addresses)),
        storage=Storage(root=str(tmp_path / "root")),
        weights=WeightsConfig(serve_base=True),
        mllm=MllmConfig(base=str(files("sparring.ops") / "small" / "defender")),
    )
    (tmp_path / "config.json").write_text(config.model_dump_json())
    arguments = (sys.executable, "-m", "sparring.defender", "--config", str(tmp_path / "config.json"))
    process = await asyncio.create_subprocess_exec(*arguments, stderr=asyncio.subprocess.PIPE)
    try:
        async with asyncio.timeout(240):
            while not addresses.exists():
                assert process.returncode is None, (await process.stderr.read()).decode()
                await asyncio.sleep(0.05)
        async with grpc.aio.insecure_channel(Addresses.read(addresses).grpc) as channel:
            response = await DefenderStub(channel).Answer(request_answers("where?", 2), timeout=60)
        process.terminate()
        errors = (await process.stderr.read()).decode()
        assert await process.wait() == 0
    finally:
        if process.returncode is None:
            process.kill()
    assert len(response.answers) == 2
    lines = [json.loads(line) for line in errors.splitlines() if line.startswith("{")]
    assert [line["event"] for line in lines] == ["listening", "call", "draining", "stopped"]

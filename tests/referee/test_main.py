"""The referee as a process: it starts, serves and goes in order."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

import grpc
import pytest

from sparring.ledgers.storage import Storage
from sparring.referee.config import Opponent, RefereeConfig
from sparring.serving.addresses import Addresses
from sparring.serving.config import ServingConfig
from sparring.v1 import referee_pb2
from sparring.v1.referee_pb2_grpc import RefereeStub


async def test_a_process_serves_until_it_is_told_to_stop(tmp_path: Path) -> None:
    addresses = tmp_path / "addresses.json"
    config = RefereeConfig(
        serving=ServingConfig(address_file=str(addresses)),
        storage=Storage(root=str(tmp_path / "root")),
        attacker=Opponent(address="127.0.0.1:1"),
        defender=Opponent(address="127.0.0.1:1"),
    )
    (tmp_path / "config.json").write_text(config.model_dump_json())
    arguments = (sys.executable, "-m", "sparring.referee", "--config", str(tmp_path / "config.json"))
    process = await asyncio.create_subprocess_exec(*arguments, stderr=asyncio.subprocess.PIPE)
    assert process.stderr is not None
    try:
        async with asyncio.timeout(120):
            while not addresses.exists():
                assert process.returncode is None, (await process.stderr.read()).decode()
                await asyncio.sleep(0.05)
        async with grpc.aio.insecure_channel(Addresses.read(addresses).grpc) as channel:
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await RefereeStub(channel).Play(referee_pb2.PlayRequest(), timeout=60).read()
        process.terminate()
        errors = (await process.stderr.read()).decode()
        assert await process.wait() == 0
    finally:
        if process.returncode is None:
            process.kill()
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    lines = [json.loads(line) for line in errors.splitlines() if line.startswith("{")]
    assert {line["event"] for line in lines} == {"listening", "call", "draining", "stopped"}
    assert [line["code"] for line in lines if line["event"] == "call"] == ["INVALID_ARGUMENT"]

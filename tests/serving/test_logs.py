from __future__ import annotations

import json
import sys

import grpc
import pytest
import structlog

from sparring.serving.logs import configure


async def test_a_call_is_one_line_of_json_that_tells_nothing_of_what_was_asked(launch, ask, capsys, monkeypatch):
    monkeypatch.setattr("sys.stderr", sys.stdout)
    configure("info")
    async with launch() as running:
        await running.defender.Answer(ask("a private question"))
        with pytest.raises(grpc.aio.AioRpcError):
            await running.defender.Answer(ask("bug"))
    text = capsys.readouterr().out
    lines = [json.loads(line) for line in text.splitlines()]
    calls = [line for line in lines if line["event"] == "call"]
    assert [(call["method"], call["code"], call["level"]) for call in calls] == [
        ("/sparring.v1.Defender/Answer", "OK", "info"),
        ("/sparring.v1.Defender/Answer", "INTERNAL", "warning"),
    ]
    assert all(call["seconds"] > 0 for call in calls)
    (failure,) = [line for line in lines if line["event"] == "call failed"]
    assert failure["exception"][-1]["exc_type"] == "ZeroDivisionError"
    assert failure["error_id"] in calls[1]["details"]
    assert "private" not in text
    assert "locals" not in text


def test_lower_levels_are_left_out(capsys, monkeypatch):
    monkeypatch.setattr("sys.stderr", sys.stdout)
    configure("warning")
    log = structlog.get_logger("x")
    log.info("small talk")
    log.warning("look out")
    assert [json.loads(line)["event"] for line in capsys.readouterr().out.splitlines()] == ["look out"]

from __future__ import annotations

import json
import sys

import grpc
import pytest
import structlog

from sparring.serving.interceptor import Call
from sparring.serving.logs import CallLog, configure


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


class Fleeting:
    """A call's context as gRPC has it: to ask it for its peer when the call is over ends the process."""

    over = False

    def peer(self) -> str:
        assert not self.over, "asked for the peer of a call that is over"
        return "ipv4:127.0.0.1:1"

    def code(self) -> None:
        return None

    def details(self) -> str:
        return ""


async def test_a_call_that_is_over_is_not_asked_for_its_peer(capsys, monkeypatch):
    monkeypatch.setattr("sys.stderr", sys.stdout)
    configure("info")
    context = Fleeting()
    async with CallLog().around(Call("/sparring.v1.Referee/Play", "server_stream", None, context)):
        context.over = True
    assert "127.0.0.1:1" in capsys.readouterr().out

"""Opponents that demand TLS and a token: how they are reached, and what is said when they can't be."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import grpc
import pytest
from prometheus_client import CollectorRegistry

from sparring.ledgers.records import Outcome
from sparring.referee.config import Opponent, RefereeConfig
from sparring.referee.endpoints import BadOpponent, to_endpoint
from sparring.referee.opening import open_referee
from sparring.serving.config import Caller, ServingConfig, Tls
from sparring.serving.runner import Runner, Service
from sparring.v1 import defender_pb2, referee_pb2
from sparring.v1.defender_pb2_grpc import add_DefenderServicer_to_server
from tests.certificates import issue

from .conftest import Open, Requests, refusal
from .players import Pupil

TOKEN = "open-sesame"


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A folder with what both sides of mutual TLS need, and the token."""
    folder, authority = tmp_path / "secrets", issue("throwaway authority")
    folder.mkdir()
    for name in ("server", "client"):
        certificate = issue(name, authority)
        (folder / f"{name}.pem").write_bytes(certificate.pem)
        (folder / f"{name}.key").write_bytes(certificate.key_pem)
    (folder / "roots.pem").write_bytes(authority.pem)
    (folder / "token").write_text(f"{TOKEN}\n")
    return folder


@asynccontextmanager
async def guarded(files: Path, *, mutual: bool = False) -> AsyncIterator[str]:
    """The address of a defender, behind the real runner, that lets in nobody without TLS and the token."""
    callers = (Caller(name="referee", token_sha256=hashlib.sha256(TOKEN.encode()).hexdigest()),)
    roots = str(files / "roots.pem") if mutual else None
    tls = Tls(certificate=str(files / "server.pem"), key=str(files / "server.key"), client_ca=roots)
    service = Service(
        defender_pb2.DESCRIPTOR.services_by_name["Defender"],
        lambda server: add_DefenderServicer_to_server(Pupil(), server),
    )
    config = ServingConfig(tls=tls, callers=callers, drain_seconds=5, log_level="error")
    runner = Runner(config, [service], registry=CollectorRegistry())
    addresses = await runner.start()
    yield f"localhost:{addresses.grpc.rpartition(':')[2]}"
    await runner.drain()


async def test_a_defender_behind_tls_and_a_token_plays(ring: Open, request_of: Requests, files: Path) -> None:
    own = {"certificate": str(files / "client.pem"), "key": str(files / "client.key")}
    for mutual in (False, True):
        async with guarded(files, mutual=mutual) as address:
            defender = Opponent(
                address=address,
                token_file=str(files / "token"),
                roots=str(files / "roots.pem"),
                **own if mutual else {},
            )
            async with ring(defender=defender) as it:
                played = (await it.play(request_of("plain", match=f"c/p/{mutual:d}")))[-1].played
            assert (played.outcome, played.valid) == (referee_pb2.OUTCOME_PLAYED, 1)


async def test_a_wrong_token_is_told_as_the_referees(ring: Open, request_of: Requests, files: Path) -> None:
    (files / "token").write_text("guess")
    async with guarded(files) as address:
        defender = Opponent(address=address, token_file=str(files / "token"), roots=str(files / "roots.pem"))
        async with ring(defender=defender) as it:
            said = await refusal(it, request_of())
            (episode,) = it.episodes
            assert it.value("sparring_opponent_errors_total", opponent="defender", code="UNAUTHENTICATED") == 1
    assert said.code is grpc.StatusCode.FAILED_PRECONDITION, "the caller's own credential was good"
    assert f"defender at {address}: UNAUTHENTICATED: send a bearer token" in said.message
    assert "defender.token_file" in said.message
    assert "guess" not in said.message
    assert (episode.outcome, episode.error) == (Outcome.FAILED, said.message)


async def test_a_missing_file_is_found_out_at_the_start(files: Path) -> None:
    lost = str(files / "lost")
    plain = Opponent(address="localhost:1")
    for side in ("attacker", "defender"):
        sides = {"attacker": plain, "defender": plain, side: Opponent(address="localhost:1", token_file=lost)}
        with pytest.raises(BadOpponent, match=rf"^{side}\.token_file: {lost} can't be read: No such file"):
            async with open_referee(RefereeConfig(**sides), CollectorRegistry()):
                pass


@pytest.mark.parametrize("setting", ["roots", "certificate", "key"])
def test_a_file_that_is_no_pem_is_named(files: Path, setting: str) -> None:
    settings = {
        "roots": str(files / "roots.pem"),
        "certificate": str(files / "client.pem"),
        "key": str(files / "client.key"),
    }
    assert to_endpoint("attacker", Opponent(address="a:1", **settings)).roots == (files / "roots.pem").read_bytes()
    with pytest.raises(BadOpponent, match=rf"^attacker\.{setting}: {files}/token is no PEM file"):
        to_endpoint("attacker", Opponent(address="a:1", **{**settings, setting: str(files / "token")}))


@pytest.mark.parametrize("content", [b"", b" \n", b"two words", b"na\xc3\xafve"])
def test_a_file_without_a_token_is_named(files: Path, content: bytes) -> None:
    (files / "token").write_bytes(content)
    with pytest.raises(BadOpponent, match=rf"^defender\.token_file: {files}/token holds no bearer token"):
        to_endpoint("defender", Opponent(address="localhost:1", token_file=str(files / "token")))


def test_what_goes_together_is_said_with_the_opponent(files: Path) -> None:
    pem, token = str(files / "client.pem"), str(files / "token")
    with pytest.raises(BadOpponent, match=r"^defender: d:1: the token would travel in the clear; give roots for TLS"):
        to_endpoint("defender", Opponent(address="d:1", token_file=token))
    with pytest.raises(BadOpponent, match=r"^attacker: a:1: certificate and key go together"):
        to_endpoint("attacker", Opponent(address="a:1", roots=pem, certificate=pem))
    assert to_endpoint("defender", Opponent(address="localhost:1", token_file=token)).token == TOKEN

from __future__ import annotations

import os
from pathlib import Path

import grpc
import pytest

from sparring.serving.config import Caller, ServingConfig, Tls
from sparring.v1 import defender_pb2_grpc
from tests.certificates import Certificate, issue


@pytest.fixture(scope="module")
def authority() -> Certificate:
    return issue("throwaway authority")


@pytest.fixture
def files(tmp_path: Path, authority: Certificate) -> Tls:
    """A server's files, mutual TLS included."""
    place(tmp_path, issue("server", authority))
    (tmp_path / "ca.pem").write_bytes(authority.pem)
    return Tls(certificate=str(tmp_path / "tls.pem"), key=str(tmp_path / "key.pem"), client_ca=str(tmp_path / "ca.pem"))


def place(folder: Path, certificate: Certificate) -> None:
    for name, content in (("tls.pem", certificate.pem), ("key.pem", certificate.key_pem)):
        partial = folder / f"{name}.partial"
        partial.write_bytes(content)
        os.replace(partial, folder / name)


async def code(address: str, request, roots: bytes, client: Certificate | None = None) -> grpc.StatusCode:
    own = (client.key_pem, client.pem) if client else (None, None)
    target = f"localhost:{address.rpartition(':')[2]}"
    async with grpc.aio.secure_channel(target, grpc.ssl_channel_credentials(roots, *own)) as channel:
        try:
            await defender_pb2_grpc.DefenderStub(channel).Answer(request, timeout=10)
        except grpc.aio.AioRpcError as error:
            return error.code()
    return grpc.StatusCode.OK


async def test_the_main_port_is_encrypted_and_the_health_port_is_not(launch, ask, files, authority):
    tls = files.model_copy(update={"client_ca": None})
    async with launch(ServingConfig(tls=tls)) as running:
        assert await code(running.addresses.grpc, ask("hello"), authority.pem) is grpc.StatusCode.OK
        with pytest.raises(grpc.aio.AioRpcError):
            await running.defender.Answer(ask("hello"))
        async with grpc.aio.insecure_channel(running.addresses.health) as channel:
            await channel.channel_ready()


async def test_callers_are_known_by_the_names_in_their_certificates(launch, ask, files, authority):
    callers = (Caller(name="referee", common_name="referee.sparring"),)
    async with launch(ServingConfig(tls=files, callers=callers)) as running:
        address = running.addresses.grpc
        referee, stranger = issue("referee.sparring", authority), issue("stranger", authority)
        forged = issue("referee.sparring", issue("another authority"))
        assert await code(address, ask("hello"), authority.pem, referee) is grpc.StatusCode.OK
        assert await code(address, ask("hello"), authority.pem, stranger) is grpc.StatusCode.UNAUTHENTICATED
        assert await code(address, ask("hello"), authority.pem, forged) is grpc.StatusCode.UNAVAILABLE
        assert await code(address, ask("hello"), authority.pem) is grpc.StatusCode.UNAVAILABLE


async def test_a_new_certificate_is_taken_up_without_a_restart(launch, ask, files, authority):
    tls = files.model_copy(update={"client_ca": None})
    successor = issue("next authority")
    async with launch(ServingConfig(tls=tls)) as running:
        address = running.addresses.grpc
        assert await code(address, ask("hello"), authority.pem) is grpc.StatusCode.OK
        place(Path(tls.key).parent, issue("server", successor))
        assert await code(address, ask("hello"), successor.pem) is grpc.StatusCode.OK
        Path(tls.key).unlink()
        assert await code(address, ask("hello"), successor.pem) is grpc.StatusCode.OK


async def test_a_missing_file_is_named_at_the_start(launch, files):
    Path(files.key).unlink()
    with pytest.raises(FileNotFoundError, match=r"key\.pem"):
        async with launch(ServingConfig(tls=files)):
            pass

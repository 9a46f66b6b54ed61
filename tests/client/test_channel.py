from __future__ import annotations

import datetime
import ipaddress
import json

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from sparring.client.channel import Endpoint, options
from sparring.client.client import Client
from sparring.client.errors import Refused
from sparring.v1 import referee_pb2

HERE = ["127.0.0.1:1", "127.8.8.8:1", "[::1]:1", "localhost:1", "dns:///localhost:1", "unix:/run/referee.sock"]
ELSEWHERE = ["10.0.0.1:1", "[2001:db8::1]:1", "referee:1", "dns:///referee:1", "localhost.example:1"]


@pytest.mark.parametrize("address", HERE)
def test_a_token_may_be_sent_in_the_clear_to_this_machine(address):
    assert Endpoint(address, token="t").metadata == (("authorization", "Bearer t"),)


@pytest.mark.parametrize("address", ELSEWHERE)
def test_a_token_is_not_sent_in_the_clear_elsewhere(address):
    with pytest.raises(ValueError, match="in the clear"):
        Endpoint(address, token="t")
    assert Endpoint(address, token="t", roots=b"pem").metadata
    assert Endpoint(address).metadata == ()


def test_a_certificate_needs_its_key_and_tls():
    with pytest.raises(ValueError, match="go together"):
        Endpoint("referee:1", roots=b"pem", certificate=b"pem")
    with pytest.raises(ValueError, match="over TLS only"):
        Endpoint("referee:1", certificate=b"pem", key=b"pem")


def test_secrets_are_not_shown():
    assert repr(Endpoint("referee:1", token="hush", roots=b"pem", certificate=b"pem", key=b"hush")) == (
        "Endpoint(address='referee:1')"
    )


def test_only_unavailable_is_tried_again_and_all_addresses_are_used():
    config = json.loads(dict(options())["grpc.service_config"])
    assert config["methodConfig"][0]["retryPolicy"]["retryableStatusCodes"] == ["UNAVAILABLE"]
    assert config["loadBalancingConfig"] == [{"round_robin": {}}]


def certificate() -> tuple[bytes, bytes]:
    """A throwaway certificate of 127.0.0.1 and its key, PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "throwaway")])
    now = datetime.datetime.now(datetime.UTC)
    address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    signed = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([address]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem, plain = serialization.Encoding.PEM, serialization.NoEncryption()
    return signed.public_bytes(pem), key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain)


def test_tls_with_a_private_authority(serve):
    pem, key = certificate()
    referee = serve(grpc.ssl_server_credentials([(key, pem)]))
    with Client(Endpoint(f"127.0.0.1:{referee.port}", token="t", roots=pem)) as client:
        assert len(list(client.play(referee_pb2.PlayRequest(), seconds=20))) == 2
    assert referee.metadata[0]["authorization"] == "Bearer t"


def test_a_server_of_another_authority_gets_nothing(serve):
    pem, key = certificate()
    stranger, _ = certificate()
    referee = serve(grpc.ssl_server_credentials([(key, pem)]))
    with (
        Client(Endpoint(f"127.0.0.1:{referee.port}", token="t", roots=stranger)) as client,
        pytest.raises(Refused, match=r"UNAVAILABLE|DEADLINE_EXCEEDED"),
    ):
        list(client.play(referee_pb2.PlayRequest(), seconds=1))
    assert referee.metadata == []

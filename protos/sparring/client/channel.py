"""How to reach a service: address, transport security, token, and what the channel does on its own."""

from __future__ import annotations

import ipaddress
import json
from dataclasses import dataclass, field

import grpc

MAX_MESSAGE_BYTES = 64 * 2**20
KEEPALIVE_SECONDS = 60

# Requests carry ids, so that trying again is harmless; a server that is away is tried for some ten seconds.
RETRY_POLICY = {
    "maxAttempts": 5,
    "initialBackoff": "0.2s",
    "maxBackoff": "5s",
    "backoffMultiplier": 3,
    "retryableStatusCodes": ["UNAVAILABLE"],
}


@dataclass(frozen=True)
class Endpoint:
    """A service's address and what it asks of its callers.

    Attributes:
        address: `host:port`, or any gRPC target such as `dns:///referee:50051`.
        token: bearer token; it is sent over TLS, or in the clear to this machine.
        roots: PEM of the authorities that may sign the server's certificate. None means no TLS.
        certificate, key: PEM of the caller's own certificate, for mutual TLS.

    Raises:
        ValueError: a secret would travel in the clear, or a certificate would go unused.
    """

    address: str
    token: str | None = field(default=None, repr=False)
    roots: bytes | None = field(default=None, repr=False)
    certificate: bytes | None = field(default=None, repr=False)
    key: bytes | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if (self.certificate is None) != (self.key is None):
            raise ValueError(f"{self.address}: certificate and key go together; give both or neither")
        if self.roots is not None:
            return
        if self.certificate is not None:
            raise ValueError(f"{self.address}: a certificate is used over TLS only; give roots, too")
        if self.token and not _on_this_machine(self.address):
            raise ValueError(f"{self.address}: the token would travel in the clear; give roots for TLS")

    @property
    def metadata(self) -> tuple[tuple[str, str], ...]:
        return (("authorization", f"Bearer {self.token}"),) if self.token else ()

    def credentials(self) -> grpc.ChannelCredentials | None:
        if self.roots is None:
            return None
        return grpc.ssl_channel_credentials(self.roots, self.key, self.certificate)

    def open(self) -> grpc.Channel:
        """A blocking channel."""
        credentials = self.credentials()
        if credentials is None:
            return grpc.insecure_channel(self.address, options=options())
        return grpc.secure_channel(self.address, credentials, options=options())

    def open_aio(self) -> grpc.aio.Channel:
        """A channel for asyncio."""
        credentials = self.credentials()
        if credentials is None:
            return grpc.aio.insecure_channel(self.address, options=options())
        return grpc.aio.secure_channel(self.address, credentials, options=options())


def options() -> list[tuple[str, str | int]]:
    """Channel options: message sizes, balancing over all addresses of a name, keepalive, retries."""
    config = {
        "loadBalancingConfig": [{"round_robin": {}}],
        "methodConfig": [{"name": [{}], "retryPolicy": RETRY_POLICY}],
    }
    return [
        ("grpc.service_config", json.dumps(config)),
        ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
        ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
        ("grpc.keepalive_time_ms", KEEPALIVE_SECONDS * 1000),
    ]


def _on_this_machine(address: str) -> bool:
    host = address.removeprefix("dns:///").rpartition(":")[0].strip("[]")
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or address.startswith("unix:")

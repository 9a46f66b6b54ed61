"""Settings of a server. Importable without gRPC."""

from __future__ import annotations

import ipaddress
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator


class Tls(BaseModel):
    """Encrypts the main port. The files are read again when they change, so certificates rotate without a restart."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    certificate: str = Field(min_length=1)
    """PEM file with the server's certificate chain."""
    key: str = Field(min_length=1)
    """PEM file with its private key."""
    client_ca: str | None = None
    """PEM file with the authorities that callers' certificates must come from; None asks callers for no certificate."""


class Caller(BaseModel):
    """Somebody who may call, known by a bearer token or by the name in a certificate."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(min_length=1)
    """For logs."""
    token_sha256: str | None = Field(None, pattern="^[0-9a-f]{64}$")
    """Lower-case hex sha256 of the bearer token; the token itself is in no configuration."""
    common_name: str | None = Field(None, min_length=1)
    """Subject common name of a verified client certificate."""
    admin: bool = False
    """Whether the caller may tell the service what to serve."""

    @model_validator(mode="after")
    def _known_somehow(self) -> Caller:
        if (self.token_sha256 is None) == (self.common_name is None):
            raise ValueError(f"caller {self.name!r}: set exactly one of token_sha256 and common_name")
        return self


class QueueConfig(BaseModel):
    """How calls are gathered into batches for one model."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    batch: int = Field(32, ge=1)
    """Largest batch: edits for an attacker, answers for a defender."""
    limit: int = Field(256, ge=1)
    """Edits or answers that may wait; beyond it a call is refused with RESOURCE_EXHAUSTED."""
    wait_seconds: float = Field(0.002, ge=0, le=1)
    """How long an idle worker waits for company after the first arrival, seconds."""


class WeightsConfig(BaseModel):
    """How a service follows the weights ledger."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    cache: str | None = None
    """Folder that revisions are pulled into before they are loaded; None is the system's temporary folder."""
    serve_base: bool = False
    """Serve the weights the model was opened with, as revision `base`, until a target is set."""


class ServingConfig(BaseModel):
    """Where a server listens, whom it lets in and how much it takes on."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    host: str = "127.0.0.1"
    port: int = Field(0, ge=0, le=65535)
    """Of the product's services; 0 takes a free one."""
    health_port: int = Field(0, ge=0, le=65535)
    """Of the health service alone, never encrypted, for probes; 0 takes a free one."""
    metrics_port: int = Field(0, ge=0, le=65535)
    """Of /metrics over HTTP; 0 takes a free one."""
    open_inference: bool = False
    """Also speak the Open Inference Protocol (KServe's v2) on the main port, beside the product's services."""
    rest_port: int | None = Field(None, ge=0, le=65535)
    """Of the Open Inference Protocol over HTTP and, where the model can chat, of OpenAI's; 0 takes a free one, None
    speaks neither. Encrypted as the main port is. Callers are known there by bearer token alone."""
    address_file: str | None = None
    """File that the real addresses are written to, as JSON, once the server listens."""
    insecure: bool = False
    """Allow a host that others can reach without TLS or without callers."""
    tls: Tls | None = None
    callers: tuple[Caller, ...] = ()
    """Who may call; empty lets in everybody."""
    max_message_bytes: int = Field(64 * 2**20, ge=1024)
    """Largest message in either direction."""
    max_image_bytes: int = Field(16 * 2**20, ge=1024)
    """Largest encoded image."""
    max_pixels: int = Field(4096 * 4096, ge=1)
    """Largest decoded image."""
    max_calls: int = Field(1024, ge=1)
    """Calls in flight, of all methods together."""
    deadline_seconds: float = Field(300, gt=0)
    """Of calls that set none, and the most that is granted to others."""
    max_connection_age_seconds: int | None = Field(None, ge=1)
    """Connections older than this are asked to reconnect, so that callers find new replicas; None keeps them."""
    drain_seconds: float = Field(30, ge=0)
    """How long calls in flight may go on after SIGTERM."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"

    @property
    def speaks_standards(self) -> bool:
        """Whether callers may speak anything but the product's own contract."""
        return self.open_inference or self.rest_port is not None

    @model_validator(mode="after")
    def _guarded(self) -> ServingConfig:
        if self.insecure or _is_loopback(self.host):
            return self
        if self.tls is None or not (self.callers or self.tls.client_ca):
            raise ValueError(
                f"host {self.host!r} can be reached from outside: set tls, and callers or tls.client_ca, "
                "or say `insecure = true`"
            )
        return self

    @model_validator(mode="after")
    def _certificates_verified(self) -> ServingConfig:
        named = [caller.name for caller in self.callers if caller.common_name]
        if named and (self.tls is None or self.tls.client_ca is None):
            raise ValueError(f"callers {named} are known by certificate: set tls.client_ca")
        return self


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"

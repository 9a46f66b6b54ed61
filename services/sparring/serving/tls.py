"""Server credentials that follow their files, so that certificates rotate without a restart."""

from __future__ import annotations

import ssl
from pathlib import Path

import grpc

from sparring.serving.config import Tls


def credentials(tls: Tls) -> grpc.ServerCredentials:
    """Credentials from PEM files, read again at each handshake and swapped in when a file has changed.

    Raises:
        FileNotFoundError: a file is missing now. One that is missing later leaves the last certificate in use.
    """
    source = _Files(tls)
    return grpc.dynamic_ssl_server_credentials(
        source.configuration(),
        source.changed,
        require_client_authentication=tls.client_ca is not None,
    )


def context(tls: Tls) -> ssl.SSLContext:
    """The same for a server that is not gRPC's.

    Raises:
        FileNotFoundError: a file is missing now. One that is missing later leaves the last certificate in use.
    """
    source = _Files(tls)
    first = latest = _load(tls)

    def follow(handshake: ssl.SSLObject, server_name: str | None, context: ssl.SSLContext) -> None:
        """Called by OpenSSL in each handshake, before the certificate is sent."""
        nonlocal latest
        if source.changed() is not None:
            latest = _load(tls)
        handshake.context = latest

    first.sni_callback = follow
    return first


def _load(tls: Tls) -> ssl.SSLContext:
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.load_cert_chain(tls.certificate, tls.key)
    if tls.client_ca is not None:
        made.load_verify_locations(tls.client_ca)
        made.verify_mode = ssl.CERT_REQUIRED
    return made


class _Files:
    def __init__(self, tls: Tls) -> None:
        self._tls = tls
        self._last = self._read()

    def _read(self) -> tuple[bytes, bytes, bytes | None]:
        authorities = Path(self._tls.client_ca).read_bytes() if self._tls.client_ca else None
        return Path(self._tls.key).read_bytes(), Path(self._tls.certificate).read_bytes(), authorities

    def configuration(self) -> grpc.ServerCertificateConfiguration:
        key, chain, authorities = self._last
        return grpc.ssl_server_certificate_configuration([(key, chain)], authorities)

    def changed(self) -> grpc.ServerCertificateConfiguration | None:
        """Called by gRPC before each handshake; None keeps what is in use."""
        try:
            now = self._read()
        except OSError:
            return None
        if now == self._last:
            return None
        self._last = now
        return self.configuration()

"""From how an opponent is configured to how it is called: the files are read here, once, when the referee starts."""

from __future__ import annotations

from pathlib import Path

from sparring.client.channel import Endpoint
from sparring.referee.config import Opponent


class BadOpponent(ValueError):
    """An opponent's setting that can't be used; names the setting, and the file if it is in one."""


def to_endpoint(who: str, opponent: Opponent) -> Endpoint:
    """Where and how to call `who`, which is `attacker` or `defender`.

    Raises:
        BadOpponent: a file is missing or holds something else, or a secret would travel in the clear.
    """
    token = _token(f"{who}.token_file", opponent.token_file)
    roots = _pem(f"{who}.roots", opponent.roots)
    certificate = _pem(f"{who}.certificate", opponent.certificate)
    key = _pem(f"{who}.key", opponent.key)
    try:
        return Endpoint(opponent.address, token, roots, certificate, key)
    except ValueError as error:
        raise BadOpponent(f"{who}: {error}") from error


def _token(setting: str, file: str | None) -> str | None:
    if file is None:
        return None
    token = _read(setting, file).strip()
    if not token or any(byte <= 0x20 or byte >= 0x7F for byte in token):
        raise BadOpponent(f"{setting}: {file} holds no bearer token, which is one word of visible ASCII")
    return token.decode("ascii")


def _pem(setting: str, file: str | None) -> bytes | None:
    if file is None:
        return None
    content = _read(setting, file)
    if b"-----BEGIN " not in content:
        raise BadOpponent(f"{setting}: {file} is no PEM file")
    return content


def _read(setting: str, file: str) -> bytes:
    try:
        return Path(file).read_bytes()
    except OSError as error:
        raise BadOpponent(f"{setting}: {file} can't be read: {error.strerror}") from error

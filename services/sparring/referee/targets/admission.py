"""From how a target is configured to how it is called, if it may be: done once, before the first request."""

from __future__ import annotations

import os
import ssl
from dataclasses import dataclass, field

import httpcore2

from sparring.referee.targets.config import Allowed, HttpConfig, TargetsConfig
from sparring.referee.targets.hosts import Place, to_pattern


class BadTarget(ValueError):
    """A target that must not or can't be called as it is configured; says what to change."""


@dataclass(frozen=True)
class Admission:
    """Where a target is, the bearer token to show it, how to know that it is it, and whether its name may resolve to
    an address of a private network."""

    place: Place
    key: str | None = field(repr=False)
    tls: ssl.SSLContext | None
    private: bool


def admit(config: HttpConfig, rules: TargetsConfig) -> Admission:
    """Check a target against the allow-list, and fetch its key.

    Raises:
        BadTarget: it is not on the list, or its key or authorities are not there.
    """
    place = config.place
    allowed = [entry for entry in rules.allowed if to_pattern(entry.host).matches(place)]
    if not allowed:
        known = ", ".join(entry.host for entry in rules.allowed) or "nothing"
        raise BadTarget(f"{place.authority} is not on the allow-list of targets, which has {known}")
    return Admission(place, _key(config, allowed), _tls(config, place), rules.private)


def _key(config: HttpConfig, allowed: list[Allowed]) -> str | None:
    name, host = config.key_env, config.place.authority
    if name is None:
        return None
    if not any(name in entry.keys for entry in allowed):
        raise BadTarget(f"the allow-list does not let {name} be sent to {host}; name it in `keys` of the host")
    key = os.environ.get(name, "").strip()
    if not key:
        raise BadTarget(f"the environment variable {name}, which should hold the key for {host}, is not set")
    if not (key.isascii() and key.isprintable()) or " " in key:
        raise BadTarget(f"the environment variable {name} holds no key, which is one word of visible ASCII")
    return key


def _tls(config: HttpConfig, place: Place) -> ssl.SSLContext | None:
    if place.scheme == "http":
        return None
    if config.roots is None:
        return httpcore2.default_ssl_context()
    try:
        return ssl.create_default_context(cafile=config.roots)
    except OSError as error:  # ssl.SSLError is one
        raise BadTarget(f"roots: {config.roots} can't be read as PEM: {error}") from error

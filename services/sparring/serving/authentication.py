"""Who calls, and whether they may: by bearer token, or by the certificate of a TLS handshake.

Tokens are compared as hashes in constant time. Without a list of callers everybody may do everything, which
`ServingConfig` allows on loopback, behind client certificates, or if told so.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from contextvars import ContextVar

from sparring.serving.config import Caller
from sparring.serving.errors import Forbidden, Unauthenticated
from sparring.serving.interceptor import Call, Context, Interceptor

_CALLER: ContextVar[str] = ContextVar("caller", default="")
_SCHEME = "Bearer "


class Authentication(Interceptor):
    """Lets in known callers, and to the administrative services only admins.

    Args:
        callers: everybody who may call; empty lets in all.
        administrative: full names of the services for admins alone.
    """

    def __init__(self, callers: Sequence[Caller], administrative: frozenset[str]) -> None:
        self._callers = tuple(callers)
        self._administrative = administrative

    @asynccontextmanager
    async def around(self, call: Call) -> AsyncIterator[None]:
        if self._callers:
            caller = self._identify(call.context)
            _CALLER.set(caller.name)
            if call.service in self._administrative and not caller.admin:
                raise Forbidden(f"caller {caller.name!r} may not call {call.service}; it is for admins")
        yield

    def _identify(self, context: Context) -> Caller:
        token = _token(context)
        caller = self._by_token(token) if token is not None else self._by_certificate(context)
        if caller is None:
            raise Unauthenticated("send a bearer token, or a client certificate, that this server knows")
        return caller

    def _by_token(self, token: str) -> Caller | None:
        digest = hashlib.sha256(token.encode()).hexdigest()
        matches = [c for c in self._callers if c.token_sha256 and hmac.compare_digest(c.token_sha256, digest)]
        return matches[0] if matches else None

    def _by_certificate(self, context: Context) -> Caller | None:
        names = {name.decode() for name in context.auth_context().get("x509_common_name", ())}
        return next((caller for caller in self._callers if caller.common_name in names), None)


def _token(context: Context) -> str | None:
    for key, value in context.invocation_metadata() or ():
        if key == "authorization" and isinstance(value, str) and value.startswith(_SCHEME):
            return value.removeprefix(_SCHEME)
    return None


def caller() -> str:
    """Name of the current call's caller; empty where anybody may call."""
    return _CALLER.get()

"""One request to one endpoint, and nothing but its reply.

It is built on the engine below httpx, which follows no redirect, keeps no cookie, reads no environment and lets its
user look names up: all that a client of other people's endpoints wants.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager

import grpc
import httpcore2

from sparring.referee.targets.admission import Admission
from sparring.referee.targets.config import HttpConfig
from sparring.referee.targets.faults import Fault, barred, lost, redirected, refused_by, retry_after, spoilt
from sparring.referee.targets.network import ForbiddenAddress, GuardedNetwork

IDLE_SECONDS = 30.0
"""How long a connection is kept that nobody uses."""
Headers = Mapping[str, str]


class Wire:
    """Connections to one endpoint.

    Args:
        config: limits.
        admission: where, and with what key.
        today: seconds since 1970, for a Retry-After that is a date.
    """

    def __init__(self, config: HttpConfig, admission: Admission, today: Callable[[], float]) -> None:
        self._place, self._key, self._today = admission.place, admission.key, today
        self._most_bytes = config.max_reply_bytes
        self._tls, self._network = admission.tls, GuardedNetwork(private=admission.private)
        self._idle: list[httpcore2.AsyncHTTPConnection] = []
        self._headers = {
            "host": self._place.authority,
            "accept": "application/json",
            "accept-encoding": "identity",
            "content-type": "application/json",
            "user-agent": "sparring",
        }
        if admission.key is not None:
            self._headers["authorization"] = f"Bearer {admission.key}"
        self._seconds = config.connect_seconds + config.read_seconds
        limits = {"connect": config.connect_seconds, "read": config.read_seconds, "write": config.read_seconds}
        self._extensions = {"timeout": limits}

    async def post(self, path: str, body: bytes, headers: Headers) -> bytes:
        """The body of the reply.

        Args:
            path: follows that of the endpoint's URL.
            body: of the request.
            headers: take the place of those that a request with a JSON body has, or stand beside them.

        Raises:
            Fault: there was none.
        """
        try:
            # The engine's limit is for each piece of a reply; a reply that drips has one, too.
            async with asyncio.timeout(self._seconds):
                return await self._exchange(path, body, headers)
        except (TimeoutError, httpcore2.TimeoutException) as error:
            what = "no connection" if isinstance(error, httpcore2.ConnectTimeout) else "no whole reply"
            raise lost("timeout", grpc.StatusCode.DEADLINE_EXCEEDED, f"there was {what} in time") from error
        except (httpcore2.NetworkError, httpcore2.ProtocolError) as error:
            raise _broken(error) from error
        except ForbiddenAddress as error:
            raise barred("forbidden", str(error)) from error

    async def close(self) -> None:
        """Let connections go; no request may be under way."""
        for connection in self._idle:
            await connection.aclose()

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[httpcore2.AsyncHTTPConnection]:
        """A connection for one request, the one that was used last if it is free and still there.

        The engine's pool, made for many hosts, goes through all that it holds before and after each request.
        """
        connection = await self._kept() or self._connect()
        try:
            yield connection
        finally:
            if not connection.is_closed():
                self._idle.append(connection)

    async def _kept(self) -> httpcore2.AsyncHTTPConnection | None:
        while self._idle:
            connection = self._idle.pop()
            if not connection.has_expired():
                return connection
            await connection.aclose()
        return None

    def _connect(self) -> httpcore2.AsyncHTTPConnection:
        return httpcore2.AsyncHTTPConnection(
            self._url("").origin, ssl_context=self._tls, keepalive_expiry=IDLE_SECONDS, network_backend=self._network
        )

    def _url(self, path: str) -> httpcore2.URL:
        place = self._place
        return httpcore2.URL(scheme=place.scheme, host=place.host, port=place.port, target=place.path + path)

    async def _exchange(self, path: str, body: bytes, headers: Headers) -> bytes:
        sent = [(name.encode(), value.encode()) for name, value in {**self._headers, **headers}.items()]
        length = (b"content-length", str(len(body)).encode())
        async with self._connection() as connection:
            request = connection.stream(
                "POST", self._url(path), headers=[*sent, length], content=body, extensions=self._extensions
            )
            async with request as response:
                content = await _read(response, self._most_bytes)
        self._refuse(response, content)
        return content

    def _refuse(self, response: httpcore2.Response, content: bytes) -> None:
        """Raises: Fault if the reply is not a plain 200."""
        status = response.status
        if 300 <= status < 400:
            raise redirected(status, self._quoted(_header(response, b"location")))
        if not 200 <= status < 300:
            wait = retry_after(_header(response, b"retry-after"), self._today)
            raise refused_by(status, self._quoted(content.decode(errors="replace")), wait)
        if len(content) > self._most_bytes:
            raise spoilt("oversized", f"more than {self._most_bytes} bytes (max_reply_bytes)")
        if encoding := _header(response, b"content-encoding"):
            raise spoilt("encoded", f"a body encoded as {encoding!r}, which was not asked for")

    def _quoted(self, text: str) -> str:
        """The endpoint's words without the key, which some repeat when they refuse it."""
        return text.replace(self._key, "[key]") if self._key else text


async def _read(response: httpcore2.Response, most: int) -> bytes:
    """The body; of one that is too long, the beginning, with at least a byte too many."""
    parts, size = [], 0
    async for part in response.aiter_stream():
        parts.append(part)
        size += len(part)
        if size > most:
            break
    return b"".join(parts)


def _header(response: httpcore2.Response, name: bytes) -> str:
    return next((value.decode("latin-1") for key, value in response.headers if key.lower() == name), "")


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _broken(error: Exception) -> Fault:
    """The fault of a connection that was not made, or that broke."""
    if any(isinstance(cause, ssl.SSLCertVerificationError) for cause in _causes(error)):
        return barred("certificate", f"its certificate is not to be trusted: {error}")
    return lost("connection", grpc.StatusCode.UNAVAILABLE, f"the connection failed: {error or type(error).__name__}")

"""Where a target is, and which places may be called.

Whoever names a target names a place that this process will call, from inside a network that the other may not see. So
a URL is read strictly, and a place is called only if a pattern of the configuration names it, port included, and its
name resolves to addresses of the kind that is permitted.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from urllib.parse import urlsplit

IpAddress = ipaddress.IPv4Address | ipaddress.IPv6Address

PORTS = {"http": 80, "https": 443}
ANY = "*"
_LABEL = r"[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?"
_NAME = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")
_PATTERN = re.compile(r"(?P<host>\[[^\[\]]+\]|[^\[\]:]+)(?::(?P<port>\d{1,5}|\*))?")
_PATH = re.compile(r"[A-Za-z0-9._~!$&'()*+,;=:@%/-]*")
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


@dataclass(frozen=True)
class Place:
    """A URL taken apart. `host` is lower-case, an IPv6 address without its brackets; `path` has no slash at its end."""

    scheme: str
    host: str
    port: int
    path: str

    @property
    def authority(self) -> str:
        """`host`, or `host:port` where the port is not the scheme's own."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def local(self) -> bool:
        """Whether it is on this machine, by its name alone."""
        literal = to_address(self.host)
        return literal.is_loopback if literal else is_localhost(self.host)


@dataclass(frozen=True)
class Pattern:
    """Places that may be called: `host`, `host:port`, `host:*` or `*.domain`, which stands for every name below it.

    Without a port, the scheme's own is meant (443 or 80).
    """

    host: str
    port: str = ""

    def matches(self, place: Place) -> bool:
        return self._is_host(place.host) and self._is_port(place)

    def _is_host(self, host: str) -> bool:
        if self.host.startswith("*."):
            return host.endswith(self.host[1:]) and to_address(host) is None
        return host == self.host

    def _is_port(self, place: Place) -> bool:
        return self.port == ANY or place.port == (int(self.port) if self.port else PORTS[place.scheme])


def to_place(url: str) -> Place:
    """Take a base URL apart.

    Raises:
        ValueError: it is no plain `http://` or `https://` URL; says why.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise ValueError(f"{told(url)} is no URL") from None
    if parts.scheme not in PORTS:
        raise ValueError(f"{told(url)}: only http:// and https:// are called")
    if "@" in parts.netloc:
        raise ValueError(f"{told(url)}: a URL must not hold a user or a password; name the key's environment variable")
    if parts.query or parts.fragment or "?" in url or "#" in url:
        raise ValueError(f"{told(url)}: a base URL ends with its path; leave out what follows ? or #")
    if not _PATH.fullmatch(parts.path) or port == 0:
        raise ValueError(f"{told(url)}: there is a character in it that belongs in no path, or no such port")
    return Place(parts.scheme, to_host(parts.hostname or ""), port or PORTS[parts.scheme], parts.path.rstrip("/"))


def told(url: str) -> str:
    """A URL as it may be shown: without what stands before an @, which may be a password."""
    return repr(re.sub(r"//.*@", "//", url[:300]))


def to_pattern(text: str) -> Pattern:
    """Read a pattern of the allow-list.

    Raises:
        ValueError: it is none; says why.
    """
    found = _PATTERN.fullmatch(text.strip())
    if found is None or (found["port"] not in (None, ANY) and not 0 < int(found["port"]) < 65536):
        raise ValueError(f"{text!r} is no host, host:port, host:* or *.domain; an IPv6 address stands in brackets")
    host, port = found["host"].strip("[]"), found["port"] or ""
    if host.startswith("*."):
        return Pattern("*." + to_host(host[2:]), port)
    return Pattern(to_host(host), port)


def to_host(text: str) -> str:
    """A host in the one form in which it is compared.

    Raises:
        ValueError: neither a name nor an address.
    """
    literal = to_address(text)
    if literal is not None:
        return str(literal)
    name = text.lower().removesuffix(".")
    # An address in another notation (`2130706433`, `0x7f.1`) is no name, but resolvers take it for an address.
    if not _NAME.fullmatch(name) or len(name) > 253 or re.fullmatch(r"\d+|0x[0-9a-f]*", name.rpartition(".")[2]):
        raise ValueError(f"{text!r} is no host name; write one that is not ASCII in its xn-- form")
    return name


def to_address(text: str) -> IpAddress | None:
    """The address that a text spells out; None if it is a name."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    return address if "%" not in text else None


def is_localhost(name: str) -> bool:
    return name == "localhost" or name.endswith(".localhost")


def permitted(host: str, address: IpAddress, *, private: bool) -> bool:
    """Whether `host` may be called at an address that it resolved to.

    An address that the allow-list itself spells out may. A name may resolve to a public address, to this machine if it
    is `localhost`, and to a private network if `private`. Never to link-local addresses, where clouds hand out
    credentials, nor to multicast or reserved ones, nor to 6to4, which is withdrawn (RFC 7526), leads to any IPv4
    address there is, and is private to some versions of Python and public to others.
    """
    if to_address(host) is not None:
        return True
    if isinstance(address, ipaddress.IPv6Address) and address.sixtofour is not None:
        return False
    real = unwrapped(address)
    if real.is_loopback:
        return is_localhost(host)
    if real.is_link_local or real.is_multicast or real.is_unspecified or real.is_reserved:
        return False
    return real.is_global or private


def unwrapped(address: IpAddress) -> IpAddress:
    """The IPv4 address inside an IPv6 one that only carries it."""
    if isinstance(address, ipaddress.IPv6Address):
        if address in _NAT64:
            return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        return address.ipv4_mapped or address
    return address

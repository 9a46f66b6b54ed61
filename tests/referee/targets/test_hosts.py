"""Which places may be called."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparring.referee.targets.hosts import permitted, to_pattern, to_place


@pytest.mark.parametrize(
    ("url", "scheme", "host", "port", "path", "authority"),
    [
        ("https://api.example.org/v1", "https", "api.example.org", 443, "/v1", "api.example.org"),
        ("HTTPS://API.Example.ORG./v1/", "https", "api.example.org", 443, "/v1", "api.example.org"),
        ("http://localhost:8000", "http", "localhost", 8000, "", "localhost:8000"),
        ("http://[::1]:8000/v1", "http", "::1", 8000, "/v1", "[::1]:8000"),
        ("http://[0:0:0:0:0:0:0:1]/", "http", "::1", 80, "", "[::1]"),
        ("https://vllm.models.svc:443", "https", "vllm.models.svc", 443, "", "vllm.models.svc"),
    ],
)
def test_a_url_is_taken_apart(url: str, scheme: str, host: str, port: int, path: str, authority: str) -> None:
    place = to_place(url)
    assert (place.scheme, place.host, place.port, place.path, place.authority) == (scheme, host, port, path, authority)


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("ftp://host/v1", "only http"),
        ("file:///etc/passwd", "only http"),
        ("//host/v1", "only http"),
        ("http://user:secret@host/v1", "user or a password"),
        ("http://allowed.org@evil.org/", "user or a password"),
        ("http://host/v1?api-version=1", "what follows"),
        ("http://host/v1#x", "what follows"),
        ("http://host/v1?", "what follows"),
        ("http:///v1", "no host name"),
        ("http://host:0/", "no such port"),
        ("http://host:99999/", "no URL"),
        ("http://host:pass/wo@rd/", "no URL"),
        ("http://[::1/", "no URL"),
        ("http://[fe80::1%25eth0]/", "no host name"),
        ("http://2130706433/", "no host name"),
        ("http://0x7f.1/", "no host name"),
        ("http://127.1/", "no host name"),
        ("http://0177.0.0.1/", "no host name"),
        ("http://bücher.example/", "no host name"),
        ("http://ho\u2044st/", "no"),
        ("http://host/a b", "belongs in no path"),
        ("http://host/a\\b", "belongs in no path"),
    ],
)
def test_what_is_no_plain_url_is_refused(url: str, why: str) -> None:
    with pytest.raises(ValueError, match=why) as caught:
        to_place(url)
    assert "secret" not in str(caught.value)
    assert "pass" not in str(caught.value).replace("password", "").replace("passwd", "")


@pytest.mark.parametrize(
    ("pattern", "yes", "no"),
    [
        ("host", ["https://host/", "http://host/", "https://host:443/"], ["https://host:8443/", "https://a.host/"]),
        ("HOST:8000", ["http://host:8000/", "https://Host.:8000/v1"], ["http://host/", "http://host:8001/"]),
        ("host:*", ["http://host:1/", "https://host/"], ["http://hosts/", "http://nothost/"]),
        ("*.ex.org", ["https://a.ex.org/", "https://a.b.ex.org/"], ["https://ex.org/", "https://eviex.org/"]),
        ("*.ex.org:*", ["https://a.ex.org:9/"], ["https://a.ex.org.evil.com:9/"]),
        ("10.0.0.7:80", ["http://10.0.0.7/"], ["http://10.0.0.70/", "http://10.0.0.7:81/"]),
        ("[::1]:8000", ["http://[::1]:8000/", "http://[0::1]:8000/"], ["http://[::2]:8000/"]),
    ],
)
def test_a_pattern_names_places_with_their_ports(pattern: str, yes: list[str], no: list[str]) -> None:
    read = to_pattern(pattern)
    assert [url for url in yes if not read.matches(to_place(url))] == []
    assert [url for url in no if read.matches(to_place(url))] == []


@pytest.mark.parametrize(
    "text", ["", "*", "*.", "*:80", "a*.org", "host:", "host:0", "host:65536", "::1", "http://host"]
)
def test_what_is_no_pattern_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"is no host"):
        to_pattern(text)


@pytest.mark.parametrize(
    ("host", "address", "where"),
    [
        ("a.org", "93.184.216.34", "anywhere"),
        ("a.org", "2606:4700::1111", "anywhere"),
        ("a.org", "64:ff9b::5db8:d822", "anywhere"),
        ("localhost", "127.0.0.1", "anywhere"),
        ("x.localhost", "::1", "anywhere"),
        ("127.0.0.1", "127.0.0.1", "anywhere"),
        ("a.org", "10.1.2.3", "private"),
        ("a.org", "192.168.0.1", "private"),
        ("a.org", "100.100.100.200", "private"),
        ("a.org", "fd00:ec2::254", "private"),
        ("a.org", "::ffff:10.0.0.1", "private"),
        ("a.org", "127.0.0.1", "nowhere"),
        ("a.org", "::1", "nowhere"),
        ("a.org", "::ffff:127.0.0.1", "nowhere"),
        ("a.org", "169.254.169.254", "nowhere"),
        ("a.org", "::ffff:169.254.169.254", "nowhere"),
        ("a.org", "64:ff9b::a9fe:a9fe", "nowhere"),
        ("a.org", "2002:a9fe:a9fe::1", "nowhere"),
        ("a.org", "2002:5db8:d822::1", "nowhere"),
        ("a.org", "fe80::1", "nowhere"),
        ("a.org", "0.0.0.0", "nowhere"),
        ("a.org", "::", "nowhere"),
        ("a.org", "224.0.0.1", "nowhere"),
        ("a.org", "255.255.255.255", "nowhere"),
        ("localhost", "169.254.169.254", "nowhere"),
    ],
)
def test_a_name_may_resolve_to_some_addresses_only(host: str, address: str, where: str) -> None:
    found = ipaddress.ip_address(address)
    assert permitted(host, found, private=False) == (where == "anywhere")
    assert permitted(host, found, private=True) == (where != "nowhere")


@given(st.ip_addresses())
def test_no_name_leads_to_link_local_or_loopback(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> None:
    if address.is_loopback or address.is_link_local or address.is_multicast:
        assert not permitted("models.example.org", address, private=True)
    if permitted("models.example.org", address, private=False):
        assert address.is_global


@given(st.text(max_size=40))
def test_no_text_is_both_a_place_and_another_in_disguise(text: str) -> None:
    try:
        place = to_place(f"http://{text}")
    except ValueError:
        return
    assert to_place(f"http://{place.authority}{place.path}") == place

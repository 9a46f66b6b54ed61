from __future__ import annotations

import pytest
from pydantic import ValidationError

from sparring.serving.config import Caller, ServingConfig, Tls

TLS = Tls(certificate="c", key="k")
MUTUAL = Tls(certificate="c", key="k", client_ca="ca")
CALLER = Caller(name="referee", token_sha256="0" * 64)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "localhost", "::1"])
def test_the_loopback_needs_no_guard(host):
    assert ServingConfig(host=host).tls is None


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.1.2.3", "referee.example"])
def test_elsewhere_it_takes_tls_and_callers_or_an_explicit_word(host):
    for guards in ({}, {"tls": TLS}, {"callers": (CALLER,)}):
        with pytest.raises(ValidationError, match="insecure"):
            ServingConfig(host=host, **guards)
    for guards in ({"insecure": True}, {"tls": TLS, "callers": (CALLER,)}, {"tls": MUTUAL}):
        assert ServingConfig(host=host, **guards).host == host


def test_a_caller_is_known_in_one_way():
    for ways in ({}, {"token_sha256": "0" * 64, "common_name": "x"}):
        with pytest.raises(ValidationError, match="exactly one"):
            Caller(name="x", **ways)


def test_a_token_is_given_as_its_hash():
    with pytest.raises(ValidationError, match="token_sha256"):
        Caller(name="x", token_sha256="secret")


def test_names_in_certificates_count_only_if_certificates_are_verified():
    with pytest.raises(ValidationError, match=r"tls\.client_ca"):
        ServingConfig(tls=TLS, callers=(Caller(name="x", common_name="x"),))


def test_an_unknown_key_is_an_error():
    with pytest.raises(ValidationError, match="Extra inputs"):
        ServingConfig.model_validate({"hosts": "x"})

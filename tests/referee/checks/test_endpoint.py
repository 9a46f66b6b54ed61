"""Models that are not ours: those that the allow-list lets callers describe, and those that the configuration names."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import grpc
import pytest

from sparring.client.errors import Refused
from sparring.referee.checks.endpoint import to_endpoint
from sparring.referee.targets.config import Allowed, OipConfig, OpenAiConfig, TargetsConfig
from sparring.serving.errors import InvalidRequest
from sparring.v1 import checks_pb2
from tests.oracle import oracle
from tests.referee.conftest import Open

from .conftest import SAMPLES, client, finish, spec

CALLING = {"url": "https://models.example.org/v1", "model": "m"}


async def checked(ring: Open, targets: TargetsConfig, model: checks_pb2.TestedModel) -> dict[str, Any]:
    """The report on a model."""
    async with ring(targets=targets, defender=None) as it, client(it) as checks:
        submitted = await checks.submit(spec(model=model))
        last = await finish(checks, submitted.check_id)
        assert (last.state, last.error, last.missing) == (checks_pb2.CHECK_STATE_FINISHED, "", 0)
        report: dict[str, Any] = json.loads(await checks.report(submitted.check_id))
    return report


async def test_an_endpoint_on_the_list_is_checked(ring: Open) -> None:
    with oracle() as endpoint:
        calling = checks_pb2.Calling(url=endpoint.url, model="oracle")
        model = checks_pb2.TestedModel(chat=checks_pb2.ChatEndpoint(calling=calling))
        targets = TargetsConfig(allowed=(Allowed(host=f"127.0.0.1:{endpoint.server_port}"),))
        report = await checked(ring, targets, model)
    assert report["asked"]["target"] == f"openai:oracle@127.0.0.1:{endpoint.server_port}"
    assert report["samples"] == SAMPLES
    assert (endpoint.asked, report["counts"]["answers"], report["counts"]["makers"]) == (SAMPLES * 4, SAMPLES * 4, 1)


async def test_an_endpoint_that_the_configuration_names_is_checked(ring: Open) -> None:
    with oracle() as endpoint:
        targets = TargetsConfig(named={"house": OpenAiConfig(url=endpoint.url, model="oracle")})
        report = await checked(ring, targets, checks_pb2.TestedModel(endpoint="house"))
    assert (report["samples"], endpoint.asked) == (SAMPLES, SAMPLES * 4)


async def test_without_a_defender_ours_can_not_be_checked(ring: Open) -> None:
    async with ring(defender=None) as it, client(it) as checks:
        submitted = await checks.submit(spec())
        await finish(checks, submitted.check_id)
        report = json.loads(await checks.report(submitted.check_id))
    assert report["counts"]["failed"] == {"defender: FAILED_PRECONDITION": 2 * SAMPLES}


async def test_a_name_that_nobody_knows_is_refused(ring: Open) -> None:
    async with ring() as it, client(it) as checks:
        with pytest.raises(Refused) as caught:
            await checks.submit(spec(model=checks_pb2.TestedModel(endpoint="hut")))
    assert caught.value.code is grpc.StatusCode.INVALID_ARGUMENT
    assert "knows no endpoint 'hut'; it knows none" in caught.value.message


def test_what_is_described_becomes_a_configuration() -> None:
    calling = checks_pb2.Calling(**CALLING, concurrency=3, requests_per_second=2.5, read_seconds=7, attempts=2)
    chat = checks_pb2.ChatEndpoint(
        calling=calling, choices=4, length_field="max_completion_tokens", unsupported=["seed"]
    )
    found = to_endpoint(checks_pb2.TestedModel(chat=chat), TargetsConfig())
    assert found is not None
    assert found.target == OpenAiConfig(
        **CALLING,
        concurrency=3,
        requests_per_second=2.5,
        read_seconds=7,
        attempts=2,
        choices=4,
        length_field="max_completion_tokens",
        unsupported=("seed",),
    )


def test_what_is_left_out_has_its_default() -> None:
    parameters = checks_pb2.ParameterNames(seed="", temperature="heat")
    image = checks_pb2.ImageInput(datatype="UINT8", encoding="binary", shape=[1, -1])
    inference = checks_pb2.InferenceEndpoint(calling=checks_pb2.Calling(**CALLING), image=image, parameters=parameters)
    found = to_endpoint(checks_pb2.TestedModel(inference=inference), TargetsConfig())
    assert found is not None
    assert isinstance(found.target, OipConfig)
    told = found.target.parameters
    assert (told.temperature, told.max_tokens, told.seed) == ("heat", "max_tokens", None)
    assert found.target.image.shape == (1, -1)
    assert found.target.model_copy(update={"image": OipConfig(**CALLING).image, "parameters": told}) == OipConfig(
        **CALLING, parameters=told
    )


@pytest.mark.parametrize(
    ("chat", "field"),
    [
        ({"url": "ftp://models.example.org", "model": "m"}, "spec.model.chat.calling.url"),
        ({**CALLING, "url": "http://models.example.org/v1", "key_env": "KEY"}, "spec.model.chat"),
    ],
)
def test_settings_that_make_no_sense_are_named(chat: Mapping[str, str], field: str) -> None:
    model = checks_pb2.TestedModel(chat=checks_pb2.ChatEndpoint(calling=checks_pb2.Calling(**chat)))
    with pytest.raises(InvalidRequest) as caught:
        to_endpoint(model, TargetsConfig())
    assert [violation.field for violation in caught.value.violations] == [field]

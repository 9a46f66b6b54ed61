"""HTTP requests are counted, logged, let in, limited and told what was wrong as gRPC calls are."""

from __future__ import annotations

import asyncio
import hashlib
import json

import httpx
import pytest
from structlog.testing import capture_logs

from sparring.serving.config import Caller
from sparring.serving.logs import configure

INFER = {"grpc_type": "unary", "grpc_service": "rest.v2", "grpc_method": "infer"}
PATH = "/v2/models/parrot/infer"
JSON = {"content-type": "application/json"}


async def settled(speaking, count: int) -> None:
    """Return when so many requests for an inference have ended."""
    while speaking.value("grpc_server_handling_seconds_count", **INFER) < count:
        await asyncio.sleep(0)


async def test_requests_count_under_the_names_of_calls(speak, say):
    async with speak() as speaking:
        for said in ("hello", "full", "bug"):
            await speaking.post(said)
        await speaking.grpc.infer(say("hello"))
        await settled(speaking, 3)
        codes = ("OK", "ResourceExhausted", "Internal")
        assert [speaking.value("grpc_server_handled_total", **INFER, grpc_code=code) for code in codes] == [1.0] * 3
        assert speaking.value("grpc_server_msg_sent_total", **INFER) == 1
        over_grpc = {"grpc_service": "inference.GRPCInferenceService", "grpc_method": "ModelInfer"}
        assert speaking.value("grpc_server_handled_total", grpc_type="unary", **over_grpc, grpc_code="OK") == 1


async def test_each_request_is_a_line_in_the_log_without_what_was_said(speak):
    configure("info")
    with capture_logs() as logs:
        async with speak() as speaking:
            await speaking.post("hello")
            await speaking.post("full")
            await settled(speaking, 2)
    lines = [line for line in logs if line["event"] == "call"]
    assert [(line["method"], line["code"]) for line in lines] == [
        ("/rest.v2/infer", "OK"),
        ("/rest.v2/infer", "RESOURCE_EXHAUSTED"),
    ]
    assert lines[0]["peer"].startswith("http:127.0.0.1:")
    assert "hello" not in str(lines)


async def test_probes_are_no_traffic_and_need_no_token(speak):
    callers = (Caller(name="referee", token_sha256=hashlib.sha256(b"open sesame").hexdigest()),)
    configure("info")
    with capture_logs() as logs:
        async with speak(callers=callers, max_calls=1) as speaking:
            waiting = asyncio.create_task(speaking.post("wait", authorization="Bearer open sesame"))
            await speaking.parrot.entered.wait()
            for path in ("/v2/health/live", "/v2/health/ready"):
                assert (await speaking.http.get(path)).status_code == 200
            speaking.parrot.release.set()
            await waiting
    lines = [(line["method"], line["caller"]) for line in logs if line["event"] == "call"]
    assert lines == [("/rest.v2/infer", "referee")]


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 401),
        ({"authorization": "Bearer guess"}, 401),
        ({"authorization": "Basic b3BlbiBzZXNhbWU="}, 401),
        ({"authorization": "Bearer open sesame"}, 200),
    ],
)
async def test_callers_show_a_token(speak, headers, status):
    callers = (Caller(name="referee", token_sha256=hashlib.sha256(b"open sesame").hexdigest()),)
    async with speak(callers=callers) as speaking:
        response = await speaking.post("hello", **headers)
        listing = await speaking.http.get("/v2/models", headers=headers)
    assert response.status_code == listing.status_code == status
    assert ("www-authenticate" in response.headers) == (status == 401)


async def test_a_full_queue_says_when_to_come_again(speak):
    async with speak() as speaking:
        response = await speaking.post("full")
    assert (response.status_code, response.headers["retry-after"]) == (429, "2")
    assert response.json() == {"error": "no room"}


async def test_requests_beyond_the_most_in_flight_are_refused(speak):
    async with speak(max_calls=1) as speaking:
        waiting = asyncio.create_task(speaking.post("wait"))
        await speaking.parrot.entered.wait()
        response = await speaking.post("hello")
        speaking.parrot.release.set()
        assert (await waiting).status_code == 200
        assert (await speaking.post("hello")).status_code == 200
    assert (response.status_code, response.headers["retry-after"]) == (429, "1")


@pytest.mark.parametrize("declared", [True, False])
async def test_a_body_over_the_limit_is_refused(speak, declared):
    async def chunks():
        yield b" " * 1500
        yield b" " * 1500

    async with speak(max_message_bytes=2048) as speaking:
        content = b" " * 3000 if declared else chunks()
        response = await speaking.http.post(PATH, content=content, headers={"content-type": "application/json"})
        assert (await speaking.post("hello")).status_code == 200
    assert response.status_code == 413
    assert "2048 bytes" in response.json()["error"]


async def test_an_unforeseen_exception_is_internal_and_kept_inside(speak):
    with capture_logs() as logs:
        async with speak() as speaking:
            response = await speaking.post("bug")
            assert (await speaking.post("hello")).status_code == 200
    assert response.status_code == 500
    (entry,) = [line for line in logs if line["event"] == "call failed"]
    assert entry["error_id"] in response.json()["error"]
    assert "secret" not in response.text


async def test_the_servers_deadline_ends_a_request(speak):
    async with speak(deadline_seconds=0.2) as speaking:
        response = await speaking.post("wait")
        await speaking.parrot.cancelled.wait()
        settled_time = await speaking.post("time")
    assert response.status_code == 504
    assert settled_time.status_code in (200, 504)


async def test_a_request_knows_how_much_time_it_has(speak):
    async with speak(deadline_seconds=500) as speaking:
        said = (await speaking.post("time")).json()["outputs"][0]["data"][0]
    assert 0 < float(said) <= 500


async def test_a_request_is_given_up_when_its_caller_leaves(speak):
    async with speak() as speaking:
        waiting = asyncio.create_task(speaking.post("wait"))
        await speaking.parrot.entered.wait()
        waiting.cancel()
        await speaking.parrot.cancelled.wait()
        await settled(speaking, 1)
        assert speaking.value("grpc_server_handled_total", **INFER, grpc_code="Cancelled") == 1


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/"), ("GET", "/docs"), ("GET", PATH), ("POST", "/v2/models"), ("POST", "/v1/models")]
)
async def test_a_path_that_means_nothing_is_not_found(speak, method, path):
    async with speak() as speaking:
        response = await speaking.http.request(method, path)
    assert (response.status_code, response.json()) == (404, {"error": f"there is no {method} {path}"})


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b"{", "it is not JSON: Expecting property name enclosed in double quotes at character 1"),
        (b"[" * 100_000, "body"),
        (b"{}", "inputs: Field required"),
        (b'{"inputs": [{"name": "say", "datatype": "BYTES", "data": []}]}', "inputs[0].shape: Field required"),
        (b"", "request: Field required"),
    ],
)
async def test_a_body_that_is_no_request_is_told_where(speak, body, field):
    async with speak() as speaking:
        response = await speaking.http.post(PATH, content=body, headers={"content-type": "application/json"})
    assert response.status_code == 400
    assert field in response.json()["error"]


async def test_headers_that_are_no_text_do_no_harm(speak):
    async with speak() as speaking:
        request = httpx.Request("GET", f"{speaking.url}/v2/models", headers=[(b"x", b"\xff\xfe")])
        assert (await speaking.http.send(request)).status_code == 200


async def test_half_a_character_is_refused_wherever_it_stands(speak):
    tensor = {"name": "say", "datatype": "BYTES", "shape": [1], "data": ["hello"]}
    half = {"name": "\ud800"}
    async with speak() as speaking:
        for body in ({"inputs": [tensor], "id": "\ud800"}, {"inputs": [{**tensor, **half}]}):
            assert (await speaking.http.post(PATH, content=json.dumps(body), headers=JSON)).status_code == 400

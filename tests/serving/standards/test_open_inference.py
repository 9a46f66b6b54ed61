"""The Open Inference Protocol by KServe's own clients, over gRPC and HTTP."""

from __future__ import annotations

import asyncio
import urllib.request

import grpc
import httpx
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from kserve.protocol.grpc import grpc_predict_v2_pb2 as pb
from kserve.protocol.grpc.grpc_predict_v2_pb2_grpc import GRPCInferenceServiceStub
from prometheus_client import CollectorRegistry

from sparring.serving.config import ServingConfig
from sparring.serving.runner import Runner

OIP = "inference.GRPCInferenceService"


async def code(call) -> grpc.StatusCode:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return caught.value.code()


async def test_both_ways_give_the_same_answer(speak, say):
    async with speak() as speaking:
        over_grpc = await speaking.grpc.infer(say("hello"))
        over_http = await speaking.rest.infer(speaking.url, say("hello"), model_name="parrot")
    assert [over_grpc.model_name, over_grpc.model_version] == ["parrot", "base"]
    assert over_grpc.outputs[0].data == [b"hello"]
    assert over_http.outputs[0].data == ["hello"]
    assert over_http.outputs[2].data == [True]


async def test_the_server_and_its_model_describe_themselves(speak):
    async with speak() as speaking:
        assert (await speaking.http.get("/v2")).json()["name"] == "sparring"
        assert (await speaking.http.get("/v2/models")).json() == {"models": ["parrot"]}
        described = (await speaking.http.get("/v2/models/parrot")).json()
        stub = GRPCInferenceServiceStub(speaking.channel)
        also = await stub.ModelMetadata(pb.ModelMetadataRequest(name="parrot"))
    assert described["versions"] == list(also.versions) == ["base"]
    assert described["inputs"][0] == {"name": "say", "datatype": "BYTES", "shape": [1]}
    assert [tensor.name for tensor in also.outputs] == ["say", "file", "done"]


async def test_a_model_is_known_before_its_weights_are_loaded_and_ready_after(speak, say, publish):
    async with speak(serve_base=False) as speaking:
        assert (await speaking.http.get("/v2/models")).json() == {"models": ["parrot"]}
        assert (await speaking.http.get("/v2/health/live")).status_code == 200
        for path in ("/v2/health/ready", "/v2/models/parrot/ready"):
            assert (await speaking.http.get(path)).status_code == 503
        refused = await speaking.post("hello")
        assert refused.status_code == 503
        assert "not ready" in refused.json()["error"]
        assert await code(speaking.grpc.infer(say("hello"))) is grpc.StatusCode.UNAVAILABLE
        assert not await speaking.grpc.is_server_ready()
        assert not await speaking.grpc.is_model_ready("parrot")
        pin = publish(1)
        await speaking.reconciler.aim(pin)
        await speaking.reconciler.ready.wait()
        assert (await speaking.http.get("/v2/health/ready")).status_code == 200
        assert await speaking.rest.is_model_ready(speaking.url, "parrot")
        assert await speaking.grpc.is_server_ready()
        assert await speaking.grpc.is_model_ready("parrot")
        response = await speaking.grpc.infer(say("hello"))
    assert response.model_version == pin.name
    assert response.parameters["digest"].string_param == pin.digest


async def test_each_loaded_revision_is_a_version(speak, say, publish):
    async with speak(serve_base=False) as speaking:
        active, other = publish(1), publish(2)
        await speaking.reconciler.aim(active, [other])
        await speaking.reconciler.ready.wait()
        assert (await speaking.http.get("/v2/models/parrot")).json()["versions"] == [active.name, other.name]
        for pin in (active, other):
            response = await speaking.grpc.infer(say("hello", model_version=pin.name))
            assert response.model_version == pin.name
            for name in (pin.name, pin.name.replace("/", "%2F")):
                path = f"/v2/models/parrot/versions/{name}"
                assert (await speaking.http.get(path)).json()["name"] == "parrot"
                assert (await speaking.http.get(f"{path}/ready")).json() == {"name": "parrot", "ready": True}
                response = await speaking.rest.infer(
                    speaking.url, say("hello"), model_name=f"parrot/versions/{name}", response_headers={}
                )
                assert response.outputs[0].data == ["hello"]
            body = {"inputs": [{"name": "say", "datatype": "BYTES", "shape": [1], "data": ["hello"]}]}
            answer = (await speaking.http.post(f"/v2/models/parrot/versions/{pin.name}/infer", json=body)).json()
            assert (answer["model_version"], answer["parameters"]) == (pin.name, {"digest": pin.digest})
        answer = (await speaking.http.post("/v2/models/parrot/infer", json=body)).json()
        assert answer["model_version"] == active.name


async def test_a_version_or_model_that_is_not_there_is_told(speak, say):
    async with speak() as speaking:
        stub = GRPCInferenceServiceStub(speaking.channel)
        for path in ("/v2/models/parrot/versions/c/defender/000009", "/v2/models/parrot/versions/x/ready"):
            response = await speaking.http.get(path)
            assert response.status_code == 404
            assert "loaded are: ['base']" in response.json()["error"]
        assert (await speaking.http.get("/v2/models/crow")).status_code == 404
        nowhere = pb.ModelReadyRequest(name="parrot", version="x")
        assert await code(stub.ModelReady(nowhere)) is grpc.StatusCode.FAILED_PRECONDITION
        assert await code(speaking.grpc.infer(say("a", model_version="x"))) is grpc.StatusCode.FAILED_PRECONDITION
        assert await code(stub.ModelMetadata(pb.ModelMetadataRequest(name="crow"))) is grpc.StatusCode.NOT_FOUND


async def test_nobody_loads_or_unloads_through_the_standard(speak, say):
    async with speak() as speaking:
        stub = GRPCInferenceServiceStub(speaking.channel)
        for verb in ("load", "unload"):
            response = await speaking.http.post(f"/v2/repository/models/parrot/{verb}")
            assert response.status_code == 501
            assert "SetTarget" in response.json()["error"]
        unload = pb.RepositoryModelUnloadRequest(model_name="parrot")
        assert await code(stub.RepositoryModelUnload(unload)) is grpc.StatusCode.UNIMPLEMENTED
        assert (await speaking.grpc.infer(say("still"))).outputs[0].data == [b"still"]


async def test_it_stands_beside_our_own_service_in_reflection_and_health(speak):
    async with speak() as speaking:
        channel = speaking.channel
        stream = reflection_pb2_grpc.ServerReflectionStub(channel).ServerReflectionInfo(
            iter([reflection_pb2.ServerReflectionRequest(list_services="")])
        )
        names = {service.name for service in (await stream.read()).list_services_response.service}
        status = await health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(service=OIP))
    assert {OIP, "sparring.v1.Weights"} <= names
    assert status.status == health_pb2.HealthCheckResponse.SERVING


async def test_bad_input_is_told_with_its_name_over_grpc(speak, say):
    request = say("hello")
    request.inputs[0].shape = [2]
    async with speak() as speaking:
        with pytest.raises(grpc.aio.AioRpcError, match="say: shape") as caught:
            await speaking.grpc.infer(request)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_kserves_own_durations_are_in_our_metrics(speak, say):
    async with speak() as speaking:
        await speaking.grpc.infer(say("hello"))
        url = f"http://{speaking.addresses.metrics}/metrics"
        text = (await asyncio.to_thread(lambda: urllib.request.urlopen(url).read())).decode()
    assert 'request_predict_seconds_count{model_name="parrot"}' in text


async def test_each_can_be_had_without_the_other(speak, say):
    async with speak(rest_port=None) as speaking:
        assert speaking.addresses.rest is None
        assert (await speaking.grpc.infer(say("hello"))).outputs[0].data == [b"hello"]
    async with speak(open_inference=False) as speaking:
        assert (await speaking.post("hello")).status_code == 200
        assert await code(speaking.grpc.infer(say("hello"))) is grpc.StatusCode.UNIMPLEMENTED


@pytest.mark.parametrize("setting", [{"open_inference": True}, {"rest_port": 0}])
def test_a_service_that_speaks_no_standards_says_so(setting):
    with pytest.raises(ValueError, match=r"serving\.rest_port"):
        Runner(ServingConfig(**setting), [], registry=CollectorRegistry())


async def test_a_transport_error_is_kserves_own(speak, say):
    async with speak() as speaking:
        with pytest.raises(httpx.HTTPStatusError, match=r"nobody.*404"):
            await speaking.rest.infer(speaking.url, say("hello"), model_name="nobody")

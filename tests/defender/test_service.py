from __future__ import annotations

import asyncio
import io
from importlib.resources import files

import grpc
import numpy as np
import pytest
from google.rpc.error_details_pb2 import BadRequest, RetryInfo
from google.rpc.status_pb2 import Status
from PIL import Image

from sparring.policies.config import AnswerSampling, MllmConfig
from sparring.policies.mllm import Mllm
from sparring.policies.policy import Ask
from sparring.samples.images import decode, encode_png
from sparring.samples.shapes import Shapes, World
from sparring.serving.tensors import from_proto
from sparring.v1 import weights_pb2
from sparring.v1.revision_pb2 import Revision


async def answer(running, request):
    return await running.stub.Answer(request, timeout=30)


async def refusal(running, request, timeout: float = 30) -> grpc.aio.AioRpcError:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await running.stub.Answer(request, timeout=timeout)
    return caught.value


def detail(error, message):
    """The one detail of the type of `message`, unpacked into it."""
    packed = Status.FromString(dict(error.trailing_metadata())["grpc-status-details-bin"])
    assert any(any_.Unpack(message) for any_ in packed.details)
    return message


async def aim(running, *pins) -> None:
    active, *resident = (Revision(name=pin.name, digest=pin.digest) for pin in pins)
    await running.weights.SetTarget(weights_pb2.SetTargetRequest(active=active, resident=resident))
    while (await running.weights.GetState(weights_pb2.GetStateRequest())).phase != 1:
        await asyncio.sleep(0.001)


async def test_answers_say_who_answered_and_how(launch, request_answers):
    async with launch() as running:
        response = await running.stub.Answer(request_answers("where?", 2))
    assert [answer.text for answer in response.answers] == ["base: where? 1200 9 0", "base: where? 1200 9 1"]
    assert [answer.finished for answer in response.answers] == [True, False]
    assert response.revision == Revision(name="base")
    np.testing.assert_array_equal(from_proto(response.answers[0].tokens, 9, dtype=np.int32), [0, 1, 2])
    np.testing.assert_array_equal(from_proto(response.answers[0].logprobs, 9), np.full(3, -0.25, np.float32))
    assert running.policy.batches == [("base", AnswerSampling(temperature=0.7, max_tokens=8), [2])]


async def test_callers_share_batches_up_to_so_many_answers(launch, request_answers, echo):
    async with launch(echo, batch=6) as running:
        calls = [asyncio.ensure_future(answer(running, request_answers("first")))]
        assert await asyncio.to_thread(echo.entered.wait, 30)
        for index, count in enumerate((4, 2, 3)):
            calls.append(asyncio.ensure_future(answer(running, request_answers(str(index), count))))
            await running.waiting((4, 6, 9)[index])
        echo.gate.set()
        responses = await asyncio.gather(*calls)
    assert [counts for _, _, counts in echo.batches] == [[1], [4, 2], [3]]
    assert [response.answers[0].text.split()[1] for response in responses] == ["first", "0", "1", "2"]


async def test_revisions_and_settings_never_meet_in_a_batch(launch, request_answers, publish, echo):
    one, two = publish(1), publish(2)
    async with launch(echo, batch=64) as running:
        await aim(running, two, one)
        calls = [asyncio.ensure_future(answer(running, request_answers("first")))]
        assert await asyncio.to_thread(echo.entered.wait, 30)
        for index in range(8):
            request = request_answers("q", revision=Revision(name=(one, two)[index % 2].name))
            request.sampling.temperature = (0.0, 1.0)[index // 2 % 2]
            calls.append(asyncio.ensure_future(answer(running, request)))
        await running.waiting(8)
        echo.gate.set()
        responses = await asyncio.gather(*calls)
    assert [counts for _, _, counts in echo.batches] == [[1], [1, 1], [1, 1], [1, 1], [1, 1]]
    assert len({batch[:2] for batch in echo.batches[1:]}) == 4
    for response in responses:
        number = 1 if response.revision.name == one.name else 2
        assert response.revision.digest == (one, two)[number - 1].digest
        assert response.answers[0].text.startswith(f"revision {number}: ")


async def test_a_service_moves_to_a_new_revision_while_calls_go_on(launch, request_answers, publish):
    pins = [publish(number) for number in range(4)]
    async with launch() as running:
        await aim(running, pins[0])
        stop = asyncio.Event()

        async def keep_asking() -> list[tuple[str, str]]:
            seen = []
            while not stop.is_set():
                response = await answer(running, request_answers("q"))
                seen.append((response.revision.name, response.answers[0].text.partition(":")[0]))
            return seen

        askers = [asyncio.create_task(keep_asking()) for _ in range(4)]
        for pin in pins[1:]:
            await aim(running, pin)
        stop.set()
        sights = await asyncio.gather(*askers)
        last = await answer(running, request_answers("q"))
        while len(running.policy.words) > 2:  # the base is always there
            await asyncio.sleep(0.001)
    for seen in sights:
        assert all(words == f"revision {int(name[-6:])}" for name, words in seen)
        assert seen == sorted(seen)
    assert last.revision.name == pins[-1].name


async def test_a_revision_that_is_not_loaded_is_refused_and_those_that_are_named(launch, request_answers, publish):
    one, two = publish(1), publish(2)
    async with launch() as running:
        await aim(running, two, one)
        error = await refusal(running, request_answers("q", revision=Revision(name="c/defender/000003")))
        assert error.code() is grpc.StatusCode.FAILED_PRECONDITION
        assert f"['{one.name}', '{two.name}']" in error.details()
        error = await refusal(running, request_answers("q", revision=Revision(name=one.name, digest=two.digest)))
        assert error.code() is grpc.StatusCode.FAILED_PRECONDITION


async def test_a_full_queue_says_when_to_come_again(launch, request_answers, echo):
    async with launch(echo, batch=4, limit=4) as running:
        calls = [asyncio.ensure_future(answer(running, request_answers("q", 4)))]
        assert await asyncio.to_thread(echo.entered.wait, 30)
        calls.append(asyncio.ensure_future(answer(running, request_answers("q", 3))))
        await running.waiting(3)
        error = await refusal(running, request_answers("q", 2))
        assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert detail(error, RetryInfo()).retry_delay.ToMilliseconds() > 0
        echo.gate.set()
        assert [len(response.answers) for response in await asyncio.gather(*calls)] == [4, 3]


async def test_late_and_gone_callers_leave_the_queue(launch, request_answers, echo):
    async with launch(echo, batch=1) as running:
        first = asyncio.ensure_future(answer(running, request_answers("first")))
        assert await asyncio.to_thread(echo.entered.wait, 30)
        gone = running.stub.Answer(request_answers("gone"))
        await running.waiting(1)
        gone.cancel()
        await running.waiting(0)
        error = await refusal(running, request_answers("late"), timeout=0.1)
        assert error.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        await running.waiting(0)
        echo.gate.set()
        await first
    assert len(echo.batches) == 1


async def test_a_broken_model_is_internal_and_the_next_call_goes_on(launch, request_answers):
    async with launch() as running:
        assert (await refusal(running, request_answers("break"))).code() is grpc.StatusCode.INTERNAL
        assert (await answer(running, request_answers("q"))).answers
        labels = {"grpc_type": "unary", "grpc_service": "sparring.v1.Defender", "grpc_method": "Answer"}
        for code in ("Internal", "OK"):
            assert running.registry.get_sample_value("grpc_server_handled_total", {**labels, "grpc_code": code}) == 1


def animation() -> bytes:
    buffer = io.BytesIO()
    frames = [Image.new("RGB", (4, 4), colour) for colour in ("red", "blue")]
    frames[0].save(buffer, "WEBP", save_all=True, append_images=frames[1:])
    return buffer.getvalue()


@pytest.mark.parametrize(
    "image",
    [
        b"%PDF-1.7",
        encode_png(np.zeros((8, 8, 3), np.uint8))[:-30],
        encode_png(np.zeros((1, 5000, 3), np.uint8)),
        animation(),
    ],
    ids=["format", "truncated", "pixels", "frames"],
)
async def test_a_bad_image_is_refused_and_named(launch, request_answers, image):
    async with launch() as running:
        error = await refusal(running, request_answers("q", image=image))
        assert running.policy.batches == []
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    (violation,) = detail(error, BadRequest()).field_violations
    assert violation.field == "image"


async def test_the_small_defender_answers_as_it_does_without_a_server(launch, request_answers):
    model = Mllm(MllmConfig(base=str(files("sparring.ops") / "small" / "defender")))
    shapes = Shapes(World(), 0, "test")
    images = [shapes.sample(index).image for index in range(3)]
    async with launch(model) as running:
        responses = await asyncio.gather(
            *(answer(running, request_answers("where?", 2, image=image, seed=7)) for image in images)
        )
    sampling = AnswerSampling(temperature=0.7, max_tokens=8)
    for image, response in zip(images, responses, strict=True):
        pixels = decode(image, max_pixels=10**6, max_bytes=10**6)
        (replies,) = model.rollout([Ask(pixels, "where?", 7, 2)], sampling, "base")
        assert [a.text for a in response.answers] == [reply.text for reply in replies]
        for served, reply in zip(response.answers, replies, strict=True):
            np.testing.assert_array_equal(from_proto(served.tokens, 100, dtype=np.int32), reply.tokens)
            np.testing.assert_allclose(from_proto(served.logprobs, 100), reply.logprobs, atol=1e-5)

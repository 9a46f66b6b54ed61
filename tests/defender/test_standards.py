"""The defender by standards: the same answers from the same queue, whichever protocol a question came by."""

from __future__ import annotations

import asyncio
from importlib.resources import files

import grpc
import httpx
import numpy as np
import openai
import pytest

from sparring.policies.config import MllmConfig
from sparring.policies.mllm import Mllm
from sparring.samples.images import encode_png
from sparring.samples.shapes import Shapes, World
from tests.defender.asking import SPEAKS, asking, texts


async def test_every_protocol_gives_the_same_answers_and_says_whose(launch, publish):
    async with launch(serving=SPEAKS) as running, asking(running) as ask:
        pin = publish(1)
        await running.reconciler.aim(pin)
        while running.reconciler.state.active != pin:
            await asyncio.sleep(0.001)
        expected = await ask.by_contract()
        over_grpc, over_http, chat = await ask.by_grpc(), await ask.by_http(), await ask.by_chat()
        assert texts(await ask.by_http(raw=True)) == expected
    assert expected == [f"revision 1: where? 1200 9 {index}" for index in range(2)]
    assert texts(over_grpc) == texts(over_http) == [choice.message.content for choice in chat.choices] == expected
    assert over_grpc.outputs[1].as_numpy().tolist() == over_http.outputs[1].as_numpy().tolist() == [True, False]
    assert [choice.finish_reason for choice in chat.choices] == ["stop", "length"]
    assert (over_grpc.model_version, chat.model) == (pin.name, pin.name)
    assert over_grpc.parameters["digest"].string_param == over_http.parameters["digest"] == pin.digest
    assert chat.system_fingerprint == pin.digest


async def test_the_small_defender_answers_alike_by_every_protocol(launch):
    model = Mllm(MllmConfig(base=str(files("sparring.ops") / "small" / "defender")))
    scene = Shapes(World(), 0, "test").sample(0)
    async with (
        launch(model, {**SPEAKS, "max_image_bytes": 2**20}) as running,
        asking(running, image=scene.image, prompt=scene.question) as ask,
    ):
        expected = await ask.by_contract()
        chat = await ask.by_chat()
        assert texts(await ask.by_grpc()) == texts(await ask.by_http()) == expected
    assert [choice.message.content for choice in chat.choices] == expected
    assert all(expected)


async def test_questions_of_all_protocols_share_a_batch_and_its_metrics(launch, echo):
    async with launch(echo, SPEAKS, batch=16) as running, asking(running) as ask:
        first = asyncio.create_task(ask.by_contract())
        assert await asyncio.to_thread(echo.entered.wait, 30)
        others = [asyncio.create_task(call()) for call in (ask.by_contract, ask.by_grpc, ask.by_http, ask.by_chat)]
        await running.waiting(8)
        echo.gate.set()
        await asyncio.gather(first, *others)
        assert running.registry.get_sample_value("sparring_batch_size_sum", {"queue": "answers"}) == 10
    assert [counts for _, _, counts in echo.batches] == [[2], [2, 2, 2, 2]]


async def test_a_full_queue_is_told_in_the_words_of_each_protocol(launch, echo):
    async with launch(echo, SPEAKS, batch=1, limit=2) as running, asking(running) as ask:
        first = asyncio.create_task(ask.by_contract(1))
        assert await asyncio.to_thread(echo.entered.wait, 30)
        waiting = asyncio.create_task(ask.by_contract())
        await running.waiting(2)
        with pytest.raises(grpc.aio.AioRpcError) as over_grpc:
            await ask.by_grpc()
        with pytest.raises(httpx.HTTPStatusError) as over_http:
            await ask.by_http()
        with pytest.raises(openai.RateLimitError) as chat:
            await ask.by_chat()
        echo.gate.set()
        await asyncio.gather(first, waiting)
        lost = running.registry.get_sample_value("sparring_queue_lost_total", {"queue": "answers", "reason": "refused"})
    assert lost == 3
    assert over_grpc.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert "grpc-status-details-bin" in dict(over_grpc.value.trailing_metadata())
    assert over_http.value.response.status_code == 429
    assert int(over_http.value.response.headers["retry-after"]) >= 1
    assert int(chat.value.response.headers["retry-after"]) >= 1
    assert (chat.value.type, chat.value.code) == ("rate_limit_error", "queue_full")


async def test_a_caller_who_leaves_takes_its_question_out_of_the_queue(launch, echo):
    async with launch(echo, SPEAKS, batch=1) as running, asking(running) as ask:
        first = asyncio.create_task(ask.by_contract(1))
        assert await asyncio.to_thread(echo.entered.wait, 30)
        waiting = [asyncio.create_task(ask.by_chat()), asyncio.create_task(ask.by_http())]
        await running.waiting(4)
        for call in waiting:
            call.cancel()
        await running.waiting(0)
        echo.gate.set()
        await first
    assert len(echo.batches) == 1


async def test_nothing_answers_before_weights_are_loaded(launch):
    async with launch(serving={**SPEAKS, "serve_base": False}) as running, asking(running) as ask:
        with pytest.raises(grpc.aio.AioRpcError) as over_grpc:
            await ask.by_grpc()
        with pytest.raises(httpx.HTTPStatusError, match="503"):
            await ask.by_http()
        with pytest.raises(openai.InternalServerError) as chat:
            await ask.by_chat()
        assert [model.id async for model in ask.openai.models.list()] == ["defender"]
    assert over_grpc.value.code() is grpc.StatusCode.UNAVAILABLE
    assert chat.value.status_code == 503


@pytest.mark.parametrize(
    ("question", "parameters", "field"),
    [
        ({"prompt": ""}, {}, "prompt"),
        ({"image": b"no image"}, {}, "image"),
        ({"image": encode_png(np.zeros((65, 64, 3), np.uint8))}, {}, "image"),
        ({}, {"count": 0}, "parameters.count"),
        ({}, {"count": "many"}, "parameters.count"),
        ({}, {"count": 2**40}, "parameters.count"),
        ({}, {"temperature": "3"}, "parameters.temperature"),
        ({}, {"temperature": "nan"}, "parameters.temperature"),
        ({}, {"max_tokens": 10_000}, "parameters.max_tokens"),
        ({}, {"top_p": "0.5"}, "parameters.top_p"),
    ],
)
async def test_wrong_input_is_told_by_the_name_it_has_in_the_protocol(launch, question, parameters, field):
    async with launch(serving=SPEAKS) as running, asking(running, **question) as ask:
        with pytest.raises(grpc.aio.AioRpcError) as over_grpc:
            await ask.by_grpc(**parameters)
        with pytest.raises(httpx.HTTPStatusError) as over_http:
            await ask.by_http(**parameters)
    assert over_grpc.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert over_grpc.value.details().startswith(f"{field}: ")
    assert over_http.value.response.status_code == 400
    assert over_http.value.response.json()["error"].startswith(f"{field}: ")

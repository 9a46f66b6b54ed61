"""Chat completions by OpenAI's own client: what is supported works, and what is not is refused by name."""

from __future__ import annotations

import hashlib

import httpx
import numpy as np
import openai
import pytest

from sparring.samples.images import encode_png
from sparring.serving.config import Caller
from tests.defender.asking import SPEAKS, asking

TEXT = {"type": "text", "text": "where?"}


def image(url: str) -> dict[str, object]:
    return {"type": "image_url", "image_url": {"url": url}}


def user(*content: object) -> dict[str, object]:
    return {"role": "user", "content": list(content)}


async def test_a_model_is_the_service_or_a_loaded_revision(launch, publish):
    async with launch(serving={**SPEAKS, "serve_base": False}) as running, asking(running) as ask:
        active, other = publish(1), publish(2)
        await running.reconciler.aim(active, [other])
        await running.reconciler.ready.wait()
        assert [model.id async for model in ask.openai.models.list()] == ["defender", active.name, other.name]
        assert (await ask.openai.models.retrieve(other.name)).id == other.name
        for asked, pin in (("defender", active), (active.name, active), (other.name, other)):
            completion = await ask.by_chat(model=asked)
            assert (completion.model, completion.system_fingerprint) == (pin.name, pin.digest)
        for call in (ask.by_chat(model="gpt"), ask.openai.models.retrieve("gpt")):
            with pytest.raises(openai.NotFoundError, match="gpt"):
                await call


async def test_texts_are_joined_and_the_order_of_parts_does_not_matter(launch):
    async with launch(serving=SPEAKS) as running, asking(running) as ask:
        (message,) = ask.chat()["messages"]
        picture, _ = message["content"]
        texts = ({"type": "text", "text": "left"}, {"type": "text", "text": "right"})
        for content in ([picture, *texts], [texts[0], picture, texts[1]]):
            completion = await ask.by_chat(messages=[user(*content)], n=1)
            assert completion.choices[0].message.content == "base: left\nright 1200 9 0"


async def test_the_same_seed_gives_the_same_answers_and_no_seed_another(launch):
    async with launch(serving=SPEAKS) as running, asking(running) as ask:
        said = [(await ask.by_chat(seed=seed)).choices[0].message.content for seed in (5, 5, None, None)]
    assert said[0] == said[1]
    assert len(set(said)) == 3


async def test_settings_reach_the_model(launch):
    async with launch(serving=SPEAKS) as running, asking(running) as ask:
        for changes in ({}, {"max_completion_tokens": 3}, {"max_tokens": openai.omit, "temperature": openai.omit}):
            await ask.by_chat(**changes)
        samplings = [(sampling.temperature, sampling.max_tokens) for _, sampling, _ in running.policy.batches]
    assert samplings == [(0.7, 8), (0.7, 3), (1.0, 1024)]


async def test_settings_that_ask_for_nothing_are_taken(launch):
    nothing = {
        "stream": False,
        "top_p": 1,
        "frequency_penalty": 0,
        "presence_penalty": 0.0,
        "logprobs": False,
        "tools": [],
        "user": "me",
        "seed": None,
    }
    async with launch(serving=SPEAKS) as running, asking(running) as ask:
        assert (await ask.by_chat(**nothing)).choices


@pytest.mark.parametrize(
    ("changes", "param"),
    [
        ({"stream": True}, "stream"),
        ({"top_p": 0.5}, "top_p"),
        ({"logprobs": True}, "logprobs"),
        ({"tools": [{"type": "function", "function": {"name": "f"}}]}, "tools"),
        ({"response_format": {"type": "json_object"}}, "response_format"),
        ({"stop": "x"}, "stop"),
        ({"n": 0}, "n"),
        ({"n": 257}, "n"),
        ({"n": -1}, "n"),
        ({"temperature": 2.5}, "temperature"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_tokens": 9000}, "max_tokens"),
        ({"seed": -1}, "seed"),
        ({"messages": []}, "messages[0]"),
        ({"messages": [{"role": "system", "content": "be brief"}]}, "messages[0].role"),
        ({"messages": [user(image("data:,"), TEXT)] * 2}, "messages"),
        ({"messages": [{"role": "user", "content": "where?"}]}, "messages[0]"),
        ({"messages": [user(TEXT)]}, "messages[0]"),
        ({"messages": [user(image("data:,"))]}, "messages[0]"),
        ({"messages": [user(image("data:,"), image("data:,"), TEXT)]}, "messages[0]"),
        ({"messages": [user({"type": "text"}, image("data:,"))]}, "messages[0].content[0]"),
        ({"messages": [user({"type": "input_audio"}, TEXT)]}, "messages[0].content[0].type"),
        ({"messages": [user(TEXT, image("http://127.0.0.1/x.png"))]}, "messages[0].content[1].image_url.url"),
        ({"messages": [user(TEXT, image("file:///etc/passwd"))]}, "messages[0].content[1].image_url.url"),
        ({"messages": [user(image("data:image/png;base64,???"), TEXT)]}, "messages[0].content[0].image_url.url"),
        ({"messages": [user(image("data:image/png;base64,aGVsbG8="), TEXT)]}, "messages[0].content[0].image_url.url"),
        ({"messages": [user(image("data:image/png;base64,"), TEXT)]}, "messages[0].content[0].image_url.url"),
    ],
)
async def test_what_is_not_supported_is_refused_by_name(launch, changes, param):
    async with launch(serving=SPEAKS) as running, asking(running) as ask:
        with pytest.raises(openai.BadRequestError) as caught:
            await ask.by_chat(**changes)
        assert running.policy.batches == []
    assert (caught.value.type, caught.value.param) == ("invalid_request_error", param)


async def test_an_empty_text_is_blamed_on_the_content(launch):
    async with launch(serving=SPEAKS) as running, asking(running, prompt="") as ask:
        with pytest.raises(openai.BadRequestError) as caught:
            await ask.by_chat()
    assert caught.value.param == "messages[0].content"


async def test_limits_of_images_hold(launch):
    large = encode_png(np.zeros((65, 64, 3), np.uint8))
    async with launch(serving=SPEAKS) as running, asking(running, image=large) as ask:
        with pytest.raises(openai.BadRequestError, match="65 pixels"):
            await ask.by_chat()


@pytest.mark.parametrize("text", [b"where?", b"defender"])
async def test_half_a_character_is_no_text(launch, text):
    async with launch(serving=SPEAKS) as running, asking(running) as ask, httpx.AsyncClient(timeout=None) as http:
        body = httpx.Request("POST", running.rest, json=ask.chat()).content.replace(text, b"\\ud800")
        headers = {"content-type": "application/json"}
        response = await http.post(f"{running.rest}/openai/v1/chat/completions", content=body, headers=headers)
    assert response.status_code == (400 if text == b"where?" else 404)


async def test_a_broken_model_is_a_server_error_and_the_next_question_goes_on(launch):
    async with launch(serving=SPEAKS) as running, asking(running) as ask:
        (message,) = ask.chat()["messages"]
        broken = user(message["content"][0], {"type": "text", "text": "break"})
        with pytest.raises(openai.InternalServerError) as caught:
            await ask.by_chat(messages=[broken])
        assert (await ask.by_chat()).choices
    assert (caught.value.type, caught.value.code) == ("server_error", "internal")
    assert "the model is broken" not in caught.value.message


async def test_the_key_is_the_token(launch):
    callers = (Caller(name="me", token_sha256=hashlib.sha256(b"open sesame").hexdigest()),)
    async with launch(serving={**SPEAKS, "callers": callers}) as running, asking(running) as ask:
        with pytest.raises(openai.AuthenticationError):
            await ask.by_chat()
        known = ask.openai.with_options(api_key="open sesame")
        assert (await known.chat.completions.create(**ask.chat())).choices

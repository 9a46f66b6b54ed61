"""What an OpenAI-compatible endpoint is asked, and what is made of its replies."""

from __future__ import annotations

import base64
import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sparring.referee.errors import OpponentError
from sparring.referee.targets.asking import digest_of
from sparring.referee.targets.target import Target
from sparring.samples.images import BadImage
from sparring.v1 import defender_pb2, revision_pb2

from .conftest import IMAGE, MODEL, PROMPT, Endpoint, Opened, completion, reply

GREEDY = defender_pb2.AnswerSampling(temperature=0, max_tokens=24)


def encoded(kind: str) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(buffer, kind)
    return buffer.getvalue()


async def test_what_is_asked(endpoint: Endpoint, openai: Opened) -> None:
    async with openai() as it:
        answers = await it.ask(temperature=0.5)
    (seen,) = endpoint.seen
    assert (seen.path, seen.headers["content-type"]) == ("/v1/chat/completions", "application/json")
    image, text = seen.json["messages"][0]["content"]
    assert {key: value for key, value in seen.json.items() if key not in ("messages", "seed")} == {
        "model": MODEL,
        "max_tokens": 24,
        "temperature": 0.5,
    }
    head, _, data = image["image_url"]["url"].partition(",")
    assert (head, base64.b64decode(data)) == ("data:image/png;base64", IMAGE)
    assert text == {"type": "text", "text": PROMPT}
    (answer,) = answers.answers
    assert (answer.text, answer.finished) == ("\\boxed{A}", True)
    assert answer.tokens.shape == answer.logprobs.shape == (0,)
    assert (answers.revision, answers.digest) == (it.target.name, digest_of(["house/model-0613"]))
    assert it.target.name == f"openai:{MODEL}@{endpoint.address}"


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
async def test_an_image_is_called_what_it_is(endpoint: Endpoint, openai: Opened, kind: str) -> None:
    async with openai() as it:
        await it.ask(image=encoded(kind))
    assert f"data:image/{kind.lower()};base64,".encode() in endpoint.seen[0].body


async def test_what_is_no_image_is_not_sent(endpoint: Endpoint, openai: Opened) -> None:
    async with openai() as it:
        with pytest.raises(BadImage):
            await it.ask(image=encoded("GIF"))
    assert endpoint.seen == []


async def test_fields_are_named_and_left_out_as_configured(endpoint: Endpoint, openai: Opened) -> None:
    async with openai(length_field="max_completion_tokens", unsupported=["temperature", "seed"]) as it:
        await it.ask()
    assert endpoint.seen[0].json.keys() == {"model", "messages", "max_completion_tokens"}


async def test_several_answers_are_asked_for_one_by_one_under_seeds_of_their_own(
    endpoint: Endpoint, openai: Opened
) -> None:
    endpoint.script = [reply(completion(f"answer {index}")) for index in range(5)]
    async with openai(concurrency=1) as it:
        assert await it.texts(count=5) == [f"answer {index}" for index in range(5)]
        first = [seen.json["seed"] for seen in endpoint.seen]
        await it.ask(count=3)
    assert all("n" not in seen.json for seen in endpoint.seen)
    assert len(set(first)) == 5
    assert all(isinstance(seed, int) and 0 <= seed < 2**31 for seed in first)
    assert [seen.json["seed"] for seen in endpoint.seen[5:]] == first[:3]


async def test_several_answers_are_asked_for_at_once_where_that_is_known(endpoint: Endpoint, openai: Opened) -> None:
    endpoint.script = [reply(completion("a", "b", "c")), reply(completion("d", "e"))]
    async with openai(choices=3, concurrency=1) as it:
        assert await it.texts(count=5) == ["a", "b", "c", "d", "e"]
    assert [seen.json["n"] for seen in endpoint.seen] == [3, 2]


async def test_an_endpoint_that_gives_fewer_is_asked_again(endpoint: Endpoint, openai: Opened) -> None:
    endpoint.script = [reply(completion("a", "b")), reply(completion("c")), reply(completion("d"))]
    async with openai(choices=4) as it:
        assert await it.texts(count=4) == ["a", "b", "c", "d"]
    assert [seen.json.get("n") for seen in endpoint.seen] == [4, 2, None]


async def test_an_endpoint_that_gives_more_is_not_believed(endpoint: Endpoint, openai: Opened) -> None:
    endpoint.usual = reply(completion("a", "b"))
    async with openai() as it:
        with pytest.raises(OpponentError, match="2 answers instead of 1"):
            await it.ask()


@pytest.mark.parametrize(
    ("message", "finish", "text", "kind"),
    [
        ({"content": "B"}, "stop", "B", "whole"),
        ({"content": "B"}, None, "B", "whole"),
        ({"content": "it is \\box"}, "length", "it is \\box", "truncated"),
        ({"content": None}, "length", "", "truncated"),
        ({"content": ""}, "stop", "", "empty"),
        ({"content": " \n"}, "stop", " \n", "empty"),
        ({}, "stop", "", "empty"),
        ({"content": None}, "content_filter", "", "empty"),
        ({"content": None, "refusal": "I can't."}, "stop", "I can't.", "whole"),
        ({"content": "", "reasoning_content": "is it A?"}, "length", "", "truncated"),
        ({"content": "B", "reasoning_content": "is it A?", "reasoning": "A"}, "stop", "B", "whole"),
        ({"content": [{"type": "text", "text": "it is "}, {"type": "text", "text": "B"}]}, "stop", "it is B", "whole"),
        (
            {"content": [{"type": "thinking", "thinking": [{"text": "A"}]}, {"type": "text", "text": "B"}]},
            "stop",
            "B",
            "whole",
        ),
        ({"content": [{"type": "refusal", "refusal": "No."}]}, "stop", "No.", "whole"),
        ({"content": []}, "stop", "", "empty"),
        ({"content": "B", "tool_calls": []}, "tool_calls", "B", "whole"),
    ],
)
async def test_the_text_is_what_the_model_said(
    endpoint: Endpoint, openai: Opened, message: dict[str, object], finish: str | None, text: str, kind: str
) -> None:
    endpoint.usual = reply({"choices": [{"message": message, "finish_reason": finish}], "model": "m"})
    async with openai() as it:
        (answer,) = (await it.ask()).answers
        assert (answer.text, answer.finished) == (text, kind != "truncated")
        assert it.counted("answers", kind=kind) == 1


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"", "the body"),
        (b"<html>Welcome</html>", "the body"),
        (b'{"choices": [{"message"', "the body"),
        (b"\xff\xfe", "the body"),
        (b"[]", "the body"),
        (b"null", "the body"),
        (b"[" * 100_000, "the body"),
        (b"{}", "choices: Field required"),
        (b'{"error": {"message": "no"}}', "choices: Field required"),
        (b'{"choices": []}', "choices: List should have at least 1 item"),
        (b'{"choices": [{"text": "B"}]}', r"choices\.0\.message: Field required"),
        (b'{"choices": [{"message": {"content": 7}}]}', "content"),
        (b'{"choices": [{"message": {"content": [{"text": "B"}]}}]}', "content"),
    ],
)
async def test_what_is_no_completion_is_no_answer(endpoint: Endpoint, openai: Opened, body: bytes, why: str) -> None:
    endpoint.usual = reply(body)
    async with openai() as it:
        with pytest.raises(OpponentError, match=f"what is no chat completion: .*{why}") as caught:
            await it.ask()
    assert caught.value.code.name == "INTERNAL"
    assert len(endpoint.seen) == 1


async def test_another_model_is_noticed(endpoint: Endpoint, openai: Opened) -> None:
    kinds = [("m-1", "f-1"), ("m-1", "f-1"), ("m-2", "f-1"), ("m-1", "f-2"), ("m-1", "f-1")]
    endpoint.script = [reply(completion("A", model=model, system_fingerprint=mark)) for model, mark in kinds]
    async with openai() as it:
        digests = [(await it.ask(seed=seed)).digest for seed in range(5)]
        assert it.counted("model_changes") == 2
    assert digests[0] == digests[1] == digests[4] == digest_of(["m-1 f-1"])
    assert len(set(digests)) == 3


async def test_answers_by_two_models_are_by_neither(endpoint: Endpoint, openai: Opened) -> None:
    endpoint.script = [reply(completion("A", model=model)) for model in ("m-1", "m-2", "m-1", "m-1")]
    async with openai(concurrency=1) as it:
        mixed, plain = await it.ask(count=2, seed=1), await it.ask(count=2, seed=2)
        assert mixed.digest != plain.digest == digest_of(["m-1"])
        assert it.counted("model_changes") == 1


async def test_a_revision_that_is_another_is_refused(endpoint: Endpoint, openai: Opened) -> None:
    async with openai() as it:
        target: Target = it.target
        await target.answer(IMAGE, PROMPT, revision_pb2.Revision(name=it.target.name), 1, 7, GREEDY)
        with pytest.raises(OpponentError, match="not of 'c/defender/000001'"):
            await target.answer(IMAGE, PROMPT, revision_pb2.Revision(name="c/defender/000001"), 1, 7, GREEDY)


async def test_what_was_answered_is_not_asked_again(endpoint: Endpoint, openai: Opened, tmp_path: Path) -> None:
    file = tmp_path / "answers"
    endpoint.script = [reply(completion("first")), reply(completion("cut", finish="length"))]
    async with openai(cache=file, concurrency=1) as it:
        before = await it.ask(count=2)
        assert len(endpoint.seen) == 2
    async with openai(cache=file) as it:
        after = await it.ask(count=2)
        assert it.counted("answers", kind="recalled") == 2
        assert len(endpoint.seen) == 2
        assert [(a.text, a.finished) for a in after.answers] == [("first", True), ("cut", False)]
        assert (after.revision, after.digest) == (before.revision, before.digest)
        assert await it.texts(count=3) == ["first", "cut", "\\boxed{A}"]
        assert len(endpoint.seen) == 3
    for other in ({"seed": 8}, {"temperature": 0.5}, {"image": encoded("PNG")}):
        async with openai(cache=file) as it:
            await it.ask(**other)
    async with openai(cache=file, model="another") as it:
        await it.ask()
    async with openai(cache=file, length_field="max_completion_tokens") as it:
        await it.ask()
    assert len(endpoint.seen) == 3 + 5


async def test_no_empty_answer_and_no_error_is_kept(endpoint: Endpoint, openai: Opened, tmp_path: Path) -> None:
    endpoint.script = [reply(completion("")), reply(b"{}"), reply(completion("A"))]
    async with openai(cache=tmp_path / "answers") as it:
        assert await it.texts() == [""]
        with pytest.raises(OpponentError):
            await it.ask()
        assert await it.texts() == ["A"]
        assert await it.texts() == ["A"]
    assert len(endpoint.seen) == 3


async def test_when_one_of_several_fails_the_others_are_kept(
    endpoint: Endpoint, openai: Opened, tmp_path: Path
) -> None:
    endpoint.script = [reply(completion("a")), reply(completion("b")), reply(b"", 400)]
    async with openai(cache=tmp_path / "answers", concurrency=1) as it:
        with pytest.raises(OpponentError):
            await it.ask(count=3)
    async with openai(cache=tmp_path / "answers") as it:
        assert await it.texts(count=3) == ["a", "b", "\\boxed{A}"]
    assert len(endpoint.seen) == 4

"""Against a real OpenAI-compatible server that is not ours: `transformers serve`, with the small defender behind it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from importlib.resources import files
from pathlib import Path

import pytest

from sparring.referee.answers import choose
from sparring.referee.errors import OpponentError
from sparring.referee.targets.config import OpenAiConfig
from sparring.samples.prompt import put, shuffled
from sparring.samples.shapes import Shapes, World
from sparring.v1 import defender_pb2, revision_pb2

from .conftest import IMAGE, PROMPT, Asked, asked

MODEL = str(files("sparring.ops") / "small" / "defender")
ANYBODY = revision_pb2.Revision()
# It takes as long as importing torch does.
pytestmark = pytest.mark.timeout(900)


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where it listens."""
    command = [sys.executable, str(Path(__file__).with_name("serve.py")), MODEL]
    log = tmp_path_factory.mktemp("served") / "log"
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    with (
        log.open("w") as errors,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True, env=environment) as process,
    ):
        assert process.stdout is not None
        port = process.stdout.readline().strip()
        try:
            assert port, log.read_text()
            yield f"http://127.0.0.1:{port}/v1"
        finally:
            process.kill()


@pytest.fixture
async def served(server: str) -> AsyncIterator[Asked]:
    """The target that asks it, twice at a time."""
    async with asked(OpenAiConfig(url=server, model=MODEL, concurrency=2)) as it:
        yield it


async def test_it_sees_the_image_and_answers_the_question(served: Asked) -> None:
    greedy, right = defender_pb2.AnswerSampling(temperature=0, max_tokens=32), 0
    scenes = Shapes(World(), 0, "served")
    for index in range(12):
        sample = scenes.sample(index)
        prompt = put(sample, shuffled(sample, 0))
        answers = await served.target.answer(sample.image, prompt.text, ANYBODY, 1, 7, greedy)
        (answer,) = answers.answers
        options = [sample.options[place] for place in prompt.order]
        right += choose(answer.text, prompt.letters, options).letter == prompt.letter
        assert answer.finished
    assert right >= 10  # of at most four options each; blind guessing gives three
    assert served.counted("requests", outcome="answered") == 12
    assert served.counted("model_changes") == 0


async def test_it_gives_as_many_answers_as_are_wanted_and_says_which_was_cut_off(served: Asked) -> None:
    one_token = defender_pb2.AnswerSampling(temperature=0, max_tokens=1)
    answers = await served.target.answer(IMAGE, PROMPT, ANYBODY, 3, 7, one_token)
    assert len(answers.answers) == 3
    assert not any(answer.finished for answer in answers.answers)
    assert answers.revision == f"openai:{MODEL}@{served.host}"


async def test_it_is_asked_one_by_one_where_it_knows_no_n(server: str) -> None:
    async with asked(OpenAiConfig(url=server, model=MODEL, choices=4)) as it:
        assert len(await it.texts(count=2)) == 2
        assert it.counted("requests", outcome="answered") == 2


async def test_what_it_refuses_is_told(server: str) -> None:
    async with asked(OpenAiConfig(url=server, model="another/model")) as it:
        with pytest.raises(OpponentError, match="another/model") as caught:
            await it.ask()
    assert caught.value.code.name == "INVALID_ARGUMENT"

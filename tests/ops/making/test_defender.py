"""The making of the small defender: what is taught, and that the recipe runs through the real classes."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from sparring.ops.making.defender import DefenderRecipe, Milestone, make_defender, rate_at
from sparring.ops.making.lessons import Lesson, disturb, fresh, held_out, lesson
from sparring.ops.making.small_mllm import MllmShape, build, write
from sparring.ops.making.tokenizer import SIZE, UNKNOWN, make_tokenizer, vocabulary
from sparring.ops.making.tutor import Tutor
from sparring.policies.config import AnswerSampling, MllmConfig
from sparring.policies.mllm import Mllm
from sparring.policies.policy import Ask
from sparring.policies.processor import open_processor
from sparring.policies.residents import BASE
from sparring.samples.prompt import put
from sparring.samples.shapes import Shapes, World, ask

TINY = MllmShape(vision_layers=1, text_layers=1)
STEPS = {"left": (-1, 0), "right": (1, 0), "above": (0, -1), "below": (0, 1)}


def lessons(*, naming: bool = False, count: int = 16) -> list[Lesson]:
    return fresh(np.random.default_rng(0), World(bystanders=(0, 2)), count, naming=naming)


def test_answers_follow_from_their_own_positions() -> None:
    for item in lessons():
        pattern = r"(\w+ \w+) x(\d) y(\d) (\w+ \w+) x(\d) y(\d) (\w+) \\boxed\{([A-D])\}"
        found = re.fullmatch(pattern, item.answer)
        assert found is not None
        first, x1, y1, second, x2, y2, relation, letter = found.groups()
        assert f"the {first} compared with the {second}?" in item.prompt
        assert f"({letter}) {relation}\n" in item.prompt
        assert letter == item.letter
        dx, dy = STEPS[relation]
        assert (int(x1) - int(x2)) * dx + (int(y1) - int(y2)) * dy > 0


def test_questions_are_put_as_everywhere_else() -> None:
    scene = Shapes(World(), 0, "test").scene(0)
    item = lesson(scene, np.random.default_rng(0))
    sample = ask(scene)
    options = re.findall(r"\([A-D]\) (\w+)", item.prompt)
    prompt = put(sample, tuple(sample.options.index(option) for option in options))
    assert (item.prompt, item.letter) == (prompt.text, prompt.letter)


def test_options_are_shuffled_and_the_exam_stays_the_same() -> None:
    exam = held_out(World(), 3, 64)
    assert {item.letter for item in exam} == set("ABCD")
    assert [item.prompt for item in exam] == [item.prompt for item in held_out(World(), 3, 64)]


@pytest.mark.parametrize("naming", [False, True])
def test_lessons_are_made_of_known_words(naming: bool) -> None:
    tokenizer = make_tokenizer()
    for item in lessons(naming=naming):
        for text in (item.prompt, item.answer):
            tokens = tokenizer(text).input_ids
            assert tokenizer.unk_token_id not in tokens
            assert squeezed(tokenizer.decode(tokens)) == squeezed(text)
        assert tokenizer.decode(tokenizer(item.answer).input_ids) == item.answer


def squeezed(text: str) -> str:
    return re.sub(r"\s", "", text)


def test_the_vocabulary_is_full_and_the_rest_unknown() -> None:
    tokenizer = make_tokenizer()
    assert len(tokenizer) == len(vocabulary()) == SIZE
    words = tokenizer.convert_ids_to_tokens(tokenizer("Add one purple cross, zebra.").input_ids)
    assert words == ["add", "one", "purple", "cross", ",", UNKNOWN, "."]


def test_the_tutor_gives_what_the_processor_gives(tmp_path: Path) -> None:
    tokenizer = make_tokenizer()
    model = build(TINY, tokenizer)
    write(tmp_path, model, TINY)
    given = lessons(count=5)
    quick = Tutor(model, tokenizer, TINY).inputs(given, np.stack([item.pixels for item in given]), answered=False)
    processor = open_processor(tmp_path, min_pixels=64 * 64, max_pixels=64 * 64)
    turns = [
        [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": item.prompt}]}] for item in given
    ]
    text = processor.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
    slow = processor(images=[Image.fromarray(item.pixels) for item in given], text=text, return_tensors="pt")
    for name, value in quick.items():
        torch.testing.assert_close(value, slow[name], check_dtype=False, msg=name)


def test_disturbed_pixels_stay_close() -> None:
    pixels = np.stack([item.pixels for item in lessons()])
    changed = disturb(np.random.default_rng(0), pixels)
    difference = np.abs(changed.astype(int) - pixels).mean(axis=(1, 2, 3))
    assert changed.dtype == np.uint8
    assert (difference > 0.5).all()
    assert (difference < 30).all()


def test_the_rate_rises_and_falls() -> None:
    recipe = DefenderRecipe(steps=1000, warm_up=100)
    assert rate_at(0, recipe) == pytest.approx(0.01)
    assert rate_at(99, recipe) == rate_at(100, recipe) == 1
    assert rate_at(1000, recipe) == pytest.approx(0.01)


def test_a_short_making_lowers_the_loss_and_opens_as_a_policy(tmp_path: Path) -> None:
    seen: list[Milestone] = []
    recipe = DefenderRecipe(shape=TINY, steps=20, every=10, batch=8, exam=4, warm_up=2, bystanders=(0, 1), naming=0)
    make_defender(tmp_path, recipe, seen.append)
    assert [milestone.step for milestone in seen] == [10, 20]
    assert seen[1].loss < seen[0].loss - 0.5
    assert set(seen[1].accuracy) == {0, 1}
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    assert DefenderRecipe.model_validate(metrics["recipe"]) == recipe
    item = lessons()[0]
    [[reply]] = Mllm(MllmConfig(base=str(tmp_path))).rollout([Ask(item.pixels, item.prompt, 0)], AnswerSampling(), BASE)
    assert len(reply.tokens) == len(reply.logprobs) > 0

"""The defender's warm-up: the loss falls, and what is learnt is the boxed letter."""

from __future__ import annotations

from sparring.policies.config import AnswerSampling
from sparring.policies.policy import Ask
from sparring.samples.images import decode
from sparring.samples.prompt import put
from sparring.samples.shapes import Shapes, World
from tests.trainer.conftest import Arena

SFT = {"kind": "sft", "dataset": "shapes:train?seed=1"}


def test_answers_take_the_wanted_form(arena: Arena) -> None:
    options = {"sampling": None, "groups": 16, "objective": SFT, "optimizer": {"rate": 1e-2}}
    manifests = arena.train(steps=15, checkpoint_every=5, **options)
    losses = [manifest.metrics["loss"] or 0 for manifest in manifests]
    assert losses[-1] < losses[0] / 3
    assert {manifest.consumed for manifest in manifests} == {()}
    assert manifests[0].metrics["entropy"] > 0

    newest = manifests[-1].name
    sample = Shapes(World(), 7, "test").sample(0)
    image = decode(sample.image, max_pixels=10**6, max_bytes=10**6)
    ask = Ask(image, put(sample, (0, 1, 2, 3)).text, seed=0)
    greedy = AnswerSampling(temperature=0, max_tokens=12)
    [[reply]] = arena.defender(newest).rollout([ask], greedy, newest)
    assert reply.finished
    assert reply.text.replace(" ", "") in {rf"\boxed{{{letter}}}" for letter in "ABCD"}

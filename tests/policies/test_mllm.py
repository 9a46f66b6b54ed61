"""The defender's policy on an untrained model of the real class, against plain transformers and peft."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import peft
import pytest
import torch
from PIL import Image
from transformers import AutoModelForImageTextToText

from sparring.ops.making.small_mllm import MllmShape, build, write
from sparring.ops.making.tokenizer import make_tokenizer
from sparring.policies.config import Adapter, AnswerSampling, MllmConfig
from sparring.policies.mllm import Mllm
from sparring.policies.policy import Ask, Policy, Reply, TokenLogprobs
from sparring.policies.residents import BASE, NotInstalled

ADAPTER = Adapter(rank=4, alpha=8, targets=("q_proj", "v_proj", "qkv"))
PROMPTS = (
    "What is the location of the red circle compared with the blue square?",
    "where is the cross",
    "add one small object somewhere away from the red circle and keep the background unchanged",
)
WARM = AnswerSampling(temperature=1.3, max_tokens=7)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return untrained(tmp_path_factory.mktemp("base"), seed=0)


def untrained(folder: Path, seed: int) -> Path:
    torch.manual_seed(seed)
    shape = MllmShape(text_layers=2, vision_layers=1, spread=0.2)
    model = build(shape, make_tokenizer()).eval()
    model.generation_config.eos_token_id = [2, *range(30, 60)]  # so that answers end early, at different lengths
    write(folder, model, shape)
    return folder


def test_it_is_a_policy(base: Path) -> None:
    defender: Policy[Ask, Reply, AnswerSampling, TokenLogprobs] = policy(base)
    assert {name for name in dir(Policy) if not name.startswith("_")} <= set(dir(defender))


def policy(base: Path, **options: object) -> Mllm:
    return Mllm(MllmConfig(base=str(base), **options))


def asks(count: int = 1) -> list[Ask]:
    rng = np.random.default_rng(0)
    sides = [(64, 64), (40, 90), (64, 64), (90, 40)]
    return [
        Ask(rng.integers(0, 256, (*side, 3), dtype=np.uint8), PROMPTS[index % 3], seed=index, count=count)
        for index, side in enumerate(sides)
    ]


def flat(replies: list[list[Reply]]) -> list[Reply]:
    return [reply for group in replies for reply in group]


def test_logprob_agrees_with_rollout_on_a_mixed_batch(base: Path) -> None:
    defender = policy(base)
    given = asks(count=3)
    replies = flat(defender.rollout(given, WARM, BASE))
    assert len({len(reply.tokens) for reply in replies}) > 1
    scored = defender.logprob([ask for ask in given for _ in range(3)], replies, WARM)
    for row, reply in enumerate(replies):
        length = len(reply.tokens)
        assert scored.mask[row].tolist() == [True] * length + [False] * (scored.mask.shape[1] - length)
        np.testing.assert_allclose(scored.logprob[row, :length].detach().numpy(), reply.logprobs, atol=1e-4)


def test_logprob_agrees_with_a_plain_forward_pass(base: Path) -> None:
    defender = policy(base)
    ask = asks()[1]
    [[reply]] = defender.rollout([ask], WARM, BASE)
    scored = defender.logprob([ask], [reply], WARM)

    model = AutoModelForImageTextToText.from_pretrained(base)
    inputs = encode(defender, ask)
    tokens = torch.from_numpy(reply.tokens).long()[None]
    types = inputs.pop("mm_token_type_ids")
    inputs["input_ids"] = torch.cat([inputs["input_ids"], tokens], 1)
    inputs["mm_token_type_ids"] = torch.cat([types, torch.zeros_like(tokens)], 1)
    inputs.pop("attention_mask")
    logits = model(**inputs).logits[0, -tokens.shape[1] - 1 : -1]
    plain = torch.distributions.Categorical(logits=logits / WARM.temperature)
    torch.testing.assert_close(scored.logprob[0], plain.log_prob(tokens[0]), atol=1e-4, rtol=0)
    torch.testing.assert_close(scored.entropy[0], plain.entropy(), atol=1e-4, rtol=0)


def test_greedy_answers_are_those_of_generate(base: Path) -> None:
    defender = policy(base)
    model = AutoModelForImageTextToText.from_pretrained(base)
    for ask, [reply] in zip(
        asks(), defender.rollout(asks(), AnswerSampling(temperature=0, max_tokens=9), BASE), strict=True
    ):
        inputs = encode(defender, ask)
        tokens = model.generate(**inputs, do_sample=False, max_new_tokens=9)[0, inputs["input_ids"].shape[1] :]
        assert reply.tokens.tolist() == tokens.tolist()
        assert not reply.logprobs.any()


def encode(defender: Mllm, ask: Ask) -> dict[str, torch.Tensor]:
    turn = [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": ask.prompt}]}]
    text = defender.processor.apply_chat_template([turn], tokenize=False, add_generation_prompt=True)
    return dict(defender.processor(images=[Image.fromarray(ask.image)], text=text, return_tensors="pt"))


def test_an_answer_does_not_depend_on_the_batch(base: Path) -> None:
    defender = policy(base)
    together = defender.rollout(asks(count=2), WARM, BASE)
    for ask, expected in zip(asks(count=3), together, strict=True):
        [alone] = defender.rollout([ask], WARM, BASE)
        assert [reply.tokens.tolist() for reply in alone[:2]] == [reply.tokens.tolist() for reply in expected]
    assert together[0][0].tokens.tolist() != together[0][1].tokens.tolist()


def test_answers_follow_the_distribution(base: Path) -> None:
    defender = policy(base)
    [replies] = defender.rollout([asks(count=4000)[0]], AnswerSampling(max_tokens=1), BASE)
    first = np.array([reply.tokens[0] for reply in replies])
    probability = {int(reply.tokens[0]): float(np.exp(reply.logprobs[0])) for reply in replies}
    for token, expected in probability.items():
        assert abs((first == token).mean() - expected) < 4 * np.sqrt(expected / 4000)


def test_gradients_of_a_shared_prompt_are_those_of_separate_ones(base: Path) -> None:
    defender = policy(base)
    ask = asks(count=3)[0]
    [replies] = defender.rollout([ask], WARM, BASE)
    shared = gradients(defender, [ask] * 3, replies)
    apart = [gradients(defender, [ask], [reply]) for reply in replies]
    for name, gradient in shared.items():
        torch.testing.assert_close(gradient, sum(part[name] for part in apart), atol=1e-4, rtol=1e-4)


def gradients(defender: Mllm, given: list[Ask], replies: list[Reply]) -> dict[str, torch.Tensor]:
    scored = defender.logprob(given, replies, WARM)
    (scored.logprob * scored.mask).sum().backward()
    found = {}
    for name, parameter in defender.trainable():
        assert parameter.grad is not None, name
        found[name], parameter.grad = parameter.grad, None
    return found


@pytest.mark.parametrize("adapter", [None, ADAPTER])
def test_an_exported_revision_answers_the_same(base: Path, tmp_path: Path, adapter: Adapter | None) -> None:
    trainer = policy(base, adapter=adapter)
    with torch.no_grad():
        for _, parameter in trainer.trainable():
            parameter.add_(0.1 * torch.randn_like(parameter))
    trainer.export(tmp_path)

    service = policy(base)
    service.install("c/defender/1", tmp_path)
    replies = flat(service.rollout(asks(), WARM, "c/defender/1"))
    scored = trainer.logprob(asks(), replies, WARM)
    for row, reply in enumerate(replies):
        np.testing.assert_allclose(scored.logprob[row, : len(reply.tokens)].detach().numpy(), reply.logprobs, atol=1e-4)

    plain = AutoModelForImageTextToText.from_pretrained(base if adapter else tmp_path)
    if adapter:
        plain = peft.PeftModel.from_pretrained(plain, str(tmp_path))
    inputs = encode(service, asks()[0])
    [[reply]] = service.rollout(asks()[:1], AnswerSampling(temperature=0, max_tokens=5), "c/defender/1")
    tokens = plain.generate(**inputs, do_sample=False, max_new_tokens=5)[0, inputs["input_ids"].shape[1] :]
    assert reply.tokens.tolist() == tokens.tolist()

    successor = policy(base, adapter=adapter)
    successor.adopt(tmp_path)
    again = successor.logprob(asks(), replies, WARM)
    torch.testing.assert_close(again.logprob, scored.logprob)


@pytest.mark.parametrize("adapter", [None, ADAPTER])
def test_vision_can_be_left_alone(base: Path, adapter: Adapter | None) -> None:
    names = [name for name, _ in policy(base, adapter=adapter, train_vision=False).trainable()]
    assert names
    assert not [name for name in names if "visual" in name]
    assert [name for name, _ in policy(base, adapter=adapter).trainable() if "visual" in name]


def test_revisions_are_resident_side_by_side(base: Path, tmp_path: Path) -> None:
    defender = policy(base)
    other = policy(untrained(tmp_path, seed=1))
    defender.install("other", tmp_path)
    expected = [reply.tokens.tolist() for reply in flat(other.rollout(asks(), WARM, BASE))]
    assert [reply.tokens.tolist() for reply in flat(defender.rollout(asks(), WARM, "other"))] == expected
    assert [reply.tokens.tolist() for reply in flat(defender.rollout(asks(), WARM, BASE))] != expected
    defender.remove("other")
    with pytest.raises(NotInstalled, match="other"):
        defender.rollout(asks(), WARM, "other")


def test_greedy_has_no_gradient(base: Path) -> None:
    with pytest.raises(ValueError, match="temperature above 0"):
        policy(base).logprob(asks(), [], AnswerSampling(temperature=0))

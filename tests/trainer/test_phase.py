"""A phase on one rank, in this process: real ledgers, a real policy, DeepSpeed."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import peft
import pytest
import torch
from transformers import AutoModelForImageTextToText

from sparring.ledgers.lock import exclusive
from sparring.policies.config import Adapter, MllmConfig
from sparring.policies.mllm import Mllm
from sparring.trainer.config import Dapo
from sparring.trainer.errors import Busy, Diverged, Mismatch, Starved
from sparring.trainer.feed import TrainGroup
from sparring.trainer.sides.answers import Answers
from tests.trainer.conftest import FIRST, SAMPLING, Arena, apart

ADAPTER = Adapter(rank=4, alpha=8, targets=("q_proj", "v_proj"))


def test_every_step_is_a_revision(arena: Arena) -> None:
    manifests = arena.train(steps=3)
    assert [m.step for m in manifests] == [1, 2, 3]
    assert [m.number for m in manifests] == [1, 2, 3]
    assert [m.parent for m in manifests] == [FIRST, *(m.name for m in manifests[:2])]
    assert [m.consumed for m in manifests] == [("g000", "g001"), ("g002", "g003"), ("g004", "g005")]
    assert not Path(arena.config().checkpoints).exists()
    before, after = arena.tensors(FIRST), arena.tensors(manifests[-1].name)
    assert before.keys() == after.keys()
    assert any(not torch.equal(before[name], after[name]) for name in before)


def test_health_is_in_the_manifest(arena: Arena) -> None:
    first, second = arena.train(updates=2)
    assert first.metrics["mismatch_mean"] < 1e-5
    assert first.metrics["staleness"] == 0
    assert second.metrics["staleness"] == 1
    assert "mismatch_mean" not in second.metrics, "it is judged on zero-lag groups only"
    assert first.metrics["reward_mean"] == pytest.approx(0.5)
    assert first.metrics["advantage_spread"] == pytest.approx(np.std(np.linspace(0, 1, 4)))
    for name in ("load", "logprob", "backward", "step", "checkpoint", "export"):
        assert first.metrics[f"seconds_{name}"] >= 0
    assert second.metrics["seconds_publish"] > 0
    for name in ("entropy", "grad_norm", "loss", "tokens_per_second"):
        assert np.isfinite(first.metrics[name])


def test_what_was_rewarded_becomes_likelier(arena: Arena) -> None:
    newest = arena.train(steps=1, optimizer={"rate": 1e-4})[0]
    learner = Mllm(arena.policy)
    learner.adopt(arena.weights.fetch(newest.name, None, arena.root / "cache"))
    groups = arena.ledger.get_groups(newest.consumed)
    taken = [TrainGroup(key, groups[key], lag=0) for key in newest.consumed]
    rows = Answers(learner, arena.ledger, SAMPLING, Dapo()).rows(taken, range(2), step=1)
    with torch.no_grad():
        scored = learner.logprob([row.ask for row in rows], [row.reply for row in rows], SAMPLING)
    after = (scored.logprob * scored.mask).sum(1).numpy()
    gain = after - np.array([row.reply.logprobs.sum() for row in rows])
    assert np.corrcoef(gain, [row.advantage for row in rows])[0, 1] > 0.7


def test_truncated_importance_is_that_of_one_update_or_several(make_arena: Callable[[], Arena]) -> None:
    """The first update of a step finds the learner as the step did; with one update it is not scored beforehand."""
    objective = {"kind": "dapo", "truncation": 2.0}
    single, several = make_arena().train(objective=objective), make_arena().train(objective=objective, updates=2)
    for manifests in (single, several):
        assert manifests[0].metrics["importance"] == pytest.approx(1, abs=1e-4)
        assert manifests[1].metrics["importance"] != pytest.approx(1, abs=1e-3), "the second step is off-policy"
    assert single[1].metrics["kl"] == 0, "it is compared with itself"
    assert (several[1].metrics["kl"] or 0) > 0


def test_a_phase_that_is_done_is_left_alone(arena: Arena) -> None:
    manifests = arena.train()
    assert arena.train() == manifests


def test_how_it_is_computed_changes_nothing(make_arena: Callable[[], Arena]) -> None:
    options = {"updates": 2, "optimizer": {"rate": 1e-3, "warm_up": 3}}
    whole, small, shared = make_arena(), make_arena(), make_arena()
    expected = whole.train(**options)[-1].name
    for arena, engine in ((small, {"micro_batch": 3}), (shared, {"micro_batch": 5, "zero_stage": 2})):
        newest = arena.train(**options, engine=engine)[-1].name
        assert apart(arena.tensors(newest), whole.tensors(expected), whole.tensors(FIRST)) < 1e-3


def test_an_exported_revision_opens_with_plain_transformers(arena: Arena) -> None:
    newest = arena.train()[-1].name
    model = AutoModelForImageTextToText.from_pretrained(arena.weights.fetch(newest, None, arena.root / "cache"))
    stored = list(arena.tensors(newest).values())
    for name, parameter in model.named_parameters():
        assert any(parameter.shape == tensor.shape and torch.equal(parameter, tensor) for tensor in stored), name


def test_an_adapter_is_trained_on_a_frozen_base(base: Path, tmp_path: Path) -> None:
    arena = Arena(tmp_path, MllmConfig(base=str(base), adapter=ADAPTER))
    arena.found()
    arena.play(6)
    manifests = arena.train(steps=3, checkpoint_every=3)
    assert {m.layout for m in manifests} == {"peft"}
    assert manifests[0].metrics["mismatch_mean"] < 1e-5
    folder = arena.weights.fetch(manifests[-1].name, None, arena.root / "cache")
    plain = AutoModelForImageTextToText.from_pretrained(base)
    before = {name: parameter.clone() for name, parameter in plain.named_parameters()}
    adapted = peft.PeftModel.from_pretrained(plain, str(folder)).merge_and_unload()
    changed = {name for name, parameter in adapted.named_parameters() if not torch.equal(parameter, before[name])}
    assert {name.split(".")[-2] for name in changed} == {"q_proj", "v_proj"}


def test_bfloat16_is_trained_with_float32_copies(base: Path, tmp_path: Path) -> None:
    arena = Arena(tmp_path, MllmConfig(base=str(base), dtype="bfloat16"))
    arena.found()
    arena.play(4)
    engine = {"bf16": True, "zero_stage": 2, "micro_batch": 3}
    # At this rate most updates are smaller than half a step of bfloat16.
    manifests = arena.train(engine=engine, optimizer={"rate": 1e-4}, limits={"mismatch": 0.05})
    assert 1e-5 < (manifests[0].metrics["mismatch_mean"] or 0) < 0.05
    tensors = arena.tensors(manifests[-1].name)
    assert {tensor.dtype for tensor in tensors.values()} == {torch.bfloat16}
    first = arena.tensors(FIRST)
    assert any(not torch.equal(first[name], tensor) for name, tensor in tensors.items())


def test_services_that_compute_otherwise_are_found_out(arena: Arena) -> None:
    with pytest.raises(Mismatch) as caught:
        arena.train(sampling={"temperature": 1.0, "max_tokens": 6})
    message = str(caught.value)
    assert re.search(r"defender service and of the trainer differ by \d.*e.*limits.mismatch", message)
    assert message.endswith(f"Service: {FIRST} (sha256 ); trainer: {FIRST} (sha256 {arena.weights.digest(FIRST)}).")
    assert not arena.steps


def test_a_gradient_that_is_not_finite_is_not_published(arena: Arena) -> None:
    with pytest.raises(Diverged, match=r"norm is nan; lower optimizer.rate"):
        arena.train(optimizer={"rate": 1e30})
    assert [m.step for m in arena.steps] == [1]


def test_a_starved_trainer_says_what_it_waits_for(arena: Arena) -> None:
    arena.play(1, rewards=(0.0,) * 4)
    with pytest.raises(
        Starved,
        match=r"phase i1-defender of c waits for 1 of 3 groups of the defender with signal "
        r"\(passed over since the last step: 1 signal-free\); none came for",
    ):
        arena.train(steps=3, groups=3)
    assert [m.step for m in arena.steps] == [1, 2]


def test_a_phase_has_one_trainer(arena: Arena) -> None:
    folder = Path(arena.config().checkpoints)
    folder.mkdir()
    with exclusive(folder / "lock", wait=False), pytest.raises(Busy, match=r"trains i1-defender of c: it holds .*lock"):
        arena.train()
    assert len(arena.train()) == 2

"""The trainer as it is run in earnest: processes under torchrun, each guarded as the supervisor guards them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from sparring.trainer.config import TrainerConfig
from tests.trainer.conftest import FIRST, Arena, apart


@contextmanager
def started(config: TrainerConfig, ranks: int, folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    file, log = folder / "trainer.json", folder / "trainer.log"
    file.write_text(config.model_dump_json())
    python = [sys.executable, "-m"]
    rank = [*python, "sparring.ops.guard", *python, "sparring.trainer", "--config", str(file)]
    command = [*python, "torch.distributed.run", "--standalone", f"--nproc-per-node={ranks}", "--no-python", *rank]
    place = {name for name in os.environ if name in ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")}
    environment = {name: value for name, value in os.environ.items() if name not in place}
    environment |= {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    with log.open("ab") as output, subprocess.Popen(command, env=environment, stdout=output, stderr=output) as child:
        try:
            yield child
        finally:
            child.kill()


def wait_for_step(arena: Arena, step: int, child: subprocess.Popen[bytes]) -> None:
    while not any(manifest.step == step for manifest in arena.steps):
        with pytest.raises(subprocess.TimeoutExpired):
            child.wait(0.05)


def test_two_ranks_find_the_weights_of_one(make_arena: Callable[[], Arena]) -> None:
    """With three groups on two ranks, one of them has fewer micro-batches than the other."""
    alone, shared = make_arena(), make_arena()
    options = {"groups": 3}
    expected = alone.train(**options)
    config = shared.config(**options, engine={"zero_stage": 2, "micro_batch": 3})
    with started(config, 2, shared.root) as child:
        assert child.wait() == 0, (shared.root / "trainer.log").read_text()
    assert [m.consumed for m in shared.steps] == [m.consumed for m in expected]
    for ours, theirs in zip(shared.steps, expected, strict=True):
        assert apart(shared.tensors(ours.name), alone.tensors(theirs.name), alone.tensors(FIRST)) < 1e-3
        for name in ("loss", "entropy", "kl", "grad_norm"):
            assert ours.metrics[name] == pytest.approx(theirs.metrics[name], rel=1e-3, abs=1e-4), name


def test_a_trainer_that_is_killed_leaves_nobody_and_is_taken_up(make_arena: Callable[[], Arena]) -> None:
    whole, broken = make_arena(), make_arena()
    whole.play(4)
    expected = whole.train(steps=5)
    config = broken.config(steps=5, limits={"starve_seconds": 300})
    with started(config, 1, broken.root) as child:
        wait_for_step(broken, 4, child)
        ranks = psutil.Process(child.pid).children(recursive=True)
        child.kill()
    _, alive = psutil.wait_procs(ranks, timeout=30)
    assert not alive
    broken.play(4)
    with started(config, 1, broken.root) as child:
        assert child.wait() == 0, (broken.root / "trainer.log").read_text()
    chain = list(broken.weights.lineage(broken.steps[-1].name))[::-1]
    assert [m.step for m in chain] == [0, 1, 2, 3, 4, 5]
    assert [m.consumed for m in chain[1:]] == [m.consumed for m in expected]
    newest = broken.tensors(chain[-1].name)
    assert apart(newest, whole.tensors(expected[-1].name), whole.tensors(FIRST)) < 1e-3


def test_a_wrong_configuration_is_a_status_of_its_own(arena: Arena) -> None:
    file = arena.root / "trainer.json"
    file.write_text(arena.config().model_dump_json().replace('"dapo"', '"nft"'))
    command = [sys.executable, "-m", "sparring.trainer", "--config", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert f"trainer: {file}" in done.stderr

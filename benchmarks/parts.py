"""What the parts of a check of small images cost alone: milliseconds of processor time, nothing else going on."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from episodes import edit, episode
from prometheus_client import CollectorRegistry
from targets import PROMPT, SAMPLING, measure

from sparring.attacker.procedural import find_attack
from sparring.attacker.space import NoRoom
from sparring.ledgers.episodes import EpisodeLedger
from sparring.ledgers.records import Group, SampleId, SampleRecord
from sparring.referee.config import IntegrityConfig
from sparring.referee.correlation import Pixels
from sparring.referee.integrity import Subject, judge
from sparring.referee.targets.config import OpenAiConfig, TargetsConfig
from sparring.referee.targets.metrics import TargetMetrics
from sparring.referee.targets.opening import open_target
from sparring.samples.images import decode, encode_png
from sparring.samples.sample import Sample, Target
from sparring.v1 import revision_pb2

LOT = 16
"""Groups of a commit."""


@dataclass(frozen=True)
class Attacked:
    """An image, its targets, and edits of it as they are sent (PNG)."""

    image: Pixels
    targets: Sequence[Target]
    edits: list[bytes]


def attacked(sample: Sample, attacks: Sequence[str], budget: int) -> Attacked:
    """What some attacks make of a sample."""
    image, edits = decode(sample.image, max_pixels=1 << 22, max_bytes=1 << 24), []
    for name in attacks:
        for seed in range(budget):
            try:
                edits.append(encode_png(find_attack(name)(image, sample.targets, np.random.default_rng(seed)).image))
            except NoRoom:
                continue
    return Attacked(image, sample.targets, edits)


def look_at(shown: Attacked) -> None:
    """All that the referee does to judge edits of one sample."""
    subject = Subject(shown.image, shown.targets)
    for file in shown.edits:
        pixels = decode(file, max_pixels=1 << 22, max_bytes=1 << 24)
        if judge(subject, pixels, IntegrityConfig()).valid:
            subject.before.type_of(pixels)


def group(name: str, image: bytes) -> Group:
    """One match: a sample, two edits of it, and what was answered to them."""
    sample = SampleId(f"sample of {name}")
    rows = [replace(episode(name, index, sample), group_size=2) for index in range(2)]
    return Group(
        (SampleRecord(sample, image, "Where?", ("left", "right"), 0, (), "", "benchmark"),),
        tuple(replace(edit(f"{name}/e{index}", sample), image=image) for index in range(2)),
        (),
        tuple(replace(row, answers=row.answers[:1]) for row in rows),
    )


@contextmanager
def spent() -> Iterator[list[float]]:
    """What the block takes, milliseconds of this process, all its threads together: is added when it ends."""
    told: list[float] = []
    start = time.process_time()
    yield told
    told.append((time.process_time() - start) * 1000)


def making_and_judging(samples: Sequence[Sample], attacks: Sequence[str], budget: int) -> tuple[float, float]:
    """For one edit."""
    with spent() as making:
        shown = [attacked(sample, attacks, budget) for sample in samples]
    with spent() as judging:
        for each in shown:
            look_at(each)
    edits = sum(len(each.edits) for each in shown)
    return making[0] / edits, judging[0] / edits


def committing(image: bytes, lots: int) -> float:
    """For one answer."""
    with tempfile.TemporaryDirectory() as folder:
        ledger = EpisodeLedger(folder)
        gathered = [[group(f"{lot}/{number}", image) for number in range(LOT)] for lot in range(lots)]
        with spent() as took:
            for groups in gathered:
                ledger.append_groups(groups)
    return took[0] / (lots * LOT * 2)


async def asking(url: str, image: bytes, callers: int, rounds: int) -> float:
    """For one answer, kept in the cache."""
    config, nobody = OpenAiConfig(url=url, model="slow", concurrency=callers), revision_pb2.Revision()
    with tempfile.TemporaryDirectory() as folder:
        rules = TargetsConfig.only(config, str(Path(folder) / "answers"))
        async with open_target(config, rules, TargetMetrics(CollectorRegistry())) as target:
            _, cpu = await measure(
                lambda seed: target.answer(image, PROMPT, nobody, 1, seed, SAMPLING), callers, rounds
            )
    return cpu

"""Whether a check keeps a slow endpoint busy, and what it costs itself.

    python benchmarks/checks.py [--samples 500] [--photographs 36] [--latency 0.2] [--concurrency 32]

A whole check through its real processes: a referee, an attacker without a model, and an endpoint that answers every
request after the latency. The ideal is that many requests in flight at any time and nothing else to wait for. Processor
time is that of referee and attacker, for one answer. Below, in the same run, what each part of a check of small images
costs alone, and the least that has to be done for an edit: decode it, compare it with the original in the targets'
boxes, encode it.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.request import urlopen

import psutil
from parts import asking, committing, making_and_judging
from photographs import photographs
from prometheus_client.parser import text_string_to_metric_families
from targets import endpoint

from sparring.ops.checks.config import CheckConfig
from sparring.ops.checks.folder import CheckFolder
from sparring.ops.checks.house import CheckHouse
from sparring.ops.checks.request import to_spec
from sparring.ops.status import Status
from sparring.referee.regions import region
from sparring.referee.similarity import similarity
from sparring.samples.images import decode, encode_png
from sparring.samples.sample import Sample
from sparring.samples.shapes import Shapes, World
from sparring.serving.addresses import Addresses

CORRUPTION, SEMANTIC, BUDGET = ("noise", "blur"), ("add", "replace"), 2
SHAPES = "shapes:benchmark?seed=0&bystanders=2-2&grounds=plain,graded,striped"
SERVICES = ("referee", "attacker")


@dataclass(frozen=True)
class Cost:
    """What a check took: answers, requests (of two equal images one is asked about), seconds from submission to end,
    seconds from a tenth of its samples to nine tenths by the share of samples done meanwhile, and processor seconds by
    service."""

    answers: int
    requests: int
    seconds: float
    steady_seconds: float
    used: dict[str, float]


async def play(config: CheckConfig, folder: Path) -> Cost:
    """Play a check."""
    status = Status("benchmark", lambda line: None)
    async with CheckHouse(config, CheckFolder(folder), None, status).open() as checks:
        before, began = used(), time.perf_counter()
        submitted = await checks.submit(to_spec(config, None))
        marks = [(told.done, time.perf_counter()) async for told in checks.watch(submitted.check_id)]
        seconds, after = time.perf_counter() - began, used()
        report = json.loads(await checks.report(submitted.check_id))
        asked = requests(CheckFolder(folder))
    if report["semantic"]["missing"]:
        raise SystemExit(f"the check went wrong: {report['unreliable']} {report['counts']}")
    return Cost(
        report["counts"]["answers"],
        asked,
        seconds,
        steady(marks),
        {name: after[name] - before[name] for name in SERVICES},
    )


def steady(marks: Sequence[tuple[int, float]]) -> float:
    """Seconds that all samples would take at the pace of the middle."""
    total = marks[-1][0]
    middle = [(done, at) for done, at in marks if total <= 10 * done <= 9 * total]
    (first, start), (last, end) = (middle or marks)[0], (middle or marks)[-1]
    return (end - start) * total / max(1, last - first)


def requests(folder: CheckFolder) -> int:
    """Requests that the referee says it has made."""
    metrics = Addresses.read(folder.run.address("referee")).metrics
    with urlopen(f"http://{metrics}/metrics") as page:
        families = text_string_to_metric_families(page.read().decode())
        return sum(
            round(sample.value)
            for family in families
            for sample in family.samples
            if sample.name == "sparring_target_requests_total"
        )


def used() -> dict[str, float]:
    """Processor seconds of each service so far."""
    found = dict.fromkeys(SERVICES, 0.0)
    for child in psutil.Process().children(recursive=True):
        words = child.cmdline()
        for name in SERVICES:
            if words[1:3] == ["-m", f"sparring.{name}"]:
                times = child.cpu_times()
                found[name] += times.user + times.system
    return found


def settings(url: str, data: dict[str, object], attacks: Sequence[str], options: argparse.Namespace) -> CheckConfig:
    return CheckConfig.model_validate(
        {
            "target": {"kind": "openai", "url": url, "model": "slow", "concurrency": options.concurrency},
            "data": data,
            "attacks": attacks,
            "budget": BUDGET,
            "answering": {"temperature": 0, "max_tokens": 64},
        }
    )


def large(count: int, folder: Path) -> dict[str, object]:
    """Photographs of two megapixels as a dataset, each asked about several times."""
    shots, lines = list(photographs(2_000_000)), []
    for number in range(count):
        shot = shots[number % len(shots)]
        file = folder / f"{shot.name}.png"
        if not file.exists():
            file.write_bytes(encode_png(shot.image))
        boxes = [{"name": t.name, "box": [t.box.x, t.box.y, t.box.width, t.box.height]} for t in shot.targets]
        asked = {"question": f"Question {number}?", "options": ["yes", "no"], "answer": 0, "targets": boxes}
        lines.append(json.dumps({"image": file.name, **asked}))
    (folder / "questions.jsonl").write_text("\n".join(lines))
    return {"uri": f"jsonl:{folder / 'questions.jsonl'}", "limit": count, "roots": [str(folder)]}


def alone(work: Callable[[], object], times: int) -> float:
    """Milliseconds of processor time."""
    work()
    start = time.process_time()
    for _ in range(times):
        work()
    return (time.process_time() - start) / times * 1000


def least(name: str, samples: Sequence[Sample], times: int) -> float:
    """What decoding, comparing and encoding cost at least, milliseconds for an edit."""
    totals = [0.0, 0.0, 0.0]
    for sample in samples:
        pixels = decode(sample.image, max_pixels=1 << 24, max_bytes=1 << 26)
        image = encode_png(pixels)
        crops = [region(target.box).clipped(*pixels.shape[:2]).of(pixels) for target in sample.targets]
        parts = (
            lambda image=image: decode(image, max_pixels=1 << 24, max_bytes=1 << 26),
            lambda crops=crops: [similarity(crop, 255 - crop) for crop in crops],
            lambda pixels=pixels: encode_png(pixels),
        )
        totals = [total + alone(part, times) for total, part in zip(totals, parts, strict=True)]
    told = [total / len(samples) for total in totals]
    print(f"{name}: decode {told[0]:.2f}, SSIM {told[1]:.2f}, encode {told[2]:.2f}, together {sum(told):.2f} ms")
    return sum(told)


def tell(name: str, cost: Cost, options: argparse.Namespace) -> float:
    ideal = cost.requests * options.latency / options.concurrency
    each = {service: seconds / cost.answers * 1000 for service, seconds in cost.used.items()}
    print(
        f"{name}: {cost.answers} answers by {cost.requests} requests in {cost.seconds:.1f} s, "
        f"{ideal / cost.seconds:.3f} of the ideal rate, {ideal / cost.steady_seconds:.3f} in the middle; "
        f"referee {each['referee']:.2f} ms, "
        f"attacker {each['attacker']:.2f} ms of processor time for each answer",
        flush=True,
    )
    return sum(each.values())


async def apart(url: str, samples: Sequence[Sample], options: argparse.Namespace) -> None:
    making, judging = making_and_judging(samples, SEMANTIC, BUDGET)
    asked = await asking(url, samples[0].image, options.concurrency, 10)
    print(
        f"64 x 64, each alone: to make an edit {making:.2f} ms, to judge it {judging:.2f}, to ask for an answer "
        f"{asked:.2f}, to commit it {committing(samples[0].image, 20):.2f}",
        flush=True,
    )


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=500)
    parser.add_argument("--photographs", type=int, default=36)
    parser.add_argument("--latency", type=float, default=0.2)
    parser.add_argument("--concurrency", type=int, default=32)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as root, endpoint(options.latency) as url:
        place = Path(root)
        scenes = {"uri": SHAPES, "limit": options.samples}
        for attacks in (CORRUPTION, SEMANTIC):
            checked = settings(url, scenes, attacks, options)
            tell(f"64 x 64, {' and '.join(attacks)}", await play(checked, place / attacks[0]), options)
        world = Shapes(World(bystanders=(2, 2), grounds=("plain", "graded", "striped")), 0, "benchmark")
        await apart(url, [world.sample(number) for number in range(64)], options)
        photos = place / "photographs"
        photos.mkdir()
        own = tell(
            "2 megapixels",
            await play(settings(url, large(options.photographs, photos), SEMANTIC, options), place / "large"),
            options,
        )
    least("64 x 64", [world.sample(number) for number in range(8)], 50)
    shown = [Sample(encode_png(shot.image), "?", ("a", "b"), 0, shot.targets) for shot in photographs(2_000_000)]
    print(f"2 megapixels: the check takes {own / least('2 megapixels', shown, 2):.2f} times the least")


if __name__ == "__main__":
    asyncio.run(main())

"""What the episode ledger costs: appending, tailing, finding, knowing, and memory, as it grows.

    python benchmarks/episodes.py [--groups 2000] [--small 12500]

A group is that of an attacker's match: one sample, 8 edits with images of 8 kB, 3 trajectories of 3 + 1 states of
16 x 64 float32, and 8 episodes of 4 answers of 24 tokens. A small group has 8 such episodes and nothing else.
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from datetime import timedelta
from functools import partial
from multiprocessing.process import BaseProcess
from pathlib import Path

import numpy as np

from sparring.ledgers.episodes import EpisodeLedger
from sparring.ledgers.records import (
    AnswerRecord,
    EditId,
    EditRecord,
    EpisodeId,
    EpisodeRecord,
    Group,
    GroupId,
    Kind,
    Learner,
    Outcome,
    Purpose,
    SampleId,
    SampleRecord,
    TrajectoryRecord,
    VerdictRecord,
)

RNG = np.random.default_rng(0)
VERDICT = VerdictRecord(True, (), (("ssim", 0.9), ("colour", 1.5)))


def edit(name: str, sample: SampleId) -> EditRecord:
    attacker, instruction = "c/attacker/000001", "add an object"
    image = RNG.bytes(8000)
    return EditRecord(EditId(name), sample, attacker, "", instruction, 1, Kind.SEMANTIC, None, image, VERDICT)


def trajectory(name: str) -> TrajectoryRecord:
    states = RNG.standard_normal((4, 16, 64)).astype(np.float32)
    sigmas, logprobs = np.linspace(1, 0, 7, dtype=np.float32), np.zeros(2, dtype=np.float32)
    return TrajectoryRecord(EditId(name), sigmas, 1, states[:3], states[3], logprobs, 0.7, "flow_sde", 1.0)


def episode(group: str, index: int, sample: SampleId) -> EpisodeRecord:
    tokens, logprobs = np.arange(24, dtype=np.int32), RNG.standard_normal(24).astype(np.float32)
    answer = AnswerRecord("The circle is on the left. \\boxed{A}", tokens, logprobs, "A", "boxed", True, True)
    return EpisodeRecord(
        episode_id=EpisodeId(f"{group}/e{index}"),
        sample_id=sample,
        edit_id=EditId(f"{group}/e{index}"),
        prompt="Where is the red circle?\n(A) left\n(B) right\nGive the final answer in the format \\boxed{X}.",
        option_order=(1, 0),
        temperature=1.0,
        defender="c/defender/000001",
        defender_digest="",
        attacker="c/attacker/000001",
        answers=(answer,) * 4,
        rewards=(0.25,),
        purpose=Purpose.TRAIN,
        campaign="c",
        phase=f"i{int(group.rpartition('/')[2]) // 1000}-attacker",
        learner=Learner.ATTACKER,
        group_id=GroupId(group),
        group_size=8,
        index=index,
        outcome=Outcome.PLAYED,
    )


def make(name: str, *, small: bool = False) -> Group:
    sample = SampleId(f"sample of {name}")
    episodes = tuple(episode(name, i, sample) for i in range(8))
    if small:
        return Group((), (), (), episodes)
    edits = tuple(edit(f"{name}/e{i}", sample) for i in range(8))
    samples = (SampleRecord(sample, RNG.bytes(8000), "Where?", ("left", "right"), 0, (), "", "benchmark"),)
    return Group(samples, edits, tuple(trajectory(e.edit_id) for e in edits[:3]), episodes)


def timed(call: Callable[[], object]) -> float:
    """Seconds that `call` takes."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def batches(names: Iterable[str], size: int, *, small: bool = False) -> Iterator[list[Group]]:
    gathered: list[Group] = []
    for name in names:
        gathered.append(make(name, small=small))
        if len(gathered) == size:
            yield gathered
            gathered = []


def memory() -> str:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return f"resident {pages * resource.getpagesize() / 2**20:.0f} MiB (peak {peak:.0f})"


def report_append(ledger: EpisodeLedger, size: int, count: int) -> None:
    names = (f"{size}/{i}" for i in range(size * count))
    times = [timed(partial(ledger.append_groups, groups)) for groups in batches(names, size)]
    middle, high = np.percentile(times, [50, 99]) * 1e3
    rate = size * count / sum(times)
    print(f"append, {size} a commit: {rate:.0f} groups/s, commit p50 {middle:.0f} ms, p99 {high:.0f} ms")


def report_reading(ledger: EpisodeLedger, label: str) -> None:
    cursor = ledger.tail().cursor
    ledger.append_group(make(f"{label}/0"))
    edits = [EditId(f"1/{group}/e{i}") for group in range(8) for i in range(3)]
    tail = timed(lambda: ledger.tail(cursor))
    found = timed(lambda: (ledger.get_edits(edits), ledger.get_trajectories(edits)))
    print(f"{label}: tail of one new group {tail * 1e3:.0f} ms, 24 edits and trajectories {found * 1e3:.0f} ms")


def large(root: str, groups: int) -> None:
    """Append `groups` large groups, read, compact, read."""
    ledger = EpisodeLedger(root)
    print(f"nothing yet: {memory()}")
    for size, part in ((1, 4), (8, 16), (64, 256)):
        report_append(ledger, size, groups // part)
    report_reading(ledger, "not compacted")
    print(f"so far: {memory()}")
    print(f"compaction: {timed(lambda: ledger.compact(timedelta(0))):.1f} s; {memory()}")
    report_reading(ledger, "compacted")


def write(root: str, writer: int) -> None:
    """Append 400 large groups."""
    ledger = EpisodeLedger(root)
    for groups in batches((f"w{writer}/{i}" for i in range(400)), 8):
        ledger.append_groups(groups)


def small(root: str, groups: int) -> None:
    """Append `groups` small groups, compacting now and then."""
    ledger = EpisodeLedger(root)
    for number, several in enumerate(batches((f"s/{i}" for i in range(groups)), 50, small=True)):
        ledger.append_groups(several)
        if number % 100 == 99:
            ledger.compact(timedelta(0))
    print(f"{groups * 8} episodes written: {memory()}")


def read(root: str, phase: str) -> None:
    """Ask a ledger that somebody else wrote."""
    ledger = EpisodeLedger(root)
    first, later = (timed(lambda: ledger.has(GroupId("s/7"))) for _ in "ab")
    print(f"has: first {first * 1e3:.0f} ms, later {later * 1e3:.1f} ms; {memory()}")
    seconds = timed(lambda: print(f"scan of a phase: {sum(1 for _ in ledger.scan(phase=phase))} episodes", end=""))
    print(f" in {seconds:.1f} s; {memory()}")


def apart(part: Callable[[str, int], None] | Callable[[str, str], None], *arguments: object) -> BaseProcess:
    """Run a part in a process of its own, so that its memory is its own."""
    process = multiprocessing.get_context("spawn").Process(target=part, args=arguments)
    process.start()
    return process


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--groups", type=int, default=2000, help="large groups")
    parser.add_argument("--small", type=int, default=12500, help="small groups")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as root:
        apart(large, root, options.groups).join()
        start = time.perf_counter()
        for process in [apart(write, root, i) for i in range(2)]:
            process.join()
        print(f"two writers, 8 a commit: {800 / (time.perf_counter() - start):.0f} groups/s, their start included")
    with tempfile.TemporaryDirectory() as root:
        apart(small, root, options.small).join()
        apart(read, root, "i3-attacker").join()


if __name__ == "__main__":
    main()

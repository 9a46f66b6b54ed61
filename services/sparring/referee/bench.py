"""Where images are looked at: samples before a match, edits before the defender sees them."""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import Executor
from dataclasses import replace

from sparring.ledgers.records import Kind
from sparring.referee.config import RefereeConfig
from sparring.referee.correlation import Pixels
from sparring.referee.errors import nonsense
from sparring.referee.integrity import NO_ROOM, Subject, Verdict, judge, judge_corruption
from sparring.referee.metrics import RefereeMetrics
from sparring.referee.opponents import Edited, Edits
from sparring.referee.subjects import Subjects
from sparring.samples.boxes import BadBox, clip
from sparring.samples.images import BadImage, decode
from sparring.samples.sample import Sample

KEPT_PIXELS = 1 << 24
"""Of what edits were compared with last."""


class Bench:
    """Judges in threads of their own.

    Args:
        config: limits of images, thresholds.
        threads: where the work is done.
        metrics: where it counts.
    """

    def __init__(self, config: RefereeConfig, threads: Executor, metrics: RefereeMetrics) -> None:
        self._config, self._threads, self._metrics = config, threads, metrics
        self._subjects = Subjects(KEPT_PIXELS)
        self._examined: dict[int, asyncio.Future[Pixels]] = {}

    async def examine(self, sample: Sample) -> Pixels:
        """The sample's image, uint8 [height, width, 3], not to be written to.

        All matches of a sample begin at once; it is looked at once for those that ask meanwhile.

        Raises:
            BadImage: it can't be read.
            BadBox: a target has no pixel in it.
        """
        if id(sample) not in self._examined:
            examined = asyncio.get_running_loop().run_in_executor(self._threads, self._examine, sample)
            self._examined[id(sample)] = examined
            # It holds the sample, so that no other can have its id meanwhile.
            examined.add_done_callback(lambda _: self._examined.pop(id(sample)))
        return await asyncio.shield(self._examined[id(sample)])

    async def judge(self, sample: Sample, original: Pixels, made: Edits, *, learned: bool) -> list[Verdict]:
        """What is found in each edit.

        Args:
            sample: what is asked, and about which objects.
            original: its image.
            made: the edits, with their control.
            learned: whether an editor was asked for them. What no model made has not been through the autoencoder, and
                is compared with the original.

        Raises:
            OpponentError: the attacker's images can't be read, or its control is of another size than the original.
        """
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, self._judge, sample, original, made, learned)

    def _examine(self, sample: Sample) -> Pixels:
        try:
            pixels = self._decode(sample.image)
        except BadImage as error:
            raise BadImage(error.reason, f"{sample.source}: {error}") from error
        height, width, _ = pixels.shape
        for target in sample.targets:
            try:
                clip((target.box.x, target.box.y, target.box.width, target.box.height), width, height)
            except BadBox as error:
                raise BadBox(f"{sample.source}: target {target.name!r}: {error}") from error
        return pixels

    def _judge(self, sample: Sample, original: Pixels, made: Edits, learned: bool) -> list[Verdict]:
        began = time.perf_counter()
        control = self._theirs("control", made.control)
        if control.shape != original.shape:
            sizes = [f"{width} x {height}" for height, width, _ in (control.shape, original.shape)]
            raise nonsense("attacker", f"a control of {sizes[0]} pixels for an original of {sizes[1]}")
        before = (made.control, control) if learned else (sample.image, original)
        subject = self._subjects.find(sample, *before)
        verdicts = [self._verdict(subject, index, edited) for index, edited in enumerate(made.edits)]
        self._metrics.judged(verdicts, time.perf_counter() - began)
        return verdicts

    def _verdict(self, subject: Subject, index: int, edited: Edited) -> Verdict:
        if edited.idle:
            return Verdict({}, (NO_ROOM,))
        pixels = self._theirs(f"edit {index}", edited.image)
        if edited.kind is Kind.CORRUPTION:
            return judge_corruption(subject.targets, pixels, edited.affine, self._config.integrity)
        verdict = judge(subject, pixels, self._config.integrity)
        if edited.kind is not Kind.SEMANTIC or not verdict.valid:
            return verdict
        return replace(verdict, attack_type=subject.before.type_of(pixels))

    def _theirs(self, name: str, image: bytes) -> Pixels:
        try:
            return self._decode(image)
        except BadImage as error:
            raise nonsense("attacker", f"a broken image as {name}: {error}") from error

    def _decode(self, image: bytes) -> Pixels:
        serving = self._config.serving
        return decode(image, max_pixels=serving.max_pixels, max_bytes=serving.max_image_bytes)

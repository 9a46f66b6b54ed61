"""What all readers of datasets do: give out the good rows, and keep account of the bad ones."""

from __future__ import annotations

from abc import ABC, abstractmethod
from codecs import BOM_UTF8
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Generic, Literal, TypeVar

from pydantic import BaseModel, ValidationError

from sparring.samples.boxes import BadBox, clip
from sparring.samples.images import BadImage, decode
from sparring.samples.roots import OutsideRoots, inside
from sparring.samples.sample import Sample, Target

Fault = Literal["syntax", "fields", "options", "answer", "path", "image", "box"]
RowT = TypeVar("RowT")
ModelT = TypeVar("ModelT", bound=BaseModel)

_OPTIONS = 26
_SKIPPED = 100


class BadRow(ValueError):
    """A row of a dataset that is no sample.

    Attributes:
        source: file or folder of the dataset.
        place: where in it: a line, a record, a path.
        fault: `syntax` (not JSON), `fields` (missing or of the wrong type), `options` (fewer than two, more than 26 or
            not distinct), `answer` (names no option), `path` (no such file, or not one that may be read), `image` (see
            `BadImage`), `box` (see `BadBox`).
        reason: the whole story.
    """

    def __init__(self, source: str, place: str, fault: Fault, reason: str) -> None:
        super().__init__(f"{source}, {place}: {fault}: {reason}")
        self.source = source
        self.place = place
        self.fault: Fault = fault
        self.reason = reason


@dataclass
class Report:
    """What one pass over a dataset met.

    Attributes:
        samples: rows that were given out.
        counts: rows that were skipped, by fault.
        skipped: the first hundred of them.
        clipped: boxes that reached out of their image and were cut.
    """

    samples: int = 0
    counts: Counter[Fault] = field(default_factory=Counter)
    skipped: list[BadRow] = field(default_factory=list)
    clipped: int = 0

    def skip(self, row: BadRow) -> None:
        self.counts[row.fault] += 1
        if len(self.skipped) < _SKIPPED:
            self.skipped.append(row)


@dataclass(frozen=True)
class Limits:
    """What an image of a dataset may be at most."""

    pixels: int = 100_000_000
    bytes: int = 100 << 20


LIMITS = Limits()


class Reader(ABC, Generic[RowT]):
    """A dataset on disk, the same at every pass. A row that is no sample is skipped and reported.

    Args:
        path: file or folder of the dataset.
        roots: folders that may be read from.
        limits: of the images.

    Attributes:
        report: on the latest pass, as far as it has got.

    Raises:
        OutsideRoots: `path` is below none of `roots`.
        FileNotFoundError: there is no `path`.
    """

    def __init__(self, path: Path, roots: Sequence[Path], limits: Limits = LIMITS) -> None:
        self.path = inside(path, roots).resolve(strict=True)
        self.report = Report()
        self._roots = tuple(roots)
        self._limits = limits

    def __iter__(self) -> Iterator[Sample]:
        self.report = Report()
        for place, row in self._rows():
            try:
                sample = self._sample(place, row)
            except BadRow as bad:
                self.report.skip(bad)
            else:
                self.report.samples += 1
                yield sample

    @abstractmethod
    def _rows(self) -> Iterator[tuple[str, RowT]]:
        """Each row with its place."""

    @abstractmethod
    def _sample(self, place: str, row: RowT) -> Sample:
        """The sample that a row is.

        Raises:
            BadRow: it is none.
        """

    def _bad(self, place: str, fault: Fault, reason: str | Exception) -> BadRow:
        return BadRow(str(self.path), place, fault, str(reason))

    def _parse(self, place: str, model: type[ModelT], data: bytes) -> ModelT:
        try:
            return model.model_validate_json(data.removeprefix(BOM_UTF8))
        except ValidationError as error:
            raise self._unlike(place, error) from error

    def _unlike(self, place: str, error: ValidationError) -> BadRow:
        errors = error.errors(include_url=False, include_context=False, include_input=False)
        reason = "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}".lstrip(": ") for each in errors[:3])
        return self._bad(place, "syntax" if errors[0]["type"] == "json_invalid" else "fields", reason)

    def _file(self, place: str, path: Path) -> bytes:
        try:
            file = inside(path, self._roots)
            size = file.stat().st_size
            if size > self._limits.bytes:
                raise self._bad(place, "image", f"{path} has {size} bytes; at most {self._limits.bytes} are read")
            return file.read_bytes()
        except (OutsideRoots, OSError) as error:
            raise self._bad(place, "path", error) from error

    def _build(
        self,
        place: str,
        image: Path,
        question: str,
        options: Sequence[str],
        answer: int,
        targets: Sequence[tuple[str, Sequence[float]]],
        category: str,
    ) -> Sample:
        """A sample, with its image read and decoded once to be sure of it; boxes are cut to the image."""
        if not question:
            raise self._bad(place, "fields", "the question is empty")
        if len(options) > _OPTIONS:
            raise self._bad(place, "options", f"{len(options)} options; there are {_OPTIONS} letters")
        data = self._file(place, image)
        try:
            pixels = decode(data, max_pixels=self._limits.pixels, max_bytes=self._limits.bytes)
        except BadImage as error:
            raise self._bad(place, "image", f"{image}: {error}") from error
        height, width, _ = pixels.shape
        try:
            boxes = [(name, clip(box, width, height)) for name, box in targets]
        except BadBox as error:
            raise self._bad(place, "box", error) from error
        found = tuple(Target(name, clipped.box) for name, clipped in boxes)
        try:
            sample = Sample(data, question, tuple(options), answer, found, category, f"{self.path}, {place}")
        except ValueError as error:
            raise self._bad(place, "options", error) from error
        self.report.clipped += sum(clipped.cut for _, clipped in boxes)
        return sample

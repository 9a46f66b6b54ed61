"""What all readers of datasets do: give out the good rows, and keep account of the bad ones."""

from __future__ import annotations

from abc import ABC, abstractmethod
from codecs import BOM_UTF8
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from pydantic import BaseModel, JsonValue, ValidationError

from sparring.samples.arrays import read_array
from sparring.samples.boxes import BadBox, clip
from sparring.samples.images import BadImage, decode
from sparring.samples.index import Index
from sparring.samples.published import compare
from sparring.samples.report import BadRow, Fault, Report
from sparring.samples.roots import OutsideRoots, inside
from sparring.samples.sample import Groups, Sample, Target

RowT = TypeVar("RowT")
ModelT = TypeVar("ModelT", bound=BaseModel)

_OPTIONS = 26


@dataclass(frozen=True)
class Limits:
    """What an image of a dataset may be at most."""

    pixels: int = 100_000_000
    bytes: int = 100 << 20


LIMITS = Limits()


@dataclass(frozen=True)
class Asked:
    """What a row asks, before its image has been looked at.

    Attributes:
        image: the file, or where it is.
        question, options, answer, category, groups: as in `Sample`.
        targets: name and box (pixels: x, y, width, height) of each object.
        name: the row's own id; empty if it has none.
        shuffle: whether the options may be shown in another order; only if the reader lets them be.
    """

    image: bytes | Path
    question: str
    options: Sequence[str]
    answer: int
    targets: Sequence[tuple[str, Sequence[float]]] = ()
    category: str = ""
    groups: Groups = ()
    name: str = ""
    shuffle: bool = True


class Reader(ABC, Generic[RowT]):
    """A dataset on disk, the same at every pass. A row that is no sample is skipped and reported.

    Args:
        path: file or folder of the dataset.
        roots: folders that may be read from.
        limits: of the images.
        images: folder that relative paths of images start from; by default that of the dataset.
        shuffle: whether the options may be shown in another order than that of the file.

    Attributes:
        report: on the latest pass, as far as it has got.
        shuffle: see above.

    Raises:
        OutsideRoots: `path` or `images` is below none of `roots`.
        FileNotFoundError: there is no `path`.
    """

    def __init__(
        self,
        path: Path,
        roots: Sequence[Path],
        limits: Limits = LIMITS,
        *,
        images: Path | None = None,
        shuffle: bool = True,
    ) -> None:
        self.path = inside(path, roots).resolve(strict=True)
        self.report = Report()
        self.shuffle = shuffle
        self._roots = tuple(roots)
        self._limits = limits
        folder = self.path if self.path.is_dir() else self.path.parent
        self._images = folder if images is None else inside(images, roots)

    def __iter__(self) -> Iterator[Sample]:
        self.report = Report()
        with closing(Index()) as self._met:
            for place, row in self._rows():
                try:
                    sample = self._build(place, self._ask(place, row))
                except BadRow as bad:
                    self.report.skip(bad)
                else:
                    self.report.samples += 1
                    yield sample
        for finding in (finding for path, rows in self._parts() for finding in compare(path, rows)):
            (self.report.verified if finding.agrees else self.report.remarks).append(finding.message)
        self.report.complete = True

    @abstractmethod
    def _rows(self) -> Iterator[tuple[str, RowT]]:
        """Each row with its place."""

    @abstractmethod
    def _ask(self, place: str, row: RowT) -> Asked:
        """What a row asks.

        Raises:
            BadRow: it is no sample.
        """

    def _parts(self) -> Iterator[tuple[Path, int]]:
        """The files that a pass has read, or folders, each with its rows."""
        yield self.path, self.report.rows

    def _bad(self, place: str, fault: Fault, reason: str | Exception) -> BadRow:
        return BadRow(str(self.path), place, fault, str(reason))

    def _elements(self, file: Path) -> Iterator[tuple[str, JsonValue]]:
        """Elements of a JSON array with their places, up to one that is torn, which is reported."""
        index = 0
        try:
            for element in read_array(file):
                yield f"record {index}", element
                index += 1
        except (ValueError, RecursionError) as error:
            self.report.skip(self._bad(f"record {index} and after", "syntax", error))

    def _parse(self, place: str, model: type[ModelT], data: bytes) -> ModelT:
        try:
            return model.model_validate_json(data.removeprefix(BOM_UTF8))
        except ValidationError as error:
            raise self._unlike(place, error) from error

    def _fit(self, place: str, model: type[ModelT], value: JsonValue) -> ModelT:
        try:
            return model.model_validate(value)
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

    def _claim(self, place: str, name: str) -> None:
        """Raises: BadRow if an earlier row has this id."""
        first = self._met.put(f"id {name}", place)
        if first != place:
            raise self._bad(place, "id", f"{name!r} is the id of {first}")

    def _build(self, place: str, asked: Asked) -> Sample:
        """A sample, with its image read and decoded once to be sure of it; boxes are cut to the image."""
        if asked.name:
            self._claim(place, asked.name)
        if not asked.question:
            raise self._bad(place, "fields", "the question is empty")
        if len(asked.options) > _OPTIONS:
            raise self._bad(place, "options", f"{len(asked.options)} options; there are {_OPTIONS} letters")
        data = self._file(place, asked.image) if isinstance(asked.image, Path) else asked.image
        height, width = self._size(place, asked.image, data)
        try:
            boxes = [(name, clip(box, width, height)) for name, box in asked.targets]
        except BadBox as error:
            raise self._bad(place, "box", error) from error
        targets = tuple(Target(name, clipped.box) for name, clipped in boxes)
        try:
            sample = Sample(
                data,
                asked.question,
                tuple(asked.options),
                asked.answer,
                targets,
                asked.category,
                f"{self.path}, {place}",
                asked.groups,
                self.shuffle and asked.shuffle,
            )
        except ValueError as error:
            raise self._bad(place, "options", error) from error
        first = self._met.put(sample.digest, place)
        if first != place:
            raise self._bad(place, "repeat", f"it asks what {first} asks")
        self.report.clipped += sum(clipped.cut for _, clipped in boxes)
        self.report.boxless += not boxes
        return sample

    def _size(self, place: str, image: bytes | Path, data: bytes) -> tuple[int, int]:
        """Height and width of an image that can be decoded."""
        try:
            pixels = decode(data, max_pixels=self._limits.pixels, max_bytes=self._limits.bytes)
        except BadImage as error:
            raise self._bad(place, "image", f"{image}: {error}" if isinstance(image, Path) else error) from error
        return pixels.shape[0], pixels.shape[1]

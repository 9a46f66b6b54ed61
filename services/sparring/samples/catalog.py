"""Datasets by name.

    shapes:SPLIT?seed=N&bystanders=0-3&grounds=plain,graded     the shapes world; keys are those of `World`
    vstar:FOLDER    vstar:FOLDER/test_questions.jsonl           V*Bench
    seal:FILE?images=FOLDER&seed=N                              SEAL's spatial questions
    jsonl:FILE                                                  one JSON object a line

More kinds come as entry points of the group `sparring.datasets`: a function that makes a `SampleSource` of a
`Location`. In a path, `?` and `%` are written as in a URL.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path
from urllib.parse import parse_qsl, quote, unquote

from pydantic import ValidationError

from sparring.samples.jsonl import Jsonl
from sparring.samples.sample import SampleSource
from sparring.samples.seal import Seal
from sparring.samples.shapes import Shapes, World
from sparring.samples.vstar import Vstar, VstarQuestions, image_beside

PLUGINS = "sparring.datasets"
QUESTIONS = "test_questions.jsonl"


class BadDataset(ValueError):
    """A name that stands for no dataset."""


@dataclass(frozen=True)
class Location:
    """A name, taken apart.

    Attributes:
        uri: all of it.
        rest: between the kind and the options.
        options: as they stand, keys and values.
        roots: folders that may be read from.
    """

    uri: str
    rest: str
    options: Mapping[str, str]
    roots: tuple[Path, ...]

    def only(self, *known: str) -> None:
        """Raises: BadDataset if there is an option that is not one of these."""
        unknown = sorted(set(self.options) - set(known))
        if unknown:
            raise BadDataset(
                f"{self.uri}: unknown option {', '.join(unknown)}; known are: {', '.join(known) or 'none'}"
            )

    def number(self, key: str) -> int:
        """An option that is a whole number; 0 if it is not there."""
        text = self.options.get(key, "0")
        if not text.isdecimal():
            raise BadDataset(f"{self.uri}: {key} must be a whole number from 0, not {text!r}")
        return int(text)

    def path(self, text: str) -> Path:
        """A file or folder. A relative one is looked for in each root."""
        path = Path(text)
        found = next((root / path for root in self.roots if (root / path).exists()), path)
        if not found.exists():
            raise BadDataset(f"{self.uri}: there is no {path} in {', '.join(map(str, self.roots)) or 'no folder'}")
        return found


Opener = Callable[[Location], SampleSource]


def open_shapes(location: Location) -> SampleSource:
    settings: dict[str, object] = {key: value for key, value in location.options.items() if key != "seed"}
    if "bystanders" in location.options:
        settings["bystanders"] = tuple(location.options["bystanders"].split("-"))
    if "grounds" in location.options:
        settings["grounds"] = tuple(location.options["grounds"].split(","))
    try:
        world = World.model_validate(settings)
    except ValidationError as error:
        raise BadDataset(f"{location.uri}: {error}") from error
    return Shapes(world, location.number("seed"), location.rest)


def open_vstar(location: Location) -> SampleSource:
    location.only()
    path = location.path(location.rest)
    return Vstar(path, location.roots) if path.is_dir() else VstarQuestions(path, location.roots)


def open_seal(location: Location) -> SampleSource:
    location.only("images", "seed")
    images = location.path(location.options["images"]) if "images" in location.options else None
    return Seal(location.path(location.rest), location.roots, images=images, seed=location.number("seed"))


def open_jsonl(location: Location) -> SampleSource:
    location.only()
    return Jsonl(location.path(location.rest), location.roots)


KINDS: Mapping[str, Opener] = {"shapes": open_shapes, "vstar": open_vstar, "seal": open_seal, "jsonl": open_jsonl}


def open_dataset(uri: str, roots: Sequence[Path]) -> SampleSource:
    """The dataset that `uri` names. What is wrong with single rows shows while reading, in the reader's `report`.

    Args:
        uri: see above.
        roots: folders that may be read from.

    Raises:
        BadDataset: unknown kind or option, or no such file.
        OutsideRoots: a path leads out of `roots`.
    """
    kind, _, rest = uri.partition(":")
    place, _, query = rest.partition("?")
    plugins = {point.name: point for point in entry_points(group=PLUGINS)}
    if kind not in KINDS and kind not in plugins:
        raise BadDataset(f"{uri!r}: unknown kind of dataset; known are: {', '.join(sorted({*KINDS, *plugins}))}")
    opener: Opener = KINDS[kind] if kind in KINDS else plugins[kind].load()
    return opener(Location(uri, unquote(place), dict(parse_qsl(query, keep_blank_values=True)), tuple(roots)))


def sniff(path: Path) -> str:
    """The name, for `open_dataset`, of the dataset in `path`.

    A file is known by its suffix. A folder is in V*Bench layout if a JSON file in it has an image of the same stem
    beside it; otherwise it should hold one `.jsonl` file, or else one `.json` file.

    Raises:
        BadDataset: there is no such path, or it holds nothing or several things that could be meant.
    """
    if not path.exists():
        raise BadDataset(f"{path}: there is no such file or folder")
    if path.is_file():
        return _name(_kind(path), path)
    if any(image_beside(file) for file in path.rglob("*.json")):
        return _name("vstar", path)
    for pattern in ("*.jsonl", "*.json"):
        files = sorted(path.glob(pattern))
        if len(files) > 1:
            raise BadDataset(f"{path} holds {', '.join(file.name for file in files)}: name the one that is meant")
        if files:
            return _name(_kind(files[0]), files[0])
    raise BadDataset(
        f"{path} holds no dataset: expected images each beside a JSON file of the same stem (V*Bench), a .jsonl file "
        "with one question a line, or a .json file with SEAL's spatial questions"
    )


def _kind(file: Path) -> str:
    if file.name == QUESTIONS:
        return "vstar"
    kinds = {".jsonl": "jsonl", ".json": "seal"}
    if file.suffix not in kinds:
        raise BadDataset(f"{file}: expected a folder, a .jsonl file or a .json file")
    return kinds[file.suffix]


def _name(kind: str, path: Path) -> str:
    return f"{kind}:{quote(str(path.resolve()))}"

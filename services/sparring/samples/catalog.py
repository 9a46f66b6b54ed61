"""Datasets by name.

    shapes:SPLIT?seed=N&bystanders=0-3&grounds=plain,graded     the shapes world; keys are those of `World`
    vstar:FOLDER    vstar:FOLDER/test_questions.jsonl    vstar:VStarBench.tsv
    hrbench:FILE.tsv                                            HR-Bench 4K and 8K
    pope:FOLDER    pope:coco_pope_random.json    pope:POPE.tsv
    hallusionbench:HallusionBench.json    hallusionbench:HallusionBench.tsv
    mmvp:FOLDER                                                 Questions.csv with `MMVP Images`
    tsv:FILE                                                    other tables of the form of these
    seal:FILE?seed=N                                            SEAL's spatial questions
    jsonl:FILE                                                  one JSON object a line

All but the shapes world take two options. `images` is the folder that paths of images start from, by default that of
the dataset. `protocol` is `shuffled`, the default, or `unshuffled`: then every question is put with its options in the
order of the file. In V*Bench's folder the right one comes first, and results have been published by either protocol.
HR-Bench asks every question with its options in four orders and is `unshuffled` by default.

More kinds come as entry points of the group `sparring.datasets`: a function that makes a `SampleSource` of a
`Location`. In a path, `?` and `%` are written as in a URL.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.metadata import entry_points
from pathlib import Path
from typing import Protocol
from urllib.parse import parse_qsl, quote, unquote

from pydantic import ValidationError

from sparring.samples.hallusionbench import HallusionBench, HallusionBenchTable
from sparring.samples.hrbench import HrBench
from sparring.samples.jsonl import Jsonl
from sparring.samples.mmvp import QUESTIONS, Mmvp
from sparring.samples.pope import Pope, PopeTable, question_files
from sparring.samples.reader import LIMITS, Limits
from sparring.samples.recognition import kind_of
from sparring.samples.sample import SampleSource
from sparring.samples.seal import Seal
from sparring.samples.shapes import Shapes, World
from sparring.samples.tsv import Tsv
from sparring.samples.vstar import Vstar, VstarQuestions, image_beside

PLUGINS = "sparring.datasets"
PROTOCOLS = {"shuffled": True, "unshuffled": False}


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
        limits: of images.
    """

    uri: str
    rest: str
    options: Mapping[str, str]
    roots: tuple[Path, ...]
    limits: Limits = LIMITS

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

    def read(
        self, reader: OnDisk, *, shuffle: bool = True, folders: bool = True, also: Sequence[str] = ()
    ) -> SampleSource:
        """The dataset at the path.

        Args:
            reader: what reads it.
            shuffle: what the protocol is by default.
            folders: whether the path may be a folder.
            also: options besides `images` and `protocol`.
        """
        self.only("images", "protocol", *also)
        if self.form == "folder" and not folders:
            raise BadDataset(f"{self.uri} is a folder; name the file in it that is meant")
        images = self.path(self.options["images"]) if "images" in self.options else None
        shuffle = self.shuffle(shuffle)
        return reader(self.path(self.rest), self.roots, self.limits, images=images, shuffle=shuffle)

    def shuffle(self, default: bool) -> bool:
        """Whether the protocol is to shuffle options."""
        protocol = self.options.get("protocol")
        if protocol is None:
            return default
        if protocol not in PROTOCOLS:
            raise BadDataset(f"{self.uri}: unknown protocol {protocol!r}; known are: {', '.join(PROTOCOLS)}")
        return PROTOCOLS[protocol]

    @property
    def form(self) -> str:
        """Suffix of the file at the path, in lower case; `folder` if it is one."""
        path = self.path(self.rest)
        return "folder" if path.is_dir() else path.suffix.lower()


class OnDisk(Protocol):
    """A reader's class."""

    def __call__(
        self,
        path: Path,
        roots: Sequence[Path],
        limits: Limits = LIMITS,
        *,
        images: Path | None = None,
        shuffle: bool = True,
    ) -> SampleSource: ...


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
    forms: dict[str, OnDisk] = {"folder": Vstar, ".tsv": Tsv}
    return location.read(forms.get(location.form, VstarQuestions))


def open_pope(location: Location) -> SampleSource:
    return location.read(PopeTable if location.form == ".tsv" else Pope)


def open_hallusionbench(location: Location) -> SampleSource:
    return location.read(HallusionBenchTable if location.form == ".tsv" else HallusionBench, folders=False)


def open_hrbench(location: Location) -> SampleSource:
    return location.read(HrBench, shuffle=False, folders=False)


def open_mmvp(location: Location) -> SampleSource:
    return location.read(Mmvp)


def open_tsv(location: Location) -> SampleSource:
    return location.read(Tsv, folders=False)


def open_seal(location: Location) -> SampleSource:
    return location.read(partial(Seal, seed=location.number("seed")), folders=False, also=["seed"])


def open_jsonl(location: Location) -> SampleSource:
    return location.read(Jsonl, folders=False)


KINDS: Mapping[str, Opener] = {
    "shapes": open_shapes,
    "vstar": open_vstar,
    "hrbench": open_hrbench,
    "pope": open_pope,
    "hallusionbench": open_hallusionbench,
    "mmvp": open_mmvp,
    "tsv": open_tsv,
    "seal": open_seal,
    "jsonl": open_jsonl,
}


def open_dataset(uri: str, roots: Sequence[Path], limits: Limits = LIMITS) -> SampleSource:
    """The dataset that `uri` names. What is wrong with single rows shows while reading, in the reader's `report`.

    Args:
        uri: see above.
        roots: folders that may be read from.
        limits: of images; a row with a larger one is no sample.

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
    options = dict(parse_qsl(query, keep_blank_values=True))
    return opener(Location(uri, unquote(place), options, tuple(roots), limits))


def sniff(path: Path) -> str:
    """The name, for `open_dataset`, of the dataset in `path`.

    A file is known by its suffix, its columns and its first record (see `recognition`). A folder is MMVP's if it holds
    `Questions.csv`, POPE's if it holds `*pope*.json`, in V*Bench layout if a JSON file in it has an image of the same
    stem beside it; otherwise it should hold one `.tsv`, or else one `.jsonl`, or else one `.json` file.

    Raises:
        BadDataset: there is no such path, or it holds nothing or several things that could be meant.
    """
    if not path.exists():
        raise BadDataset(f"{path}: there is no such file or folder")
    if path.is_file():
        return _name_file(path)
    if (path / QUESTIONS).exists():
        return _name("mmvp", path)
    if question_files(path):
        return _name("pope", path)
    if any(image_beside(file) for file in path.rglob("*.json")):
        return _name("vstar", path)
    for pattern in ("*.tsv", "*.jsonl", "*.json"):
        files = sorted(path.glob(pattern))
        if len(files) > 1:
            raise BadDataset(f"{path} holds {', '.join(file.name for file in files)}: name the one that is meant")
        if files:
            return _name_file(files[0])
    raise BadDataset(
        f"{path} holds no dataset: expected a .jsonl file with one question a line, a .tsv file with images in it, "
        "images each beside a JSON file of the same stem (V*Bench), or the files of POPE, HallusionBench, MMVP or SEAL"
    )


def _name_file(file: Path) -> str:
    kind = kind_of(file)
    if kind is None:
        raise BadDataset(f"{file}: expected a folder, or a .jsonl, .json or .tsv file, or MMVP's {QUESTIONS}")
    return _name(kind, file)


def _name(kind: str, path: Path) -> str:
    return f"{kind}:{quote(str(path.resolve()))}"

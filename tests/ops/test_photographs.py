"""A campaign on a user's own photographs, in V*Bench's layout, through the real processes with the small models."""

from __future__ import annotations

import base64
import io
import json
import math
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import skimage.data
from numpy.typing import NDArray
from PIL import ExifTags, Image

from sparring.ledgers.episodes import EpisodeLedger
from sparring.ledgers.records import Purpose
from sparring.ledgers.revision import ROLES
from sparring.ledgers.weights import WeightsLedger
from sparring.ops.report.gallery import LARGEST

SHIPPED = Path(skimage.data.__file__).parent
"""Photographs that lie in scikit-image's wheel."""
Box = tuple[int, int, int, int]
STEPS = 2
# The small models know rendered scenes alone. Their editor repaints whatever a photograph shows, so a referee as strict
# as it is there would refuse all its edits, and nobody would have anything to learn from.
LENIENT = ("ssim=-1", "form=-1", "colour=200", "shift=10000", "copy_correlation=1")
SETTINGS = (
    "suite.edits=1",
    f"attacker.phase.steps={STEPS}",
    "attacker.phase.groups=1",
    "attacker.phase.answers=2",
    f"defender.phase.steps={STEPS}",
    "defender.phase.groups=1",
    *(f"referee.integrity.{threshold}" for threshold in LENIENT),
)


@dataclass(frozen=True)
class Photograph:
    """One row: what is asked about a picture, and where in it. `crop` is left, top, right and bottom, pixels; `turned`
    is stored lying on its side, as a camera held upright does."""

    path: str
    question: str
    options: tuple[str, ...]
    targets: dict[str, Box]
    crop: Box | None = None
    turned: bool = False

    def pixels(self) -> NDArray[np.uint8]:
        """As one sees it."""
        with Image.open(SHIPPED / Path(self.path).name) as image:
            return np.asarray((image.crop(self.crop) if self.crop else image).convert("RGB"))

    def put(self, folder: Path) -> None:
        """Write the picture, and its file beside it."""
        path = folder / self.path
        path.parent.mkdir(parents=True, exist_ok=True)
        if self.crop is None and not self.turned:
            path.write_bytes((SHIPPED / path.name).read_bytes())
        else:
            self._save(path)
        asked = {"question": self.question, "options": self.options}
        boxes = {"target_object": list(self.targets), "bbox": list(self.targets.values())}
        path.with_suffix(".json").write_text(json.dumps(asked | boxes))

    def _save(self, path: Path) -> None:
        image, exif = Image.fromarray(self.pixels()), Image.Exif()
        if self.turned:
            image, exif[ExifTags.Base.Orientation] = image.transpose(Image.Transpose.ROTATE_90), 6
        image.save(path, exif=exif)


def what(path: str, name: str, box: Box, *colours: str, crop: Box | None = None, turned: bool = False) -> Photograph:
    """A question about the colour of one thing; the first is right."""
    question = f"What is the colour of the {name}?"
    return Photograph(f"direct_attributes/{path}", question, colours, {name: box}, crop, turned)


def where(path: str, targets: dict[str, Box]) -> Photograph:
    """A question about two things in a picture; the first is on the left."""
    first, second = targets
    question = f"What is the location of the {first} compared with the {second}?"
    return Photograph(f"relative_position/{path}", question, ("left", "right", "above", "below"), targets)


SUITE = (
    what("camera.png", "coat", (150, 220, 100, 150), "black", "white", "grey"),
    what("hubble_deep_field.jpg", "galaxy", (500, 20, 60, 60), "white", "green", crop=(0, 0, 1000, 150)),
    what("motorcycle_left.png", "tank", (120, 180, 80, 60), "red", "blue", crop=(200, 0, 450, 500), turned=True),
    what("retina.jpg", "disc", (50, 560, 90, 140), "yellow", "blue", "green", "white"),
)
"""Grey, wide, tall and turned, large. They come first by path, and so are measured with."""
TAUGHT = (
    where("astronaut.png", {"face": (180, 60, 80, 110), "helmet": (330, 180, 110, 110)}),
    where("chelsea.png", {"right eye": (160, 100, 40, 40), "left eye": (270, 110, 40, 40)}),
    where("coffee.png", {"spoon": (60, 60, 60, 200), "cup": (230, 60, 230, 240)}),
    where("rocket.jpg", {"tower": (230, 90, 50, 220), "rocket": (300, 100, 40, 200)}),
)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """All of them, and a row whose picture was never sent to its end."""
    folder = tmp_path / "photographs"
    for photograph in (*SUITE, *TAUGHT):
        photograph.put(folder)
    torn, whole = (folder / "direct_attributes" / name for name in ("cut.jpg", "retina.jpg"))
    torn.write_bytes(whole.read_bytes()[:5000])
    torn.with_suffix(".json").write_bytes(whole.with_suffix(".json").read_bytes())
    return folder


@pytest.mark.campaign
@pytest.mark.timeout(600)
def test_photographs_are_played_learnt_from_and_reported(data: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    settings = [word for setting in SETTINGS for word in ("--set", setting)]
    arguments = ["run", "--preset", "test", "--data", str(data), "--out", str(run), *settings]
    done = subprocess.run(
        [sys.executable, "-m", "sparring.ops.cli", *arguments], capture_output=True, text=True, timeout=540, check=False
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    assert f"{data}: 4 of 8 samples are measured with, the others trained on" in done.stderr
    assert re.search(r"skipped: .*direct_attributes/cut\.json: image: .*cut\.jpg: the image is trunc", done.stderr)
    check_steps(run)
    check_ledger(run, data)
    check_summary(run)
    check_report(run)


def check_steps(run: Path) -> None:
    """Each side has made its steps, from finite numbers, and every one of them changed its weights."""
    for role in ROLES:
        manifests = WeightsLedger(run).revisions("test", role)
        assert [manifest.step for manifest in manifests] == list(range(STEPS + 1))
        tensors = [
            [entry.sha256 for path, entry in m.files.items() if path.endswith(".safetensors")] for m in manifests
        ]
        assert len({tuple(sums) for sums in tensors}) == STEPS + 1
        health = [manifest.metrics[name] for manifest in manifests[1:] for name in ("reward_mean", "loss", "grad_norm")]
        assert all(value is not None and math.isfinite(value) for value in health)


def check_ledger(run: Path, data: Path) -> None:
    """Photographs were shown exactly as they lie on disk, each on its side of the line between suite and training, and
    every edit is another picture of the same size."""
    ledger = EpisodeLedger(run)
    episodes = list(ledger.scan())
    files = {(data / photograph.path).read_bytes(): photograph for photograph in (*SUITE, *TAUGHT)}
    samples = ledger.get_samples({episode.sample_id for episode in episodes})
    shown = {sample_id: files[sample.image] for sample_id, sample in samples.items()}
    asked = {purpose: {shown[e.sample_id].path for e in episodes if e.purpose is purpose} for purpose in Purpose}
    assert asked[Purpose.EVALUATE] == {photograph.path for photograph in SUITE}
    assert asked[Purpose.TRAIN]
    assert asked[Purpose.TRAIN] <= {photograph.path for photograph in TAUGHT}
    edits = ledger.get_edits({episode.edit_id for episode in episodes if episode.edit_id is not None})
    assert {edit.attacker for edit in edits.values()} >= {"control", "test/attacker/000000", "test/attacker/000002"}
    for edit in edits.values():
        original, edited = shown[edit.sample_id].pixels(), opened(edit.image)
        assert edited.shape == original.shape
        assert np.any(edited != original)


def check_summary(run: Path) -> None:
    """All of the suite was measured, before and after."""
    summary = json.loads((run / "summary.json").read_text())
    assert summary["finished"]
    assert [(phase["role"], phase["steps"]) for phase in summary["phases"]] == [(role, STEPS) for role in ROLES]
    for side in ("before", "after"):
        measured = summary[side]
        assert [measured[name]["n"] for name in ("clean", "control", "robust", "validity")] == [4, 4, 4, 8]
        assert (measured["validity"]["value"], measured["missing"]) == (1, 0)
    assert [summary["difference"][name]["n"] for name in ("clean", "robust")] == [4, 4]


def check_report(run: Path) -> None:
    """The gallery shows each photograph of the suite, beside three more pictures of its size."""
    pictures = re.findall(r'src="data:image/png;base64,([^"]+)"', (run / "report.html").read_text())
    shown = [opened(base64.b64decode(picture)) for picture in pictures]
    assert len(shown) == 4 * len(SUITE)
    for photograph in SUITE:
        image = Image.fromarray(photograph.pixels())
        image.thumbnail((LARGEST, LARGEST), Image.Resampling.LANCZOS)
        original = np.asarray(image, dtype=np.float64)
        alike = [float(np.abs(picture - original).mean()) for picture in shown if picture.shape == original.shape]
        assert len(alike) >= 4
        # A crop was saved as JPEG once more, which costs two levels.
        assert sum(distance < 3 for distance in alike) == 1


def opened(image: bytes) -> NDArray[np.uint8]:
    return np.asarray(Image.open(io.BytesIO(image)))

"""A campaign that was never played: its ledger, journal and manifests are written down as if it had been."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from sparring.ledgers.entries import (
    CampaignFinished,
    CampaignStarted,
    CheckFinished,
    GateDecided,
    JournalEntry,
    Measures,
    PhaseFinished,
    PhaseStarted,
    Promoted,
    Share,
    SuiteExtended,
    Usage,
)
from sparring.ledgers.episodes import EpisodeLedger
from sparring.ledgers.journal import Journal
from sparring.ledgers.manifest import Draft
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
    RevisionName,
    SampleId,
    SampleRecord,
    TargetRecord,
    VerdictRecord,
)
from sparring.ledgers.revision import Revision, Role
from sparring.ledgers.weights import WeightsLedger
from sparring.ops.folder import RunFolder
from sparring.samples.images import encode_png
from sparring.samples.sample import Sample
from sparring.samples.shapes import Shapes, World

CAMPAIGN = "toy"
SAMPLES = 12
STEPS = 4
PUBLISHED: dict[Role, list[int]] = {"attacker": [0, 1, 2, 3, 4], "defender": [0, 1, 2, 2, 3, 4]}
"""Steps of the revisions; the defender's trainer died and published its second step once more."""
SHARE = Share(value=0.5, low=0.4, high=0.6, n=10)
MEASURES = Measures(clean=SHARE, control=SHARE, robust=SHARE, asr=SHARE, validity=SHARE, missing=0)
BEGAN = datetime(2026, 1, 1, tzinfo=UTC)


def name(role: Role, number: int) -> RevisionName:
    return Revision(CAMPAIGN, role, number).name


A0, A1 = name("attacker", 0), name("attacker", STEPS)
D0, D1 = name("defender", 0), name("defender", STEPS + 1)


def is_right(sample: int, attacker: str, edit: int, defender: str) -> bool:
    """Who answers what rightly in this world: nobody sample 11; D0 falls for much, D1 for little."""
    if sample == 11:
        return False
    if attacker == A0:
        return defender == D1 or edit == 1 or sample % 2 == 1
    if attacker == A1:
        return sample % 6 != 0 if defender == D1 else sample % 3 == 0
    return True


def is_valid(sample: int, attacker: str, edit: int) -> bool:
    """One edit is refused."""
    return (sample, attacker, edit) != (0, A0, 1)


def _sample_row(sample: Sample) -> SampleRecord:
    targets = tuple(TargetRecord(t.name, (t.box.x, t.box.y, t.box.width, t.box.height)) for t in sample.targets)
    return SampleRecord(
        SampleId(sample.digest),
        sample.image,
        sample.question,
        sample.options,
        sample.answer,
        targets,
        "",
        sample.source,
    )


def _answer(right: bool, answer: int) -> AnswerRecord:
    letter = "ABCD"[answer if right else (answer + 1) % 4]
    nothing = np.zeros(0)
    return AnswerRecord(
        f"so \\boxed{{{letter}}}", nothing.astype(np.int32), nothing.astype(np.float32), letter, "boxed", right, True
    )


def _edit(sample: Sample, edit_id: EditId, attacker: str, valid: bool) -> EditRecord:
    pixels = np.full((64, 64, 3), len(edit_id), dtype=np.uint8)
    kind = Kind.CONTROL if attacker == "control" else Kind.SEMANTIC
    verdict = VerdictRecord(valid, () if valid else ("form",), ())
    return EditRecord(
        edit_id, SampleId(sample.digest), attacker, "", "add an object", 1, kind, None, encode_png(pixels), verdict
    )


def _group(index: int, sample: Sample, attacker: str, edit: int, defender: str) -> Group:
    shown = f"{index}/{attacker}/e{edit}"
    edit_id = EditId(shown) if attacker else None
    group = GroupId(f"{shown}/{defender}")
    valid = is_valid(index, attacker, edit)
    episode = EpisodeRecord(
        episode_id=EpisodeId(f"{group}#0"),
        sample_id=SampleId(sample.digest),
        edit_id=edit_id,
        prompt=sample.question,
        option_order=(0, 1, 2, 3),
        temperature=0.0,
        defender=defender,
        defender_digest="",
        attacker=attacker,
        answers=(_answer(is_right(index, attacker, edit, defender), sample.answer),) if valid else (),
        rewards=(),
        purpose=Purpose.EVALUATE,
        campaign=CAMPAIGN,
        phase="check-000000",
        learner=Learner.NONE,
        group_id=group,
        group_size=1,
        index=0,
        outcome=Outcome.PLAYED if valid else Outcome.REJECTED,
    )
    edits = (_edit(sample, edit_id, attacker, valid),) if edit_id else ()
    return Group((_sample_row(sample),), edits, (), (episode,))


def _write_episodes(root: Path) -> None:
    shapes = Shapes(World(), 0, "suite")
    views = [("", 0), ("control", 0), (A0, 0), (A0, 1), (A1, 0), (A1, 1)]
    groups = [
        _group(index, shapes.sample(index), attacker, edit, defender)
        for defender in (D0, D1)
        for index in range(SAMPLES)
        for attacker, edit in views
    ]
    EpisodeLedger(root).append_groups(groups)


def _write_manifests(root: Path, files: Path) -> None:
    files.mkdir()
    (files / "model.safetensors").write_bytes(b"0" * 8)
    ledger = WeightsLedger(root)
    roles: tuple[Role, ...] = ("attacker", "defender")
    for role in roles:
        for number, step in enumerate(PUBLISHED[role]):
            again = number > 0 and step == PUBLISHED[role][number - 1]
            draft = Draft(
                campaign=CAMPAIGN,
                role=role,
                number=number,
                layout="full",
                base="small",
                parent=name(role, number - 1) if number else None,
                step=step,
                phase=f"i1-{role}" if step else "",
                metrics={} if again else {"reward_mean": step / 10, "asr": 0.5},
            )
            ledger.publish(files, draft)


def _entries(config: dict[str, object]) -> list[JournalEntry]:
    def extended(attacker: str) -> SuiteExtended:
        return SuiteExtended(suite="s", attacker=attacker, samples=SAMPLES, edits=2 * SAMPLES, valid=2 * SAMPLES - 1)

    def checked(defender: str, *attackers: str) -> CheckFinished:
        return CheckFinished(check="c", defender=defender, attackers=attackers, measures=MEASURES)

    def started(role: Role, parent: RevisionName, opponent: RevisionName) -> PhaseStarted:
        phase = f"i1-{role}"
        return PhaseStarted(phase=phase, role=role, iteration=1, parent=parent, opponent=opponent, steps=STEPS)

    def decided(role: Role, candidate: RevisionName) -> GateDecided:
        return GateDecided(
            phase=f"i1-{role}", candidate=candidate, accepted=True, reasons=(), numbers={"robust": SHARE}
        )

    return [
        CampaignStarted(campaign=CAMPAIGN, config=json.loads(json.dumps(config)), seed=7, commit="abc1234"),
        Promoted(role="attacker", revision=A0),
        Promoted(role="defender", revision=D0),
        Usage(wall_seconds=10, peak_pss_bytes=100),
        extended(A0),
        checked(D0, A0),
        started("attacker", A0, D0),
        PhaseFinished(phase="i1-attacker", revision=A1),
        Usage(wall_seconds=20, peak_pss_bytes=300),
        extended(A1),
        checked(D0, A0, A1),
        decided("attacker", A1),
        Promoted(role="attacker", revision=A1),
        started("defender", D0, A1),
        PhaseFinished(phase="i1-defender", revision=D1),
        checked(D1, A0, A1),
        decided("defender", D1),
        Promoted(role="defender", revision=D1),
        Usage(wall_seconds=5, peak_pss_bytes=200),
        CampaignFinished(iterations=1),
    ]


@pytest.fixture(scope="session")
def toy_files(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """The finished campaign; read only."""
    root = tmp_path_factory.mktemp("toy")
    folder = RunFolder(root, CAMPAIGN)
    _write_episodes(root)
    _write_manifests(root, root / "files")
    with Journal(root, CAMPAIGN).writer() as writer:
        for minute, entry in enumerate(_entries({"campaign": CAMPAIGN, "data": {"<b>": "&"}})):
            writer.append(entry.model_copy(update={"time": BEGAN + timedelta(minutes=minute)}))
    return folder


@pytest.fixture
def toy(toy_files: RunFolder, tmp_path: Path) -> RunFolder:
    """The finished campaign with a journal of its own, which may be cut."""
    for part in ("episodes", "weights"):
        (tmp_path / part).symlink_to(toy_files.root / part)
    folder = RunFolder(tmp_path, CAMPAIGN)
    folder.own.mkdir(parents=True)
    (folder.own / "journal.jsonl").write_bytes((toy_files.own / "journal.jsonl").read_bytes())
    return folder


def cut_journal(folder: RunFolder, kept: int) -> None:
    """Leave the first `kept` entries."""
    path = folder.own / "journal.jsonl"
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:kept]))

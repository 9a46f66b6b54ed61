from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import fsspec
import pytest
from pydantic import ValidationError

from sparring.ledgers.errors import (
    CorruptRevision,
    ExpiredRevision,
    ForbiddenFile,
    InvalidName,
    RevisionExists,
    UnknownRevision,
)
from sparring.ledgers.manifest import Draft, Manifest
from sparring.ledgers.records import GroupId, RevisionName
from sparring.ledgers.revision import Revision
from sparring.ledgers.weights import WeightsLedger

FILES = {"adapter_model.safetensors": b"tensors" * 300_000, "adapter_config.json": b"{}", "vocab/merges.txt": b""}


@pytest.fixture(params=["disk", "memory"])
def root(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return str(tmp_path / "root") if request.param == "disk" else f"memory://{uuid.uuid4().hex}"


@pytest.fixture
def ledger(root: str) -> WeightsLedger:
    return WeightsLedger(root)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for path, data in FILES.items():
        (tmp_path / "out" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "out" / path).write_bytes(data)
    return tmp_path / "out"


def draft(number: int, **changes: object) -> Draft:
    values: dict[str, object] = {
        "campaign": "c",
        "role": "attacker",
        "number": number,
        "layout": "peft",
        "base": "small",
    }
    return Draft.model_validate(values | changes)


def name(number: int) -> RevisionName:
    return Revision("c", "attacker", number).name


def overwrite(root: str, path: str, data: bytes) -> None:
    with fsspec.open(f"{root}/weights/{path}", "wb") as file:
        file.write(data)


def read(root: str, path: str) -> bytes:
    with fsspec.open(f"{root}/weights/{path}", "rb") as file:
        return bytes(file.read())


def contents(folder: Path) -> dict[str, bytes]:
    return {file.relative_to(folder).as_posix(): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def test_a_revision_comes_back_as_it_went_in(ledger: WeightsLedger, folder: Path, root: str, tmp_path: Path) -> None:
    nan = float("nan")
    wanted = draft(
        0, step=3, phase="i1-attacker", consumed=(GroupId("g"),), checkpoint="t", metrics={"a": 0.1, "b": nan}
    )
    manifest = ledger.publish(folder, wanted)
    assert ledger.manifest(name(0)) == manifest
    assert manifest.metrics == {"a": 0.1, "b": None}
    assert {path: (entry.sha256, entry.size) for path, entry in manifest.files.items()} == {
        path: (hashlib.sha256(data).hexdigest(), len(data)) for path, data in FILES.items()
    }
    data = read(root, "c/attacker/000000/manifest.json")
    assert Manifest.model_validate(json.loads(data)) == manifest
    digest = ledger.digest(name(0))
    assert digest == hashlib.sha256(data).hexdigest()
    fetched = ledger.fetch(name(0), digest, tmp_path / "cache")
    assert contents(fetched) == FILES
    assert ledger.fetch(name(0), None, tmp_path / "cache") == fetched
    assert [path.name for path in (tmp_path / "cache").iterdir()] == [fetched.name]


def test_numbers_are_used_once(ledger: WeightsLedger, folder: Path, root: str) -> None:
    assert ledger.next_number("c", "attacker") == 0
    ledger.publish(folder, draft(0))
    overwrite(root, "c/attacker/000001/claim.json", b"{}")
    overwrite(root, "c/attacker/000001/adapter_config.json", b"half")
    assert ledger.next_number("c", "attacker") == 2
    assert ledger.next_number("c", "defender") == 0
    assert [manifest.number for manifest in ledger.revisions("c", "attacker")] == [0]
    for number in (0, 1):
        with pytest.raises(RevisionExists, match=f"c/attacker/00000{number} is taken"):
            ledger.publish(folder, draft(number))
    assert read(root, "c/attacker/000001/adapter_config.json") == b"half"


def test_one_of_many_publishers_wins(ledger: WeightsLedger, folder: Path) -> None:
    def attempt(step: int) -> int | None:
        try:
            return ledger.publish(folder, draft(0, step=step)).step
        except RevisionExists:
            return None

    with ThreadPoolExecutor(8) as pool:
        winners = [step for step in pool.map(attempt, range(8)) if step is not None]
    assert [ledger.manifest(name(0)).step] == winners


def test_a_late_manifest_is_fenced(ledger: WeightsLedger, folder: Path, root: str) -> None:
    overwrite(root, "c/attacker/000000/manifest.json", b"of another")
    with pytest.raises(RevisionExists, match=r"manifest\.json"):
        ledger.publish(folder, draft(0))
    assert read(root, "c/attacker/000000/manifest.json") == b"of another"


@pytest.mark.parametrize(
    "file",
    ["pytorch_model.bin", "x.pkl", "model.pt", "code.py", "manifest.json", "claim.json", ".hidden.json", "noend"],
)
def test_other_files_are_refused(ledger: WeightsLedger, folder: Path, file: str) -> None:
    (folder / file).write_bytes(b"x")
    with pytest.raises(ForbiddenFile, match=file):
        ledger.publish(folder, draft(0))
    assert ledger.next_number("c", "attacker") == 0


def test_a_revision_has_tensors(ledger: WeightsLedger, folder: Path) -> None:
    (folder / "adapter_model.safetensors").unlink()
    with pytest.raises(FileNotFoundError, match=r"no \.safetensors"):
        ledger.publish(folder, draft(0))


@pytest.mark.parametrize("path", ["../x.json", "/etc/x.json", "a/../x.json", "a//x.json", "./x.json", "", "a\\x.json"])
def test_a_manifest_names_only_files_inside(ledger: WeightsLedger, folder: Path, root: str, path: str) -> None:
    ledger.publish(folder, draft(0))
    manifest = json.loads(read(root, "c/attacker/000000/manifest.json"))
    manifest["files"][path] = {"sha256": "0" * 64, "size": 0}
    overwrite(root, "c/attacker/000000/manifest.json", json.dumps(manifest).encode())
    with pytest.raises(CorruptRevision, match="plain path"):
        ledger.fetch(name(0), None, folder / "cache")


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (lambda data: data[:-1] + b"X", "has sha256 [0-9a-f]{64}, its manifest says [0-9a-f]{64}"),
        (lambda data: data[:-1], "has less than 2100000 bytes"),
        (lambda data: data * 100, "has more than 2100000 bytes"),
    ],
)
def test_a_damaged_file_is_named(
    ledger: WeightsLedger, folder: Path, root: str, tmp_path: Path, harm: Callable[[bytes], bytes], message: str
) -> None:
    ledger.publish(folder, draft(0))
    overwrite(root, "c/attacker/000000/adapter_model.safetensors", harm(FILES["adapter_model.safetensors"]))
    with pytest.raises(CorruptRevision, match=r"c/attacker/000000/adapter_model\.safetensors " + message):
        ledger.fetch(name(0), None, tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []


def test_a_missing_file_is_named(root: str, ledger: WeightsLedger, folder: Path, tmp_path: Path) -> None:
    ledger.publish(folder, draft(0))
    files, path = fsspec.core.url_to_fs(f"{root}/weights/c/attacker/000000/adapter_config.json")
    files.rm_file(path)
    with pytest.raises(CorruptRevision, match=r"adapter_config\.json is missing"):
        ledger.fetch(name(0), None, tmp_path / "cache")


def test_another_digest_is_refused(ledger: WeightsLedger, folder: Path, tmp_path: Path) -> None:
    ledger.publish(folder, draft(0))
    with pytest.raises(
        CorruptRevision, match=rf"manifest\.json has sha256 {ledger.digest(name(0))}, expected {'0' * 64}"
    ):
        ledger.fetch(name(0), "0" * 64, tmp_path / "cache")


def test_a_manifest_in_the_wrong_place_is_refused(ledger: WeightsLedger, folder: Path, root: str) -> None:
    ledger.publish(folder, draft(0))
    overwrite(root, "c/attacker/000005/manifest.json", read(root, "c/attacker/000000/manifest.json"))
    with pytest.raises(CorruptRevision, match="is the manifest of c/attacker/000000"):
        ledger.manifest(name(5))


def test_what_is_unknown_is_said(ledger: WeightsLedger, tmp_path: Path) -> None:
    for call in (ledger.manifest, ledger.digest, lambda n: ledger.fetch(n, None, tmp_path)):
        with pytest.raises(UnknownRevision, match="c/attacker/000009 is unknown"):
            call(name(9))
        with pytest.raises(InvalidName):
            call(RevisionName("../../etc/000001"))
    with pytest.raises(UnknownRevision):
        ledger.set_release("c", "attacker", name(9))


def test_lineage(ledger: WeightsLedger, folder: Path) -> None:
    for number, parent in ((0, None), (1, 0), (3, 1), (4, 1)):
        ledger.publish(folder, draft(number, parent=None if parent is None else name(parent)))
    assert [manifest.number for manifest in ledger.lineage(name(4))] == [4, 1, 0]
    assert [manifest.number for manifest in ledger.revisions("c", "attacker")] == [0, 1, 3, 4]
    assert [manifest.number for manifest in ledger.revisions("c", "attacker", after=1)] == [3, 4]
    with pytest.raises(ValidationError, match="cannot descend"):
        draft(2, parent=name(2))


def test_the_channel_moves(ledger: WeightsLedger, folder: Path) -> None:
    assert ledger.release("c", "attacker") is None
    for number in (0, 1):
        ledger.publish(folder, draft(number))
        released = ledger.set_release("c", "attacker", name(number))
        assert released.digest == ledger.digest(name(number))
        assert ledger.release("c", "attacker") == released
    assert ledger.release("c", "defender") is None


def test_old_tensors_expire_and_manifests_stay(ledger: WeightsLedger, folder: Path, tmp_path: Path) -> None:
    for number in range(7):
        ledger.publish(folder, draft(number))
    ledger.set_release("c", "attacker", name(2))
    dropped = ledger.expire("c", "attacker", last=2, keep=[name(3)])
    assert dropped == [name(1), name(4)]
    assert ledger.expire("c", "attacker", last=2, keep=[name(3)]) == []
    assert len(ledger.revisions("c", "attacker")) == 7
    for number in (0, 2, 3, 5, 6):
        assert contents(ledger.fetch(name(number), None, tmp_path / "cache")) == FILES
    with pytest.raises(ExpiredRevision, match="c/attacker/000004"):
        ledger.fetch(name(4), None, tmp_path / "cache")
    assert ledger.expire("c", "attacker", last=100) == []


def test_an_interrupted_expiry_is_finished(ledger: WeightsLedger, folder: Path, root: str, tmp_path: Path) -> None:
    for number in range(3):
        ledger.publish(folder, draft(number))
    overwrite(root, "c/attacker/000001/expired.json", b'{"complete": false}')
    with pytest.raises(ExpiredRevision):
        ledger.fetch(name(1), None, tmp_path / "cache")
    assert ledger.expire("c", "attacker", last=1) == [name(1)]


def test_many_fetch_at_once(folder: Path, tmp_path: Path) -> None:
    ledger = WeightsLedger(tmp_path)
    ledger.publish(folder, draft(0))
    with ThreadPoolExecutor(4) as pool:
        fetched = set(pool.map(lambda _: ledger.fetch(name(0), None, tmp_path / "cache"), range(8)))
    assert len(fetched) == 1
    assert contents(fetched.pop()) == FILES
    assert len(list((tmp_path / "cache").iterdir())) == 1


@pytest.mark.parametrize(
    "text", ["c/attacker/1", "c/attacker/0000001", "c/judge/000001", "a/b/attacker/000001", "c/attacker/000001\n"]
)
def test_names_have_one_form(text: str) -> None:
    with pytest.raises(InvalidName):
        Revision.parse(text)
    assert Revision.parse("c.1-x/defender/000012") == Revision("c.1-x", "defender", 12)

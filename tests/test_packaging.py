"""What is installed, and for whom: each service brings its own stack and no more."""

from __future__ import annotations

import ast
import json
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
CONSTRAINTS = {
    canonicalize_name(requirement.name): requirement
    for requirement in map(Requirement, (ROOT / "constraints.txt").read_text().split())
}

ROOMS = {
    "protos/sparring/client": "",
    "services/sparring/samples": "serving",
    "services/sparring/ledgers": "serving",
    "services/sparring/serving": "serving",
    "services/sparring/referee": "referee",
    "services/sparring/defender": "defender",
    "services/sparring/attacker": "attacker",
    "services/sparring/policies": "attacker",
    "trainer/sparring/trainer": "trainer",
    "ops/sparring/ops": "all",
}
"""The extra that each room is installed with; the client needs none."""

HEAVY = {"torch", "transformers", "diffusers", "peft", "deepspeed"}


def declared(extra: str) -> set[str]:
    """Distributions that `sparring[extra]` names, those of the extras it includes among them."""
    listed = PROJECT["dependencies"] + (PROJECT["optional-dependencies"][extra] if extra else [])
    names = set()
    for requirement in map(Requirement, listed):
        if requirement.name == PROJECT["name"]:
            names |= set().union(*map(declared, requirement.extras))
        else:
            names.add(canonicalize_name(requirement.name))
    return names


def closure(names: set[str]) -> set[str]:
    """The installed distributions with these names, and all that they require here."""
    found, waiting = set(), set(names)
    while waiting:
        name = waiting.pop()
        found.add(name)
        waiting |= {canonicalize_name(requirement.name) for requirement in requirements(name)} - found
    return found


def requirements(name: str) -> list[Requirement]:
    """What an installed distribution requires here, without its extras."""
    every = map(Requirement, metadata.requires(name) or [])
    return [
        requirement for requirement in every if not requirement.marker or requirement.marker.evaluate({"extra": ""})
    ]


def installed(extra: str) -> set[str]:
    """Distributions that come with `sparring[extra]`, directly or not."""
    return closure(declared(extra))


def source(module: str) -> Path | None:
    """File of one of our modules, generated ones left out."""
    files = (ROOT / root / f"{module.replace('.', '/')}.py" for root in ("protos", "services", "trainer", "ops"))
    return next((file for file in files if file.exists() and "_pb2" not in file.name), None)


def imported(file: Path) -> Iterator[str]:
    """Full names of all that a file imports, at its top or within functions."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def needs(room: Path) -> set[str]:
    """Top-level names of other people's modules that a room imports, itself or through our other rooms."""
    seen, waiting, foreign = set(), set(room.rglob("*.py")), set()
    while waiting:
        file = waiting.pop()
        seen.add(file)
        for name in imported(file):
            top, _, _ = name.partition(".")
            if top == "sparring":
                waiting |= {found for part in (name, name.rpartition(".")[0]) if (found := source(part))} - seen
            elif top not in sys.stdlib_module_names:
                foreign.add(top)
    return foreign


@pytest.mark.parametrize(("room", "extra"), ROOMS.items())
def test_a_room_needs_what_its_extra_brings(room, extra):
    owners = metadata.packages_distributions()
    brought = installed(extra)
    for module in needs(ROOT / room):
        assert brought & {canonicalize_name(owner) for owner in owners[module]}, f"{room} needs {module}"


def test_torch_comes_only_where_a_model_is():
    assert not installed("") & (HEAVY | {"numpy", "protovalidate"})
    assert not installed("serving") & HEAVY
    assert not installed("referee") & HEAVY
    assert installed("defender") & HEAVY == {"torch", "transformers", "peft"}
    assert installed("attacker") & HEAVY == {"torch", "transformers", "peft", "diffusers"}
    assert installed("trainer") & HEAVY == HEAVY


def test_every_distribution_has_an_exact_version():
    exact = {name for name, constraint in CONSTRAINTS.items() if str(constraint.specifier).startswith("==")}
    # A build of torch for CUDA pins what it brings itself.
    cuda = closure({r.name for r in requirements("torch") if str(r.specifier).startswith("==")})
    assert installed("test") - cuda <= exact
    assert str(CONSTRAINTS["torch"]) == "torch==2.13.0"


@pytest.mark.parametrize(
    "module", ["client.client", "attacker.config", "defender.config", "referee.config", "trainer.config", "ops.config"]
)
def test_clients_and_configurations_load_no_model_code(module):
    report = f"import json, sys; import sparring.{module}; print(json.dumps([*sys.modules]))"
    loaded = set(json.loads(subprocess.check_output([sys.executable, "-c", report], text=True)))
    assert not loaded & HEAVY
    assert module != "client.client" or not loaded & {"numpy", "pydantic", "protovalidate"}


def test_no_folder_takes_the_namespace_for_itself():
    assert not [
        path for root in ("protos", "services", "trainer", "ops") for path in ROOT.glob(f"{root}/**/__init__.py")
    ]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> zipfile.ZipFile:
    """The wheel of this tree, built in a copy of it."""
    tree = tmp_path_factory.mktemp("tree")
    for root in ("protos", "services", "trainer", "ops"):
        shutil.copytree(ROOT / root, tree / root, ignore=shutil.ignore_patterns("*_pb2*", "__pycache__"))
    for file in ("pyproject.toml", "README.md", "LICENSE", ".gitignore"):
        shutil.copy(ROOT / file, tree)
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel"], cwd=tree, check=True, capture_output=True
    )
    (built,) = (tree / "dist").glob("*.whl")
    return zipfile.ZipFile(built)


def test_the_wheel_holds_the_four_roots_and_the_stubs(wheel):
    names = set(wheel.namelist())
    assert {name.split("/")[0] for name in names} == {"sparring", "buf", f"sparring-{PROJECT['version']}.dist-info"}
    for proto in (ROOT / "protos").rglob("*.proto"):
        stem = str(proto.relative_to(ROOT / "protos")).removesuffix(".proto")
        assert {f"{stem}.proto", f"{stem}_pb2.py", f"{stem}_pb2.pyi", f"{stem}_pb2_grpc.py"} <= names
    assert {"buf/validate/validate_pb2.py", "buf/validate/validate_pb2.pyi"} <= names
    for room in ROOMS:
        assert any(name.startswith(room.partition("/")[2]) for name in names), room


def test_the_wheel_holds_presets_templates_and_small_weights(wheel):
    names = set(wheel.namelist())
    for pattern in ("ops/presets/demo.toml", "ops/report/templates/report.html.j2", "ops/small/defender/config.json"):
        assert f"sparring/{pattern}" in names


def test_the_command_and_the_attacks_are_entry_points():
    assert PROJECT["scripts"] == {"sparring": "sparring.ops.cli:main"}
    attacks = {entry.name: entry.load() for entry in metadata.entry_points(group="sparring.attacks")}
    assert {"add", "remove", "replace", "recolour"} <= attacks.keys()
    assert {"crop", "shift", "noise", "jpeg", "blur", "photometric"} <= attacks.keys()
    assert all(map(callable, attacks.values()))


def test_make_alone_lists_its_targets():
    listing = subprocess.check_output(["make"], cwd=ROOT, text=True)
    targets = re.findall(r"^  make (\w+) +\S", listing, re.MULTILINE)
    assert {"demo", "test", "lint", "clean"} <= set(targets)

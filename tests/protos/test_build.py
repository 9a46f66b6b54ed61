from __future__ import annotations

import importlib
import importlib.util
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from buf.validate import validate_pb2
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from protovalidate._gen.buf.validate import validate_pb

PROTOS = Path(__file__).parents[2] / "protos"


@pytest.fixture
def build(tmp_path):
    """The build script at work in a copy of the sources, so that the stubs in use stay as they are."""
    shutil.copytree(PROTOS, tmp_path / "protos", ignore=shutil.ignore_patterns("*_pb2*", "__pycache__"))
    spec = importlib.util.spec_from_file_location("build_of_a_copy", tmp_path / "protos" / "build.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_installed_stubs_are_those_of_the_contract(build):
    build.build_stubs()
    for proto in [*build.contract(), build.RULES]:
        stub = proto.replace(".proto", "_pb2.py")
        installed = importlib.import_module(stub.removesuffix(".py").replace("/", "."))
        assert Path(installed.__file__).read_text() == (build.ROOT / stub).read_text(), "run python protos/build.py"


def test_stubs_carry_types_services_and_comments(build):
    build.build_stubs()
    contract = build.ROOT / "sparring/v1"
    assert "class AttackerStub" in (contract / "attacker_pb2_grpc.py").read_text()
    assert "Edits images so that a defender errs" in (contract / "attacker_pb2_grpc.py").read_text()
    assert "class EditRequest(" in (contract / "attacker_pb2.pyi").read_text()


def test_the_rules_are_protovalidates_own():
    theirs = FileDescriptorProto.FromString(validate_pb.desc().proto.to_binary())
    ours = FileDescriptorProto()
    validate_pb2.DESCRIPTOR.CopyToProto(ours)
    assert ours == theirs


def test_a_mistake_in_a_proto_stops_the_build(build, capfd):
    broken = build.ROOT / "sparring/v1/revision.proto"
    broken.write_text(broken.read_text().replace("string name", "strang name"))
    with pytest.raises(RuntimeError, match=re.escape("sparring/v1/revision.proto")):
        build.build_stubs()
    assert "strang" in capfd.readouterr().err


def test_lint_passes_the_contract_and_finds_a_bad_name(build, capfd):
    build.lint()
    bad = build.ROOT / "sparring/v1/revision.proto"
    bad.write_text(bad.read_text().replace("string name", "string Name"))
    with pytest.raises(subprocess.CalledProcessError):
        build.lint()
    assert "sparring/v1/revision.proto:10:" in capfd.readouterr().out

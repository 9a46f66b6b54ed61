"""Builds the gRPC stubs: as a hatchling hook at installation, or by `python protos/build.py` after an edit.

With `--lint` it checks the contract instead.

The rules of protovalidate come as a descriptor in its own package, so nothing of it is copied into this tree: the
descriptor goes to protoc, which also generates the module that our stubs import.
"""

from __future__ import annotations

import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

ROOT = Path(__file__).parent
RULES = "buf/validate/validate.proto"


def descriptors() -> bytes:
    """A serialised FileDescriptorSet of protovalidate's rules and of what they import."""
    from google.protobuf import descriptor_pb2, duration_pb2, field_mask_pb2, timestamp_pb2
    from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet
    from protovalidate._gen.buf.validate import validate_pb

    bundle = FileDescriptorSet()
    for module in (descriptor_pb2, duration_pb2, field_mask_pb2, timestamp_pb2):
        module.DESCRIPTOR.CopyToProto(bundle.file.add())
    bundle.file.append(FileDescriptorProto.FromString(validate_pb.desc().proto.to_binary()))
    return bundle.SerializeToString()


def compile_protos(*options: str, sources: list[str]) -> None:
    """Run protoc on `sources`, named relative to `protos/`.

    Raises:
        RuntimeError: protoc found a mistake; it has printed where.
    """
    from grpc_tools import protoc

    with tempfile.TemporaryDirectory() as folder:
        known = Path(folder, "rules.binpb")
        known.write_bytes(descriptors())
        status = protoc.main(["protoc", f"--descriptor_set_in={known}", f"--proto_path={ROOT}", *options, *sources])
    if status:
        raise RuntimeError(f"protoc failed on {', '.join(sources)}; its messages stand above")


def contract() -> list[str]:
    """The contract's files, relative to `protos/`."""
    return sorted(str(path.relative_to(ROOT)) for path in ROOT.glob("sparring/v1/*.proto"))


def build_stubs() -> None:
    """Write `*_pb2.py`, `*_pb2.pyi` and `*_pb2_grpc.py` beside the protos."""
    messages = [f"--{kind}_out={ROOT}" for kind in ("python", "pyi")]
    compile_protos(*messages, f"--grpc_python_out={ROOT}", sources=contract())
    compile_protos(*messages, sources=[RULES])


class StubsHook(BuildHookInterface[Any]):
    """Hatchling's side of it: the stubs are artifacts of every wheel."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        build_stubs()
        build_data["artifacts"] += ["protos/**/*_pb2*"]


def lint() -> None:
    """Have `buf lint` judge the contract by the rules of `protos/buf.yaml`."""
    with tempfile.TemporaryDirectory() as folder:
        image = Path(folder, "contract.binpb")
        output = f"--descriptor_set_out={image}"
        compile_protos("--include_imports", "--include_source_info", output, sources=contract())
        buf = Path(sysconfig.get_path("scripts"), "buf")
        subprocess.run([buf, "lint", f"{image}#format=binpb", "--config", ROOT / "buf.yaml"], check=True)


if __name__ == "__main__":
    lint() if "--lint" in sys.argv else build_stubs()

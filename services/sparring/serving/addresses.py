"""Where a server really listens, written for whoever started it."""

from __future__ import annotations

import os
from pathlib import Path

from pydantic import BaseModel, ConfigDict


class Addresses(BaseModel):
    """`host:port` of each port of a server."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    grpc: str
    """The product's services."""
    health: str
    """gRPC health alone, never encrypted."""
    metrics: str
    """HTTP; the path is /metrics."""
    rest: str | None = None
    """HTTP; standards beside the product's services. None where they are not spoken."""

    def write(self, path: Path) -> None:
        """Write as JSON, so that a reader sees all of it or nothing."""
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f".{path.name}.{os.getpid()}")
        partial.write_text(self.model_dump_json())
        partial.replace(path)

    @classmethod
    def read(cls, path: Path) -> Addresses:
        """What a server wrote.

        Raises:
            FileNotFoundError: it does not listen yet.
        """
        return cls.model_validate_json(path.read_text())

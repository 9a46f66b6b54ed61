"""Runs `transformers serve` on a free port, which it prints: `python serve.py MODEL`.

The server is as it comes. Only where torchvision is missing, of which there is no CPU build for Linux, it is handed the
processor without its video part, which it could not open by itself.
"""

from __future__ import annotations

import socket
import sys

import uvicorn
from transformers import AutoProcessor
from transformers.cli.serve import Serve
from transformers.utils import is_torchvision_available

from sparring.policies.processor import open_processor

AREA = 64 * 64
"""Pixels that the small defender sees."""


class Telling(uvicorn.Server):
    """Says where it listens."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        print(self.servers[0].sockets[0].getsockname()[1], flush=True)


def main() -> None:
    if not is_torchvision_available():
        AutoProcessor.from_pretrained = lambda folder, **_: open_processor(folder, min_pixels=AREA, max_pixels=AREA)
    uvicorn.Server = Telling  # type: ignore[misc]
    Serve(sys.argv[1], device="cpu", host="127.0.0.1", port=0)


if __name__ == "__main__":
    main()

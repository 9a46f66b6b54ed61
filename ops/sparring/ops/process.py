"""One child process: started under guard, its output in a file, stopped with patience and then without."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from sparring.ops.errors import ProcessFailed

_TAIL_BYTES = 64_000


@dataclass(frozen=True)
class Command:
    """What to run.

    Attributes:
        name: for messages.
        arguments: the command line, program first.
        environment: added to that of this process.
        log: file whose end tells why it died.
        output: file that standard output and error are appended to; by default the log.
    """

    name: str
    arguments: tuple[str, ...]
    environment: Mapping[str, str]
    log: Path
    output: Path | None = None

    def tail(self, lines: int = 12) -> str:
        """The last lines of the log."""
        if not self.log.exists():
            return ""
        with self.log.open("rb") as file:
            file.seek(max(0, self.log.stat().st_size - _TAIL_BYTES))
            text = file.read().decode(errors="replace")
        return "\n".join(text.splitlines()[-lines:])

    def failure(self, status: int) -> ProcessFailed:
        """The error that says how it ended."""
        how = f"was killed by {signal.Signals(-status).name}" if status < 0 else f"exited with status {status}"
        return ProcessFailed(f"{self.name} {how}; the end of {self.log}:\n{self.tail()}")


def python(module: str, *arguments: str) -> tuple[str, ...]:
    """Command line of a module under this interpreter."""
    return (sys.executable, "-m", module, *arguments)


class Child:
    """A running command, in a session of its own, so that a Ctrl-C reaches only the conductor."""

    def __init__(self, command: Command, process: asyncio.subprocess.Process) -> None:
        self.command = command
        self._process = process

    @classmethod
    async def start(cls, command: Command) -> Child:
        """Start it. It gets SIGKILL when the calling thread ends, which should thus be the main thread."""
        output = command.output or command.log
        output.parent.mkdir(parents=True, exist_ok=True)
        with output.open("ab") as log:
            process = await asyncio.create_subprocess_exec(
                *python("sparring.ops.guard", *command.arguments),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, **command.environment},
                start_new_session=True,
            )
        return cls(command, process)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def status(self) -> int | None:
        """Exit status; minus the signal's number if one ended it; None while it runs."""
        return self._process.returncode

    async def wait(self) -> int:
        """Wait for its end; returns the status."""
        return await self._process.wait()

    async def stop(self, patience_seconds: float) -> None:
        """SIGTERM, and SIGKILL to its whole group if that does not end it in time."""
        with suppress(ProcessLookupError):
            self._process.terminate()
        try:
            await asyncio.wait_for(self._process.wait(), patience_seconds)
        except TimeoutError:
            os.killpg(self.pid, signal.SIGKILL)
            await self._process.wait()

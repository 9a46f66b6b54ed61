"""Runs a command that dies with the thread that started it, even when that ends by SIGKILL.

    python -m sparring.ops.guard [--append-to FILE] COMMAND [ARGUMENT ...]

What the command prints goes to the file, if one is named. The kernel is asked for the signal (PR_SET_PDEATHSIG),
then the command takes over this process, keeping its pid. The request outlives the exec. It isn't inherited, so a
command that starts others guards those as well.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def die_with_parent() -> None:
    """Ask for SIGKILL at the death of the parent, which must be alive.

    Raises:
        OSError: the kernel refused.
    """
    parent = os.getppid()
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG) failed")
    if os.getppid() != parent:
        sys.exit("the process that started this one has died already")


def main(arguments: list[str]) -> None:
    """Become the command in `arguments`."""
    if sys.platform == "linux":
        die_with_parent()
    if arguments[0] == "--append-to":
        file = os.open(arguments[1], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        os.dup2(file, 1)
        os.dup2(file, 2)
        arguments = arguments[2:]
    os.execvp(arguments[0], arguments)


if __name__ == "__main__":
    main(sys.argv[1:])

"""The environment of child processes: one thread budget shared out, nothing looked up on the network."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path


def share_threads(budget: int, processes: int) -> int:
    """Threads for each of `processes` that work at the same time; at least one."""
    return max(1, budget // processes)


def child_environment(threads: int, bases: Iterable[str]) -> Mapping[str, str]:
    """Variables for one child.

    Args:
        threads: for its numerical libraries.
        bases: folders or hub ids of the models it opens; if all are folders, the hub is not asked for anything.
    """
    variables = {
        "OMP_NUM_THREADS": str(threads),
        "MKL_NUM_THREADS": str(threads),
        "OPENBLAS_NUM_THREADS": str(threads),
        # A thread that waits must not spin: with a few cores it would take them from the other processes.
        "OMP_WAIT_POLICY": "PASSIVE",
        "TOKENIZERS_PARALLELISM": "false",
        "PYTHONUNBUFFERED": "1",
        # A crash below Python leaves its traceback in the log.
        "PYTHONFAULTHANDLER": "1",
    }
    if all(Path(base).is_dir() for base in bases):
        variables["HF_HUB_OFFLINE"] = "1"
    if not has_gpu():
        variables["DS_ACCELERATOR"] = "cpu"
    return variables


def has_gpu() -> bool:
    """Whether CUDA devices are there to be used; cheaper than importing torch to ask."""
    hidden = os.environ.get("CUDA_VISIBLE_DEVICES", "all") in ("", "-1")
    return not hidden and (shutil.which("nvidia-smi") is not None or Path("/dev/nvidia0").exists())

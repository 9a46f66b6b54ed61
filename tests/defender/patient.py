"""A process that serves a defender which takes its time: `python patient.py CONFIG`, the configuration as JSON.

A batch ends when a line comes in.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from sparring.defender.config import DefenderConfig
from sparring.defender.service import serve_policy
from sparring.policies.config import AnswerSampling
from sparring.policies.policy import Ask, Reply


class Patient:
    """Answers as many lines of its input as there were batches."""

    def rollout(self, acts: Sequence[Ask], sampling: AnswerSampling, name: str) -> list[list[Reply]]:
        print("entered", flush=True)
        text = sys.stdin.readline().strip()
        reply = Reply(text, np.zeros(1, np.int32), np.zeros(1, np.float32), finished=True)
        return [[reply] * act.count for act in acts]

    def install(self, name: str, folder: Path) -> None:
        raise NotImplementedError("only the base is served")

    def remove(self, name: str) -> None:
        raise NotImplementedError("only the base is served")


asyncio.run(serve_policy(Patient(), DefenderConfig.model_validate_json(sys.argv[1])))

"""What a match needs of whoever answers, be it our defender or somebody else's model."""

from __future__ import annotations

from typing import Protocol

from sparring.referee.opponents import Answers
from sparring.v1 import defender_pb2, revision_pb2


class Target(Protocol):
    """Answers questions about images."""

    async def answer(
        self,
        image: bytes,
        prompt: str,
        revision: revision_pb2.Revision,
        count: int,
        seed: int,
        sampling: defender_pb2.AnswerSampling,
    ) -> Answers:
        """`count` answers about an encoded image.

        Raises:
            OpponentError: there were none; that says nothing about what the target knows.
        """
        ...

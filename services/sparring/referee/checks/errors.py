"""What can be wrong with what is asked of a check."""

from __future__ import annotations


class UnknownCheck(LookupError):
    """There is no check of that id, or it is somebody else's."""

    def __init__(self, check_id: str) -> None:
        super().__init__(f"there is no check {check_id!r} of yours; list them to see those that there are")


class OtherCheck(ValueError):
    """A request id that has been used for another check."""


class NotEnded(ValueError):
    """Something that only a check that has ended can give or bear."""


class Elsewhere(ValueError):
    """A check that another referee on the same storage is playing."""

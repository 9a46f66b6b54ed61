"""How many more answers a check may ask its target for."""

from __future__ import annotations

from dataclasses import dataclass


class Enough(Exception):
    """The next sample could ask for more answers than are left."""


@dataclass
class Allowance:
    """Answers that are left; None is no end of them."""

    left: int | None = None

    def reserve(self, answers: int) -> None:
        """Set aside what a sample may ask for at most.

        Raises:
            Enough: there is less left.
        """
        if self.left is None:
            return
        if answers > self.left:
            raise Enough(f"a sample may ask for {answers} answers, and {self.left} are left")
        self.left -= answers

    def give_back(self, answers: int) -> None:
        """Return what was not asked for."""
        if self.left is not None:
            self.left += answers

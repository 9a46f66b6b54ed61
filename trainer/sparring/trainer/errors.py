"""What can go wrong in a trainer.

TrainerError
├── Busy      another trainer has the phase
├── Starved   no group came for too long
├── Mismatch  service and trainer disagree about log-probabilities
├── Diverged  a gradient is not finite
└── Unusable  the ledger, or the dataset, lacks what an act is learnt from

Whatever is raised, nothing is half done: a step exists when its manifest exists.
"""

from __future__ import annotations


class TrainerError(Exception):
    """Base of all errors of the trainer."""


class Busy(TrainerError):
    """Another process trains this phase."""


class Starved(TrainerError):
    """No group came for too long."""


class Mismatch(TrainerError):
    """Service and trainer disagree about the log-probability of the same act under the same weights."""


class Diverged(TrainerError):
    """The gradient is not finite, so the weights would not be."""


class Unusable(TrainerError):
    """An act came without what it is learnt from."""

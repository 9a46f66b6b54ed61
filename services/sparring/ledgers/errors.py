"""What can go wrong in a ledger.

LedgerError
├── InvalidName          a campaign, role or revision is not named as the ledgers name them
├── EpisodeError
│   ├── InvalidGroup     a group that must not be appended
│   └── CorruptRow       a row that does not decode
├── WeightsError
│   ├── UnknownRevision  no manifest of that name
│   ├── RevisionExists   somebody else published that number
│   ├── CorruptRevision  a file is not what its manifest says
│   ├── ExpiredRevision  its tensors were dropped
│   └── ForbiddenFile    a file that a revision may not contain
└── JournalError
    ├── CorruptJournal   a line that is no entry
    └── JournalLocked    another conductor has the campaign
"""

from __future__ import annotations


class LedgerError(Exception):
    """Base of all errors of the ledgers."""


class InvalidName(LedgerError, ValueError):
    """A name that could not be written into a path or found again."""


class EpisodeError(LedgerError):
    """The episode ledger."""


class InvalidGroup(EpisodeError, ValueError):
    """A group whose rows do not belong together, or that lacks some."""


class WeightsError(LedgerError):
    """The weights ledger."""


class UnknownRevision(WeightsError, LookupError):
    """There is no manifest of that name."""


class RevisionExists(WeightsError):
    """The number is taken: whoever lost the race is not the campaign's trainer any more."""


class CorruptRevision(WeightsError):
    """A file differs from its manifest, or the manifest from the digest that was asked for."""


class ExpiredRevision(WeightsError):
    """The manifest is there and the tensors are not."""


class ForbiddenFile(WeightsError, ValueError):
    """A file of a kind that is never published nor fetched, above all one that runs code when it is opened."""


class JournalError(LedgerError):
    """The journal of a campaign."""


class CorruptJournal(JournalError):
    """A line, and not a torn last one, that is no entry."""


class JournalLocked(JournalError):
    """Another process conducts this campaign."""

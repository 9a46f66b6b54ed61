"""What can go wrong above the services.

OpsError
├── UserError            one line for whoever typed the command: what is wrong and what to do
│   ├── InvalidConfig    a setting that is unknown or has a wrong value
│   └── NoCampaign       a folder without a campaign, or with another one
├── ProcessFailed        a process died for good; carries the end of its log
├── Starved              nothing that is played can be learnt from
└── PlayFailed           the services answer, and every match fails
"""

from __future__ import annotations


class OpsError(Exception):
    """Base of all errors of this room. Its text is fit to be shown."""


class UserError(OpsError):
    """A mistake in what was asked for."""


class InvalidConfig(UserError):
    """Names the key, where it was set, and what would be right."""


class NoCampaign(UserError):
    """There is nothing to resume or to report on."""


class ProcessFailed(OpsError):
    """Names the process, its exit status and its last log lines."""


class Starved(OpsError):
    """Says what was played and why none of it is of use."""


class PlayFailed(OpsError):
    """Says what the referee answered last."""

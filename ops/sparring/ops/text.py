"""Numbers as people read them."""

from __future__ import annotations

from sparring.ledgers.entries import Share

_MINUS = "\N{MINUS SIGN}"


def percent(value: float | None, digits: int = 1) -> str:
    """A share of 0.914 as `91.4 %`; a dash where there is none."""
    return "–" if value is None else f"{100 * value:.{digits}f} %"


def interval(share: Share) -> str:
    """The interval of a share, as `90.1 – 92.6`."""
    if share.low is None or share.high is None:
        return "no observations" if share.n == 0 else "–"
    return f"{100 * share.low:.1f} – {100 * share.high:.1f}"


def points(difference: Share) -> str:
    """A difference of shares in percentage points, with its sign: `+15.2 points`."""
    return "–" if difference.value is None else f"{_signed(difference.value)} points"


def points_interval(difference: Share) -> str:
    """The interval of a difference: `+12.0 to +18.4`."""
    if difference.low is None or difference.high is None:
        return "no interval"
    return f"{_signed(difference.low)} to {_signed(difference.high)}"


def _signed(value: float) -> str:
    return f"{100 * value:+.1f}".replace("-", _MINUS)


def short(attack: str) -> str:
    """An attack's name without what is the same for all that have no model: `add` for `procedural:add`."""
    return attack.removeprefix("procedural:")


def duration(seconds: float) -> str:
    """`45 s`, `12 min`, `1 h 30 min`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"


def gibibytes(count: int) -> str:
    """Bytes as `3.1 GiB`."""
    return f"{count / 2**30:.1f} GiB"

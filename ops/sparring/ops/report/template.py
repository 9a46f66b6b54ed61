"""Pages: one file each, readable anywhere, that asks nothing of the network."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from sparring.ops.text import duration, gibibytes, interval, percent, points, points_interval


def fill(template: str, filters: Mapping[str, Callable[..., object]], **values: object) -> str:
    """The page that a template makes of some values.

    Args:
        template: its file.
        filters: those that it needs besides the common ones.
        values: what it shows; all text is escaped.
    """
    environment = Environment(
        loader=PackageLoader("sparring.ops.report", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "percent": percent,
        "range": interval,
        "points": points,
        "points_range": points_interval,
        "duration": duration,
        "gibibytes": gibibytes,
        "shorten": shorten,
        **filters,
    }
    assert environment.loader is not None
    style, _, _ = environment.loader.get_source(environment, "report.css")
    return environment.get_template(template).render(style=Markup(style), **values)


def shorten(text: str, most: int = 160) -> str:
    """The end of an answer, where its letter stands."""
    plain = " ".join(text.split())
    return plain if len(plain) <= most else "… " + plain[-most:]

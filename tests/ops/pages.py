"""What a browser would make of a page."""

from __future__ import annotations

import re
from html.parser import HTMLParser


class Page(HTMLParser):
    """Collects what a browser would fetch, and whether tags are closed."""

    void = frozenset({"meta", "link", "img", "br", "path", "use"})

    def __init__(self) -> None:
        super().__init__()
        self.fetched: list[str] = []
        self.images = 0
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.images += tag == "img"
        self.fetched += [value or "" for name, value in attrs if name in ("src", "href", "data", "action")]
        if tag not in self.void:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.void:
            assert self.open.pop() == tag


def read_page(text: str) -> Page:
    """The page, once it is certain that it is whole and fetches nothing."""
    page = Page()
    page.feed(text)
    assert page.open == []
    assert all(link.startswith("data:") for link in page.fetched)
    assert "http" not in re.sub(r'xmlns(:xlink)?="[^"]*"', "", text)
    return page

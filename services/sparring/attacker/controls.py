"""Controls that were made are kept: they depend on no trained weight, and each group of edits asks for one."""

from __future__ import annotations

import hashlib
from collections import OrderedDict


class Controls:
    """The controls used last, as PNG, by digest of the encoded original.

    Args:
        most_bytes: of all PNGs together.
    """

    def __init__(self, most_bytes: int) -> None:
        self._most, self._size = most_bytes, 0
        self._kept: OrderedDict[bytes, bytes] = OrderedDict()

    def find(self, original: bytes) -> bytes | None:
        """The control of an encoded original, if it is here."""
        key = _key(original)
        if key not in self._kept:
            return None
        self._kept.move_to_end(key)
        return self._kept[key]

    def keep(self, original: bytes, control: bytes) -> None:
        """Keep a control, and drop those that were not used for longest."""
        self._size += len(control) - len(self._kept.pop(_key(original), b""))
        self._kept[_key(original)] = control
        while self._size > self._most:
            _, dropped = self._kept.popitem(last=False)
            self._size -= len(dropped)


def _key(original: bytes) -> bytes:
    return hashlib.sha256(original).digest()

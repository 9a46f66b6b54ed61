"""What edits are compared with is kept for a while: several attacks on one sample are judged by the same control."""

from __future__ import annotations

from collections import OrderedDict
from threading import Lock

from sparring.referee.correlation import Pixels
from sparring.referee.integrity import Subject
from sparring.samples.sample import Sample

Key = tuple[str, bytes]


class Subjects:
    """The subjects used last. Safe to share between threads.

    Args:
        most_pixels: of all of them together.
    """

    def __init__(self, most_pixels: int) -> None:
        self._most, self._pixels, self._lock = most_pixels, 0, Lock()
        self._kept: OrderedDict[Key, Subject] = OrderedDict()

    def find(self, sample: Sample, image: bytes, pixels: Pixels) -> Subject:
        """A subject for a sample.

        Args:
            sample: whose targets matter.
            image: the encoded control.
            pixels: the same decoded, uint8 [height, width, 3].
        """
        key = (sample.digest, image)
        with self._lock:
            if key not in self._kept:
                self._kept[key] = Subject(pixels, sample.targets)
                self._pixels += _size(self._kept[key])
            self._kept.move_to_end(key)
            while self._pixels > self._most and len(self._kept) > 1:
                _, dropped = self._kept.popitem(last=False)
                self._pixels -= _size(dropped)
            return self._kept[key]


def _size(subject: Subject) -> int:
    height, width, _ = subject.control.shape
    return int(height * width)

"""Memory and speed of reading a benchmark from a large table.

    python benchmarks/datasets.py [--megabytes 1000] [--side 1024]

Writes HR-Bench's form into a temporary folder, each question four times with its image in base64, in every eighth row
by reference to another row (half of these to a later one), and reads it to the end, each in a process of its own. There
are eight different pictures; a few bytes behind them make every row's image its own.
"""

from __future__ import annotations

import argparse
import base64
import csv
import io
import resource
import tempfile
import time
from collections.abc import Iterator
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from PIL import Image

from sparring.samples.hrbench import HrBench

MB = 1_000_000
COLUMNS = ("index", "question", "answer", "category", "A", "B", "C", "D", "cycle_category", "image")


def images(side: int) -> list[bytes]:
    """Eight JPEG files of noise that was smoothed a little: about 0.4 bytes a pixel, as of photographs."""
    rng = np.random.default_rng(0)
    small = (rng.integers(0, 256, (side // 2 + 1, side // 2 + 1, 3), dtype=np.uint8) for _ in range(8))
    return [jpeg(Image.fromarray(pixels).resize((side, side), Image.Resampling.BICUBIC)) for pixels in small]


def jpeg(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=60)
    return buffer.getvalue()


def rows(side: int) -> Iterator[tuple[str, ...]]:
    """Rows without end."""
    pictures, index = images(side), 0
    while True:
        rotation = index % 4
        if index % 8 == 7:
            image = str(index - 1 if index % 16 == 7 else index + 1)
        else:
            image = base64.b64encode(pictures[index % 8] + index.to_bytes(8, "big")).decode()
        options = [f"{(place - rotation) % 4} cups" for place in range(4)]
        question = f"How many cups are there\nin picture {index // 4}?"
        yield str(index), question, "ABCD"[rotation], "single", *options, str(rotation), image
        index += 1


def write(path: Path, size: int, side: int) -> int:
    """Write a table of at least `size` bytes and return its rows; the last holds an image that others may refer to."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file, delimiter="\t", quoting=csv.QUOTE_ALL, lineterminator="\n")
        writer.writerow(COLUMNS)
        for count, row in enumerate(rows(side), 1):
            writer.writerow(row)
            if file.tell() >= size and count % 8 == 1:
                return count
    raise AssertionError("there is always a further row")


def read(path: Path) -> str:
    """Read a table to its end and tell what it took."""
    before = peak()
    start, cpu = time.perf_counter(), time.process_time()
    reader = HrBench(path, [path.parent])
    count = sum(1 for _ in reader)
    wall, cpu = time.perf_counter() - start, time.process_time() - cpu
    size, report = path.stat().st_size, reader.report
    assert count == report.rows, report.skipped[:3]
    return (
        f"{count} rows, {size / MB:.0f} MB: peak memory {peak() / MB:.0f} MB (before it {before / MB:.0f} MB), "
        f"{wall:.1f} s, {count / wall:.0f} rows/s, {size / MB / wall:.1f} MB/s; by CPU alone "
        f"{cpu:.1f} s, {count / cpu:.0f} rows/s, {size / MB / cpu:.1f} MB/s"
    )


def peak() -> int:
    """The most memory that this process has held, bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megabytes", type=int, default=1000, help="size of the table")
    parser.add_argument("--side", type=int, default=1024, help="of the square images, pixels")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "table.tsv")
        # A process inherits the peak of the one that starts it, so this one must stay small.
        with get_context("spawn").Pool(1, maxtasksperchild=1) as pool:
            count = pool.apply(write, (path, options.megabytes * MB, options.side))
            print(f"written: {count} rows with {options.side} px images")
            print(pool.apply(read, (path,)))


if __name__ == "__main__":
    main()

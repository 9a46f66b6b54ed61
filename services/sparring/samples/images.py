"""Encoded images from outside become pixels here and nowhere else.

Whoever sends an image may send anything. So the kind is read from the first bytes and is one of three, the size is
read from the header before anything is allocated, and whatever goes wrong after that is a `BadImage`.
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image
from PIL.ImageFile import ImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.WebPImagePlugin import WebPImageFile

Reason = Literal["bytes", "format", "pixels", "frames", "broken"]

_BROKEN = (OSError, SyntaxError, ValueError, EOFError, IndexError, KeyError, TypeError, struct.error, zlib.error)
"""What Pillow raises on damaged data (a NUL in a text chunk, an EXIF offset past the end, ...)."""
_KINDS: dict[Callable[[io.BytesIO], ImageFile], str] = {
    PngImageFile: "image/png",
    JpegImageFile: "image/jpeg",
    WebPImageFile: "image/webp",
}
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What undoes each EXIF orientation."""
_RUN_LENGTH = 3
"""zlib's Z_RLE. Level 1 takes 0.6 times as long with it on a photograph, and the file is a tenth smaller."""


class BadImage(ValueError):
    """An image that is not accepted.

    Attributes:
        reason: `bytes` (the file is too large), `format` (neither PNG, JPEG nor WEBP), `pixels` (too many, or none),
            `frames` (an animation), `broken` (truncated or damaged).
    """

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason: Reason = reason


def decode(data: bytes, *, max_pixels: int, max_bytes: int) -> NDArray[np.uint8]:
    """Pixels of a PNG, JPEG or WEBP file: uint8 [height, width, 3], RGB, turned upright as its EXIF says.

    Transparent pixels are shown on white; 16-bit grey is reduced to 8.

    Args:
        data: the file.
        max_pixels: largest width x height.
        max_bytes: largest file.

    Raises:
        BadImage: see `BadImage.reason`.
    """
    if len(data) > max_bytes:
        raise BadImage("bytes", f"the image has {len(data)} bytes; at most {max_bytes} are accepted")
    opener = _opener(data)
    try:
        with opener(io.BytesIO(data)) as image:
            _check(image, max_pixels)
            image.load()
            return np.asarray(_rgb(_upright(image)))
    except BadImage:
        raise
    except Image.DecompressionBombError as error:
        raise BadImage("pixels", str(error)) from error
    except _BROKEN as error:
        raise BadImage("broken", f"the image is truncated or damaged: {error}") from error


def media_type(data: bytes) -> str:
    """What kind of file an accepted image is, as HTTP and data URLs name it.

    Raises:
        BadImage: none that is accepted.
    """
    return _KINDS[_opener(data)]


def _opener(data: bytes) -> Callable[[io.BytesIO], ImageFile]:
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return PngImageFile
    if data.startswith(b"\xff\xd8\xff"):
        return JpegImageFile
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return WebPImageFile
    raise BadImage("format", f"the image is neither PNG, JPEG nor WEBP: it begins with {data[:12]!r}")


def _check(image: ImageFile, max_pixels: int) -> None:
    width, height = image.size
    if not 0 < width * height <= max_pixels:
        raise BadImage("pixels", f"the image has {width} x {height} pixels; from 1 to {max_pixels} are accepted")
    frames = int(getattr(image, "n_frames", 1))
    if frames != 1:
        raise BadImage("frames", f"the image is an animation of {frames} frames; send one")


def _upright(image: Image.Image) -> Image.Image:
    """`ImageOps.exif_transpose` without its writing the EXIF back, which fails where an unrelated tag is damaged."""
    turn = _TURNS.get(image.getexif().get(ExifTags.Base.Orientation, 1))
    return image if turn is None else image.transpose(turn)


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):
        return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8)).convert("RGB")
    if not image.has_transparency_data:
        # To convert what is RGB would copy it.
        return image if image.mode == "RGB" else image.convert("RGB")
    layer = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer).convert("RGB")


def encode_png(pixels: NDArray[np.uint8]) -> bytes:
    """Encode uint8 [height, width, 3] as PNG, lossless; equal pixels give equal bytes."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", compress_level=1, compress_type=_RUN_LENGTH)
    return buffer.getvalue()

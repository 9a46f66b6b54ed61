from __future__ import annotations

import io
import struct
import zlib
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageOps

from sparring.samples.images import BadImage, decode, encode_png

RNG = np.random.default_rng(3)
PIXELS = RNG.integers(0, 256, (12, 17, 3), dtype=np.uint8)
FORMATS = ["PNG", "JPEG", "WEBP"]


def read(data: bytes) -> NDArray[np.uint8]:
    return decode(data, max_pixels=10_000, max_bytes=1_000_000)


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def reason(data: bytes) -> str:
    with pytest.raises(BadImage) as caught:
        read(data)
    return caught.value.reason


@given(arrays(np.uint8, st.tuples(st.integers(1, 20), st.integers(1, 20), st.just(3))))
def test_png_is_lossless(pixels: NDArray[np.uint8]) -> None:
    np.testing.assert_array_equal(read(encode_png(pixels)), pixels)
    assert encode_png(pixels) == encode_png(pixels.copy())


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("orientation", [None, *range(1, 9), 0, 77])
def test_turned_upright(kind: str, orientation: int | None) -> None:
    exif = Image.Exif()
    if orientation is not None:
        exif[ExifTags.Base.Orientation] = orientation
    data = encoded(Image.fromarray(PIXELS), kind, exif=exif)
    with Image.open(io.BytesIO(data)) as image:
        expected = np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
    np.testing.assert_array_equal(read(data), expected)


def test_transparency_is_shown_on_white() -> None:
    layer = np.dstack([PIXELS, np.tile(np.array([0, 128, 255], np.uint8), (12, 6))[:, :17]])
    alpha = layer[..., 3:] / 255
    shown = read(encoded(Image.fromarray(layer), "PNG"))
    np.testing.assert_allclose(shown, PIXELS * alpha + 255 * (1 - alpha), atol=1)


def test_palette_grey_and_deep_images() -> None:
    grey = PIXELS[..., 0]
    expected = np.repeat(grey[..., None], 3, axis=2)
    np.testing.assert_array_equal(read(encoded(Image.fromarray(grey), "PNG")), expected)
    np.testing.assert_array_equal(read(encoded(Image.fromarray(grey).convert("P"), "PNG")), expected)
    np.testing.assert_array_equal(read(encoded(Image.fromarray(grey.astype(np.uint16) << 8 | 0x7F), "PNG")), expected)
    cut = encoded(Image.fromarray(grey).convert("P"), "PNG", transparency=int(grey[0, 0]))
    assert (read(cut)[grey == grey[0, 0]] == 255).all()
    bilevel = Image.fromarray(grey > 127)
    np.testing.assert_array_equal(read(encoded(bilevel, "PNG"))[..., 1] == 255, grey > 127)
    flat = Image.new("CMYK", (8, 8), (0, 255, 255, 0))
    assert read(encoded(flat, "JPEG"))[4, 4].tolist() == pytest.approx([255, 0, 0], abs=3)


@pytest.mark.parametrize("kind", ["GIF", "BMP", "TIFF", "PPM", "ICO"])
def test_other_formats_are_refused(kind: str) -> None:
    assert reason(encoded(Image.fromarray(PIXELS), kind)) == "format"


@pytest.mark.parametrize("data", [b"", b"\x89PNG", b"<svg/>", b"%PDF-1.7", b"RIFF\0\0\0\0WAVEfmt "])
def test_what_is_no_image_is_refused(data: bytes) -> None:
    assert reason(data) == "format"


def test_a_large_file_is_refused_unread() -> None:
    with pytest.raises(BadImage, match="at most 10 ") as caught:
        decode(encode_png(PIXELS), max_pixels=10_000, max_bytes=10)
    assert caught.value.reason == "bytes"


def _chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def _png_bomb(side: int) -> bytes:
    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + _chunk(b"IDAT", zlib.compress(bytes(1_000_000)))


def _webp_bomb(side: int) -> bytes:
    body = b"\0\0\0\0" + 2 * (side - 1).to_bytes(3, "little")
    return b"RIFF" + struct.pack("<I", 22) + b"WEBPVP8X" + struct.pack("<I", 10) + body


def _jpeg_bomb(side: int) -> bytes:
    data = bytearray(encoded(Image.fromarray(PIXELS), "JPEG"))
    at = data.index(b"\xff\xc0") + 5
    data[at : at + 4] = struct.pack(">HH", side, side)
    return bytes(data)


@pytest.mark.parametrize(
    "bomb", [_png_bomb(60_000), _png_bomb(101), _jpeg_bomb(65_535), _jpeg_bomb(101), _webp_bomb(1 << 24)]
)
def test_a_bomb_is_refused_by_its_header(bomb: bytes) -> None:
    assert reason(bomb) == "pixels"


def test_a_compressed_text_bomb_is_refused() -> None:
    text = _chunk(b"zTXt", b"k\0\0" + zlib.compress(bytes(100_000_000), 9))
    whole = encode_png(PIXELS)
    assert reason(whole[:33] + text + whole[33:]) == "broken"


@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
def test_an_animation_is_refused(kind: str) -> None:
    frames = [Image.fromarray(PIXELS), Image.fromarray(255 - PIXELS)]
    assert reason(encoded(frames[0], kind, save_all=True, append_images=frames[1:])) == "frames"


@pytest.mark.parametrize("kind", FORMATS)
def test_a_truncated_image_is_refused_or_whole(kind: str) -> None:
    data = encoded(Image.fromarray(PIXELS), kind)
    whole = read(data)
    for length in range(len(data)):
        with suppress(BadImage):
            np.testing.assert_array_equal(read(data[:length]), whole)
    assert reason(data[: len(data) // 2]) == "broken"


def _damaged() -> list[bytes]:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    exif[ExifTags.Base.ImageDescription] = "picture"
    image = Image.fromarray(PIXELS)
    plain = [encoded(image, kind, exif=exif) for kind in FORMATS]
    return [*plain, encoded(image.convert("P"), "PNG", transparency=3), encoded(image.convert("CMYK"), "JPEG")]


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
@settings(max_examples=400, deadline=None)
@given(
    st.sampled_from(_damaged()), st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), max_size=6)
)
def test_damage_is_survived_or_named(data: bytes, damage: list[tuple[float, int]]) -> None:
    harmed = bytearray(data)
    for place, value in damage:
        harmed[int(place**2 * len(harmed))] = value
    try:
        pixels = read(bytes(harmed))
    except BadImage:
        return
    assert pixels.dtype == np.uint8
    assert pixels.ndim == 3
    assert pixels.shape[2] == 3

# SPDX-License-Identifier: GPL-3.0-or-later
"""Portrait files: every mode upright and in 8-bit sRGB, and what is no picture."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from backend_samples import fault_of
from PIL import Image

from backend.portrait.image import MOST_PIXELS, SMALLEST_SIDE, read_image

pytestmark = pytest.mark.unit


def saved(picture: Image.Image, path: Path, **choices: object) -> Path:
    picture.save(path, **choices)
    return path


def test_exif_rotation_is_honoured(tmp_path: Path) -> None:
    pixels = np.zeros((80, 120, 3), np.uint8)
    pixels[:, :60] = (250, 0, 0)
    exif = Image.Exif()
    exif[0x0112] = 6  # turn a quarter clockwise
    image = read_image(saved(Image.fromarray(pixels), tmp_path / "turned.png", exif=exif))
    assert image.shape == (120, 80, 3)
    assert tuple(image[10, 40]) == (250, 0, 0) and tuple(image[110, 40]) == (0, 0, 0)


def test_transparency_lies_over_grey(tmp_path: Path) -> None:
    pixels = np.zeros((70, 70, 4), np.uint8)
    pixels[:35] = (200, 100, 50, 255)
    image = read_image(saved(Image.fromarray(pixels), tmp_path / "alpha.png"))
    assert tuple(image[5, 5]) == (200, 100, 50) and tuple(image[60, 5]) == (128, 128, 128)


@pytest.mark.parametrize("kind", [np.uint16, np.int32, np.float32])
def test_deep_greys(tmp_path: Path, kind: type) -> None:
    ramp = np.linspace(0, 1, 70, dtype=np.float64)
    values = ramp if kind is np.float32 else ramp * 65535
    image = read_image(saved(Image.fromarray(np.tile(values, (70, 1)).astype(kind)), tmp_path / "deep.tiff"))
    assert image.dtype == np.uint8 and image[0, 0, 0] == 0 and image[0, -1, 0] == 255
    assert abs(int(image[0, 35, 0]) - 129) <= 1


def test_sixteen_bit_colour(tmp_path: Path) -> None:
    rows = b"".join(b"\0" + struct.pack(">HHH", 65535, 32896, 0) * 70 for _ in range(70))

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 70, 70, 16, 2, 0, 0, 0)
    path = tmp_path / "deep.png"
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))
    assert tuple(read_image(path)[3, 3]) == (255, 128, 0)


def test_other_modes(tmp_path: Path) -> None:
    red = Image.new("RGB", (70, 70), (255, 0, 0))
    cmyk = read_image(saved(red.convert("CMYK"), tmp_path / "cmyk.jpg", quality=95))
    assert cmyk.shape == (70, 70, 3) and cmyk[5, 5, 0] > 200 and cmyk[5, 5, 1] < 40
    assert read_image(saved(red.convert("P"), tmp_path / "palette.gif")).shape == (70, 70, 3)
    assert read_image(saved(red.convert("1"), tmp_path / "bits.png")).shape == (70, 70, 3)
    frames = [Image.new("RGB", (70, 70), colour) for colour in ((10, 20, 30), (200, 0, 0))]
    animated = saved(frames[0], tmp_path / "moving.webp", save_all=True, append_images=frames[1:], lossless=True)
    assert tuple(read_image(animated)[5, 5]) == (10, 20, 30)


def test_too_small_and_too_large(tmp_path: Path) -> None:
    dot = saved(Image.new("RGB", (1, 1)), tmp_path / "dot.png")
    fault = fault_of(lambda: read_image(dot))
    assert fault.code == "image-too-small" and str(SMALLEST_SIDE) in fault.sentence
    huge = saved(Image.new("1", (10000, 10000)), tmp_path / "huge.png")
    fault = fault_of(lambda: read_image(huge))
    assert fault.code == "image-too-large" and "10000 x 10000" in fault.sentence and MOST_PIXELS < 100_000_000
    bomb = saved(Image.new("1", (20000, 20000)), tmp_path / "bomb.png")
    assert fault_of(lambda: read_image(bomb)).code == "image-too-large"


def test_what_is_no_picture(tmp_path: Path) -> None:
    text = tmp_path / "portrait.png"
    text.write_text("not a picture")
    assert fault_of(lambda: read_image(text)).code == "image-unreadable"
    assert fault_of(lambda: read_image(tmp_path / "gone.png")).code == "image-missing"
    assert fault_of(lambda: read_image(tmp_path)).code == "image-unreadable"
    whole = saved(Image.fromarray(np.random.default_rng(0).integers(0, 255, (90, 90, 3), np.uint8)), tmp_path / "whole.png")
    broken = tmp_path / "broken.png"
    broken.write_bytes(whole.read_bytes()[:5000])
    assert fault_of(lambda: read_image(broken)).code == "image-unreadable"

# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading the portrait: any common picture file to upright 8-bit sRGB."""

from __future__ import annotations

import io
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bridge.faults import Fault

MOST_PIXELS = 50_000_000  # decoded this is 150 MB; H.264 players give up far below
SMALLEST_SIDE = 64
BACKDROP = 128  # grey behind transparent parts
_HINT = "Use a png, jpg, webp, tiff or bmp picture that opens elsewhere."


def read_image(path: str | Path) -> NDArray[np.uint8]:
    """The picture as (height, width, 3) uint8 sRGB.

    Turned as its EXIF note says, transparent parts over neutral grey, 16-bit and float pictures scaled, CMYK and other
    colour profiles converted, the first frame of an animation. Raises Fault ``image-missing``, ``image-unreadable``,
    ``image-too-small`` or ``image-too-large`` (before decoding it).
    """
    from PIL import Image, ImageOps, UnidentifiedImageError

    path = Path(path)
    if path.is_dir():
        raise Fault("image-unreadable", f"{path} is a folder, not a picture.", _HINT)
    if not path.is_file():
        raise Fault("image-missing", f"There is no file {path}.", "Check the path of the portrait, or choose the file again.")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # our own limit is lower
            with Image.open(path) as picture:
                _check_size(path, picture.size)
                upright = ImageOps.exif_transpose(picture)
                return _to_rgb(upright)
    except Image.DecompressionBombError:
        raise _too_large(path, "far more than") from None
    except UnidentifiedImageError:
        raise Fault("image-unreadable", f"{path.name} is not a picture.", _HINT) from None
    except (OSError, SyntaxError, ValueError, EOFError) as error:
        raise Fault("image-unreadable", f"{path.name} cannot be read as a picture ({error}).", _HINT) from None


def _check_size(path: Path, size: tuple[int, int]) -> None:
    width, height = size
    if width * height > MOST_PIXELS:
        raise _too_large(path, f"{width} x {height} pixels, more than")
    if min(size) < SMALLEST_SIDE:
        raise Fault(
            "image-too-small",
            f"{path.name} is {width} x {height} pixels; each side must have at least {SMALLEST_SIDE}.",
            "Use a larger picture, in which the face is some 100 pixels wide or more.",
        )


def _too_large(path: Path, size: str) -> Fault:
    sentence = f"{path.name} has {size} the {MOST_PIXELS // 1_000_000} megapixels that can be worked with."
    return Fault("image-too-large", sentence, "Scale it down; 1000 to 4000 pixels on the long side are plenty.")


def _to_rgb(picture: Any) -> NDArray[np.uint8]:
    from PIL import Image

    if picture.mode in ("I", "F") or picture.mode.startswith("I;16"):
        return _scaled_grey(np.asarray(picture))
    picture = _in_srgb(picture)
    if picture.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in picture.info:
        layer = picture.convert("RGBA")
        backdrop = Image.new("RGBA", layer.size, (BACKDROP, BACKDROP, BACKDROP, 255))
        picture = Image.alpha_composite(backdrop, layer)
    return np.array(picture.convert("RGB"), np.uint8)


def _scaled_grey(values: NDArray[Any]) -> NDArray[np.uint8]:
    """16-bit, 32-bit and float greyscale as 8-bit, (height, width, 3)."""
    values = np.nan_to_num(values.astype(np.float64))
    if values.max() <= 1.0:
        values = values * 255
    elif values.max() > 255:
        values = values / 257
    grey = np.clip(np.round(values), 0, 255).astype(np.uint8)
    return np.repeat(grey[..., None], 3, axis=2)


def _in_srgb(picture: Any) -> Any:
    """Colours of an embedded profile (Adobe RGB, Display P3, a printer's CMYK) turned into sRGB; as it is without one."""
    from PIL import ImageCms

    profile = picture.info.get("icc_profile")
    if not profile or picture.mode not in ("RGB", "CMYK", "L"):
        return picture
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        return ImageCms.profileToProfile(picture, source, ImageCms.createProfile("sRGB"), outputMode="RGB")
    except (ImageCms.PyCMSError, OSError, ValueError):
        return picture  # a damaged profile is no reason to refuse the picture

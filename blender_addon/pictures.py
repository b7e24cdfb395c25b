# SPDX-License-Identifier: GPL-3.0-or-later
"""Rendered frames as images in Blender: the preview frame, the frames of a render as they come, the live picture.

They are generated images, never saved with the file unless the person packs them.
"""

from __future__ import annotations

import bpy
import numpy as np
from numpy.typing import NDArray

from . import backdrop
from .jobs import Job

PREVIEW, PROGRESS = "AUtter Preview", "AUtter Render"
Picture = NDArray[np.uint8]


def show(name: str, picture: Picture) -> bpy.types.Image:
    """The image of that name with the picture (height, width, 3) uint8, first row on top; made if absent."""
    image = _image(name, picture.shape[1], picture.shape[0])
    image.pixels.foreach_set(as_pixels(picture))
    image.update()
    return image


def as_pixels(picture: Picture) -> NDArray[np.float32]:
    """Blender's order: rows from the bottom, four floats a pixel."""
    height, width = picture.shape[:2]
    whole = np.full((height, width, 4), 255, np.uint8)
    whole[..., :3] = picture[::-1]
    return np.multiply(whole.ravel(), np.float32(1 / 255), dtype=np.float32)  # in one run: several times as fast as channel by channel


def _image(name: str, width: int, height: int) -> bpy.types.Image:
    image = bpy.data.images.get(name)
    if image is not None and (image.library is not None or image.source != "GENERATED"):
        image = None
    if image is None:
        image = bpy.data.images.new(name, width, height, alpha=False)
        image.use_fake_user = False
    elif tuple(image.size) != (width, height):
        image.scale(width, height)
    return image


def in_image_editors(image: bpy.types.Image) -> int:
    """Shows the image in image editors that are empty or already show one of ours; how many."""
    shown = 0
    for window in bpy.context.window_manager.windows:
        for area in window.screen.areas:
            space = area.spaces.active
            if area.type == "IMAGE_EDITOR" and (space.image is None or space.image.name in (PREVIEW, PROGRESS)):
                space.image = image
                area.tag_redraw()
                shown += 1
    return shown


def show_progress(picture: Picture) -> None:
    """A frame of the render under way."""
    in_image_editors(show(PROGRESS, picture))


def use_preview(context: bpy.types.Context, job: Job) -> str:
    """The result of Preview Frame: over the portrait in the viewport, and in image editors."""
    image = show(PREVIEW, job.result.arrays["image"])
    actor = bpy.data.objects.get(job.origin.actor)
    over = actor is not None and backdrop.show(actor, image, job.details["frame"])
    where = [place for place, there in (("over the portrait", over), ("in the image editor", in_image_editors(image) > 0)) if there]
    return f"Frame {job.details['frame']} is rendered: {' and '.join(where) or f'image {PREVIEW}'}."

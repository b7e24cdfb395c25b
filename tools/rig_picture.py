# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs inside bpy: `python rig_picture.py ZIP SHOT.blend OUT.png`, a viewport picture of the actor at its strongest smile.

AUTTER_BACKEND_PYTHON names the backend's Python, which renders the frame behind the rig.
"""

from __future__ import annotations

import os
import sys
import traceback

import bpy
import gpu
import numpy as np

WIDTH, HEIGHT = 1600, 1200


def strongest_frame(scene: bpy.types.Scene, actor: bpy.types.Object, key: str = "AU12") -> int:
    """The frame at which an AU is highest."""

    def value(frame: int) -> float:
        scene.frame_set(frame)
        return float(actor.evaluated_get(bpy.context.evaluated_depsgraph_get())[key])

    return max(range(scene.frame_start, scene.frame_end + 1), key=value)


def front_camera(scene: bpy.types.Scene) -> bpy.types.Object:
    """A camera that sees the face from the front; the picture is drawn from it, it is not in it."""
    data = bpy.data.cameras.new("Front")
    data.type, data.ortho_scale = "ORTHO", 3.4
    camera = bpy.data.objects.new("Front", data)
    camera.location, camera.rotation_euler = (0.0, -5.0, -0.35), (np.pi / 2, 0.0, 0.0)
    scene.collection.objects.link(camera)
    bpy.context.view_layer.update()
    camera.hide_set(True)
    return camera


def draw(scene: bpy.types.Scene, camera: bpy.types.Object) -> np.ndarray:
    """The 3-D viewport as it would be seen through the camera, (height, width, 4) float32."""
    if hasattr(gpu, "init"):
        gpu.init()
    else:  # before 5.2 a render makes the graphics ready
        scene.render.engine, scene.display.render_aa = "BLENDER_WORKBENCH", "OFF"
        size = scene.render.resolution_x, scene.render.resolution_y
        scene.render.resolution_x = scene.render.resolution_y = 16
        bpy.ops.render.render(write_still=False)
        scene.render.resolution_x, scene.render.resolution_y = size
    area = next(area for area in bpy.data.screens["Layout"].areas if area.type == "VIEW_3D")
    space, region = area.spaces.active, next(region for region in area.regions if region.type == "WINDOW")
    space.overlay.show_overlays = True
    space.overlay.show_floor = space.overlay.show_axis_x = space.overlay.show_axis_y = space.overlay.show_cursor = False
    space.overlay.show_relationship_lines = False
    space.shading.type = "SOLID"
    graph = bpy.context.evaluated_depsgraph_get()
    offscreen = gpu.types.GPUOffScreen(WIDTH, HEIGHT)
    projection = camera.calc_matrix_camera(graph, x=WIDTH, y=HEIGHT)
    offscreen.draw_view3d(
        scene, bpy.context.view_layer, space, region, camera.matrix_world.inverted(), projection, do_color_management=True
    )
    buffer = offscreen.texture_color.read()
    buffer.dimensions = WIDTH * HEIGHT * 4
    pixels = np.array(buffer, dtype=np.float32).reshape(HEIGHT, WIDTH, 4)
    return pixels / (255.0 if pixels.max() > 1.5 else 1.0)


def save(pixels: np.ndarray, path: str) -> None:
    """Write a PNG."""
    image = bpy.data.images.new("viewport", WIDTH, HEIGHT)
    pixels[..., 3] = 1.0
    image.pixels.foreach_set(pixels.ravel())
    image.filepath_raw, image.file_format = path, "PNG"
    image.save()


def main(zip_path: str, blend: str, out: str) -> None:
    """Install, open, pose, draw, save."""
    bpy.ops.extensions.package_install_files(filepath=zip_path, repo="user_default", enable_on_install=True, overwrite=True)
    bpy.ops.wm.open_mainfile(filepath=blend, load_ui=False)
    scene = bpy.context.scene
    actor = next(item for item in scene.objects if item.type == "ARMATURE")
    scene.frame_set(strongest_frame(scene, actor))
    bpy.context.view_layer.objects.active = actor
    bpy.ops.object.mode_set(mode="POSE")
    bpy.ops.autter.handles(regions={"mouth", "jaw", "brows"}, on=True)
    bpy.ops.autter.preview_frame(wait=True)  # behind the rig the picture that it makes
    save(draw(scene, front_camera(scene)), out)


if __name__ == "__main__":
    status = 1
    try:
        main(*sys.argv[1:4])
        status = 0
    except Exception:
        traceback.print_exc()
    bpy.ops.preferences.addon_disable(module="bl_ext.user_default.autter")  # ends the backend
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)

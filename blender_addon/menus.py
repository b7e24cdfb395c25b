# SPDX-License-Identifier: GPL-3.0-or-later
"""The menu AUtter: in the viewport's Object and Pose menus and the sequencer's Strip menu, and so in the search (F3)."""

from __future__ import annotations

import bpy

from . import menus_rig

# None parts the groups.
ENTRIES: tuple[tuple[str, str] | None, ...] = (
    ("autter.new_actor", "USER"),
    ("autter.new_sample_scene", "SCENE_DATA"),
    ("autter.add_voice", "SOUND"),
    None,
    ("autter.predict", "GRAPH"),
    ("autter.another_take", "FILE_REFRESH"),
    ("autter.capture", "CAMERA_DATA"),
    ("autter.import_performance", "IMPORT"),
    ("autter.export_performance", "EXPORT"),
    ("autter.key_shapes", "SHAPEKEY_DATA"),
    None,
    ("autter.preview_frame", "RENDER_STILL"),
    ("autter.render", "RENDER_ANIMATION"),
    ("autter.render_edited", "SEQUENCE"),
    ("autter.redo_take", "FILE_REFRESH"),
    ("autter.compare_takes", "ARROW_LEFTRIGHT"),
    ("autter.open_take_folder", "FILE_FOLDER"),
    ("autter.render_all", "RENDERLAYERS"),
    ("autter.export_job", "EXPORT"),
    ("autter.add_take", "IMPORT"),
    None,
    ("autter.cancel", "X"),
    ("autter.free_memory", "TRASH"),
    ("autter.backend_stop", "QUIT"),
    ("autter.copy_report", "COPYDOWN"),
)
PARENTS = ("VIEW3D_MT_object", "VIEW3D_MT_pose", "SEQUENCER_MT_strip", "SEQUENCER_MT_add")


class AUTTER_MT_main(bpy.types.Menu):
    """Everything of the tab AUtter"""

    bl_label = "AUtter"

    def draw(self, context: bpy.types.Context) -> None:
        """An entry an operator; greyed out ones say why."""
        for menu in menus_rig.CLASSES:
            self.layout.menu(menu.__name__)
        self.layout.separator()
        for entry in ENTRIES:
            if entry is None:
                self.layout.separator()
            else:
                self.layout.operator(entry[0], icon=entry[1])


def _draw_entry(menu: bpy.types.Menu, context: bpy.types.Context) -> None:
    menu.layout.separator()
    menu.layout.menu("AUTTER_MT_main", icon="USER")


def _draw_new_actor(menu: bpy.types.Menu, context: bpy.types.Context) -> None:
    menu.layout.operator("autter.new_actor", text="Talking Portrait", icon="USER")


def register() -> None:
    """Appends the menu where it belongs."""
    for name in PARENTS:
        parent = getattr(bpy.types, name, None)
        if parent is not None:
            parent.append(_draw_entry)
    bpy.types.VIEW3D_MT_add.append(_draw_new_actor)


def unregister() -> None:
    """Takes it out again."""
    for name in PARENTS:
        parent = getattr(bpy.types, name, None)
        if parent is not None:
            parent.remove(_draw_entry)
    bpy.types.VIEW3D_MT_add.remove(_draw_new_actor)


CLASSES = (*menus_rig.CLASSES, AUTTER_MT_main)

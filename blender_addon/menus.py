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
    ("autter.use_strip_as_voice", "SOUND"),
    None,
    ("autter.predict", "GRAPH"),
    ("autter.another_take", "FILE_REFRESH"),
    ("autter.capture", "CAMERA_DATA"),
    ("autter.import_performance", "IMPORT"),
    ("autter.import_aus", "IMPORT"),
    ("autter.export_performance", "EXPORT"),
    ("autter.key_shapes", "SHAPEKEY_DATA"),
    None,
    ("autter.preview_frame", "RENDER_STILL"),
    ("autter.show_portrait", "IMAGE_DATA"),
    ("autter.forget_live_pictures", "TRASH"),
    ("autter.render", "RENDER_ANIMATION"),
    ("autter.render_edited", "SEQUENCE"),
    ("autter.redo_take", "FILE_REFRESH"),
    ("autter.restore_take", "RECOVER_LAST"),
    ("autter.choose_take", "RESTRICT_SELECT_OFF"),
    ("autter.compare_takes", "ARROW_LEFTRIGHT"),
    ("autter.open_take_folder", "FILE_FOLDER"),
    ("autter.render_all", "RENDERLAYERS"),
    ("autter.export_job", "EXPORT"),
    ("autter.add_take", "IMPORT"),
    ("autter.run_again", "FILE_REFRESH", "Run Unfinished Jobs Again"),
    ("autter.forget_lost", "X", "Forget Unfinished Jobs"),
    None,
    ("autter.cancel", "X"),
    ("autter.free_memory", "TRASH"),
    ("autter.backend_start", "PLAY"),
    ("autter.backend_stop", "QUIT"),
    ("autter.setup_backend", "IMPORT"),
    ("autter.cancel_setup", "X"),
    ("autter.repair_backend", "TOOL_SETTINGS"),
    ("autter.uninstall_backend", "TRASH"),
    ("autter.copy_report", "COPYDOWN"),
    ("autter.clear_report", "X", "Dismiss Report"),
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
                self.layout.operator(entry[0], icon=entry[1], **({"text": entry[2]} if len(entry) > 2 else {}))


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

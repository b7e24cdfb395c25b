# SPDX-License-Identifier: GPL-3.0-or-later
"""Preferences: where the backend lives, here or on another computer, how much it logs, where takes go."""

from __future__ import annotations

import bpy
from bpy.props import BoolProperty, EnumProperty, StringProperty

from .bridge import paths

LOG_LEVELS = (
    ("WARNING", "Warnings", "Only what goes wrong"),
    ("INFO", "Normal", "What the backend does"),
    ("DEBUG", "Everything", "For reports of errors that nobody understands"),
)


class AutterPreferences(bpy.types.AddonPreferences):
    """Settings of this computer, not of a file."""

    bl_idname = __package__

    backend_python: StringProperty(
        name="Backend Python",
        description="Python of the environment that holds AUtter's backend. Empty: $AUTTER_BACKEND_PYTHON, else AUtter's own environment",
        subtype="FILE_PATH",
    )
    remote: BoolProperty(
        name="Backend on Another Computer",
        description="Use a backend that `serve --remote` runs elsewhere, through an SSH tunnel; portrait, voice and movie travel",
        default=False,
    )
    remote_address: StringProperty(name="Tunnel", description="Where the SSH tunnel ends on this computer", default="127.0.0.1:47001")
    remote_token: StringProperty(
        name="Token", description="What `serve --remote` printed as token; it is not saved", subtype="PASSWORD", options={"SKIP_SAVE"}
    )
    log_level: EnumProperty(name="Log", description="How much the backend writes into its log", items=LOG_LEVELS, default="INFO")
    output_folder: StringProperty(
        name="Takes", description="Where takes of an unsaved .blend go; empty: AUtter's own data folder", subtype="DIR_PATH"
    )

    def draw(self, context: bpy.types.Context) -> None:
        """The backend's place and whether it is there."""
        layout = self.layout
        layout.use_property_split = True
        layout.prop(self, "backend_python")
        found = paths.backend_python(self.backend_python)
        row = layout.row()
        row.label(text=str(found), icon="CHECKMARK" if found.is_file() else "ERROR")
        row.operator("autter.backend_start", text="Test")
        row = layout.row(align=True)
        for name in ("setup", "repair", "uninstall"):
            row.operator(f"autter.{name}_backend")
        self._draw_remote(layout)
        layout.prop(self, "log_level")
        layout.prop(self, "output_folder")

    def _draw_remote(self, layout: bpy.types.UILayout) -> None:
        layout.prop(self, "remote")
        if self.remote:
            box = layout.box()
            box.prop(self, "remote_address")
            box.prop(self, "remote_token")
            box.label(text="There: python -m backend serve --remote --port 47001", icon="INFO")
            box.label(text="Here: ssh -N -L 127.0.0.1:47001:127.0.0.1:47001 USER@THERE", icon="BLANK1")


def preferences() -> AutterPreferences | None:
    """The add-on's preferences; None while it is being enabled or runs outside an add-on list."""
    addon = bpy.context.preferences.addons.get(__package__)
    return addon.preferences if addon else None


CLASSES = (AutterPreferences,)

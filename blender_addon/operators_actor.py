# SPDX-License-Identifier: GPL-3.0-or-later
"""Operators that make an actor and that key or free its AUs."""

from __future__ import annotations

from pathlib import Path

import bpy
from bpy.props import FloatProperty, IntProperty, StringProperty
from bpy_extras.io_utils import ImportHelper

from . import actors, au_keys, backend_link, compat, curves, panel_state, use_results
from .bridge.faults import Fault
from .build_actor import add_animated_properties
from .jobs import Job
from .operators_base import ActorEdit, ActorOperator, WaitingOperator, job_running, no_backend
from .reports import reporting, tell
from .rig_layout import AU_PROPERTIES, HEAD_PROPERTIES, SIDE_PROPERTIES

PICTURES = "*.png;*.jpg;*.jpeg;*.webp;*.bmp;*.tif;*.tiff"
ANIMATED = {item.key: item for item in AU_PROPERTIES + HEAD_PROPERTIES + SIDE_PROPERTIES}


def existing_file(path: str, code: str, what: str) -> Path:
    """Absolute path of a file that a person chose; a Fault if there is none."""
    found = Path(bpy.path.abspath(path)) if path else None
    if found is None or not found.is_file():
        raise Fault(code, f"There is no {what} at {found}." if found else f"No {what} is chosen.", "Choose a file.")
    return found


class AUTTER_OT_new_actor(WaitingOperator, bpy.types.Operator, ImportHelper):
    """Make an actor from a portrait: its landmarks are found, and a rig is laid over it"""

    bl_idname = "autter.new_actor"
    bl_label = "New Actor from Portrait"
    bl_options = {"REGISTER", "UNDO"}

    filter_glob: StringProperty(default=PICTURES, options={"HIDDEN"})
    actor_name: StringProperty(name="Name", description="Name of the actor; empty: the file's name", options={"SKIP_SAVE"})

    @classmethod
    def disabled_reason(cls, context: bpy.types.Context) -> str:
        """Needs the backend, one portrait at a time."""
        return no_backend() or job_running("portrait")

    @reporting
    def execute(self, context: bpy.types.Context) -> set[str]:
        """Asks for the landmarks; the rig is built when they arrive."""
        job = request_landmarks(context, existing_file(self.filepath, "portrait-missing", "portrait"), self.actor_name)
        if self.waits():
            tell(self, use_results.use(context, self.finish(context, job)))
        return {"FINISHED"}


def request_landmarks(context: bpy.types.Context, path: Path, name: str = "") -> Job:
    """A portrait job under way."""
    details = {"path": str(path), "name": name}
    return backend_link.start_job("portrait", lambda client: client.find_portrait(path), backend_link.origin(context.scene), details)


class ChannelOperator(ActorOperator):
    """Mixin of operators on one AU or head channel of the present actor."""

    def known_key(self) -> str:
        """The operator's ``key``, or a Fault that lists what there is."""
        if self.key not in ANIMATED:
            raise Fault("au-unknown", f'There is no AU or head channel "{self.key}".', f"Use one of {', '.join(ANIMATED)}.")
        return self.key


class AUTTER_OT_key_au(ChannelOperator, bpy.types.Operator):
    """Set a keyframe on an AU or head channel of the actor: from then on it is commanded, not filled in"""

    bl_idname = "autter.key_au"
    bl_label = "Key AU"
    bl_options = {"REGISTER", "UNDO"}

    key: StringProperty(name="AU", description="AU01 to AU45, or head_yaw, head_pitch, head_roll, head_x, head_y, head_scale")
    frame: FloatProperty(name="Frame", description="Frame of the key; without it the current one", options={"SKIP_SAVE"})
    value: FloatProperty(name="Value", description="Value of the key; without it the present one", options={"SKIP_SAVE"})

    @reporting
    def execute(self, context: bpy.types.Context) -> set[str]:
        """One keyframe in the active action, in the AU's group."""
        actor, item = actors.require_actor(context), ANIMATED[self.known_key()]
        add_animated_properties(actor, (item,))  # actors of former versions have fewer
        value = self.value if self.properties.is_property_set("value") else float(actor[item.key])
        if not item.minimum <= value <= item.maximum:
            raise Fault(
                "au-range",
                f"{item.key} cannot be {value:g}; it runs from {item.minimum:g} to {item.maximum:g}.",
                "Give a value in that range.",
            )
        frame = self.frame if self.properties.is_property_set("frame") else context.scene.frame_current_final
        actor[item.key] = value
        actor.keyframe_insert(item.data_path, frame=frame, group=item.group)
        panel_state.forget()
        return {"FINISHED"}


class AUTTER_OT_free_au(ChannelOperator, bpy.types.Operator):
    """Delete all keyframes and the driver of an AU or head channel, so that the voice fills it in"""

    bl_idname = "autter.free_au"
    bl_label = "Free AU"
    bl_options = {"REGISTER", "UNDO"}

    key: StringProperty(name="AU", description="AU01 to AU45, or a head channel")

    @reporting
    def execute(self, context: bpy.types.Context) -> set[str]:
        """Removes its f-curve from the active action, and its driver."""
        actor, item = actors.require_actor(context), ANIMATED[self.known_key()]
        data = actor.animation_data
        if data is not None and data.action is not None:
            bag = compat.bag_of(data.action, actor, compat.assigned_slot(data))
            for curve in [curve for curve in bag.fcurves if curve.data_path == item.data_path]:
                bag.fcurves.remove(curve)
        actor.driver_remove(item.data_path)
        actor[item.key] = item.default
        actor.update_tag()
        panel_state.forget()
        if item.key in curves.commanded_keys(actor):
            tell(self, f"{item.key} is still commanded by one of the actor's NLA strips.", "WARNING")
        return {"FINISHED"}


class AUTTER_OT_import_aus(ActorOperator, bpy.types.Operator, ImportHelper):
    """Key AUs of the actor from a CSV file with OpenFace's columns; AUs without a column stay as they are"""

    bl_idname = "autter.import_aus"
    bl_label = "Import AUs"
    bl_options = {"REGISTER", "UNDO"}

    filter_glob: StringProperty(default="*.csv", options={"HIDDEN"})
    frame_start: IntProperty(name="Frame", description="Frame of second 0; without it the scene's first", options={"SKIP_SAVE"})
    tolerance: FloatProperty(
        name="Tolerance",
        description="Intensity by which the keys may miss the table; 0 keys every row",
        default=au_keys.TOLERANCE,
        min=0,
        max=1,
    )

    @reporting
    def execute(self, context: bpy.types.Context) -> set[str]:
        """Thins each column to keys in the active action."""
        actor = actors.require_actor(context)
        path = existing_file(self.filepath, "au-csv-missing", "table")
        keys = au_keys.read_keys(path, compat.frame_rate(context.scene), self.tolerance)
        first = self.frame_start if self.properties.is_property_set("frame_start") else context.scene.frame_start
        curves.set_keys(actor, keys, first, compat.frame_rate(context.scene))
        context.scene.frame_set(context.scene.frame_current)
        panel_state.forget()
        tell(self, f"Keyed {', '.join(keys)}.")
        return {"FINISHED"}


class AUTTER_OT_neutral(ActorEdit, bpy.types.Operator):
    """Set every AU to 0, both sides alike, and the head as in the portrait, without touching keyframes"""

    bl_idname = "autter.neutral"
    bl_label = "Neutral"
    bl_options = {"REGISTER", "UNDO"}

    def edit(self, context: bpy.types.Context, actor: bpy.types.Object) -> str:
        """Writes the defaults."""
        for key, item in ANIMATED.items():
            if key in actor:
                actor[key] = item.default
        actor.update_tag()
        return ""


CLASSES = (AUTTER_OT_new_actor, AUTTER_OT_key_au, AUTTER_OT_free_au, AUTTER_OT_import_aus, AUTTER_OT_neutral)

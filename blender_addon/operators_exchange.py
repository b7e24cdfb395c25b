# SPDX-License-Identifier: GPL-3.0-or-later
"""Import and export of performances: OpenFace, Live Link Face and ARKit tables, landmark files, shape keys of a character."""

from __future__ import annotations

from pathlib import Path

import bpy
from bpy.props import BoolProperty, EnumProperty, FloatProperty, IntProperty, StringProperty
from bpy_extras.io_utils import ExportHelper, ImportHelper

from . import actors, au_keys, compat, curves, panel_state, performance, shots
from .bridge.faults import Fault
from .operators_actor import existing_file
from .operators_base import AutterOperator, no_actor
from .operators_predict import RangedOperator
from .reports import reporting, tell

FORMATS = (
    ("OPENFACE", "OpenFace CSV", "AU intensities, keyed and filled in", ".csv"),
    ("ARKIT", "Live Link Face / ARKit CSV", "ARKit's 52 shapes and the head, for characters in other programs", ".csv"),
    ("LANDMARKS", "Landmarks npz", "The 162 landmarks of the rig as it stands, for the command line and for numpy", ".npz"),
)
ENDINGS = {item[0]: item[3] for item in FORMATS}


class AUTTER_OT_import_performance(AutterOperator, bpy.types.Operator, ImportHelper):
    """Bring a recorded performance onto the actor: OpenFace CSV, Live Link Face or ARKit CSV, landmark npz"""

    bl_idname = "autter.import_performance"
    bl_label = "Import Performance"
    bl_options = {"REGISTER", "UNDO"}

    filter_glob: StringProperty(default="*.csv;*.npz", options={"HIDDEN"})
    frame_start: IntProperty(name="Frame", description="Frame of second 0; without it the scene's first", options={"SKIP_SAVE"})
    tolerance: FloatProperty(
        name="Tolerance", description="Intensity by which the keys may miss the table; more gives fewer keys",
        default=au_keys.TOLERANCE, min=0, max=1,
    )  # fmt: skip
    head: BoolProperty(name="Head", description="Key the head's turning as well, where the table has it", default=True)

    @classmethod
    def disabled_reason(cls, context: bpy.types.Context) -> str:
        """Needs an actor."""
        return no_actor(context)

    @reporting
    def execute(self, context: bpy.types.Context) -> set[str]:
        """Tables become keys; landmarks become the actor's prediction."""
        actor = actors.require_actor(context)
        path = existing_file(self.filepath, "performance-missing", "performance")
        fps = compat.frame_rate(context.scene)
        first = self.frame_start if self.properties.is_property_set("frame_start") else context.scene.frame_start
        if path.suffix.lower() == ".npz":
            count = performance.read_landmarks_onto(actor, path, first, fps)
            told = f"{count} frames of landmarks are {actor.name}'s prediction now; Predict would replace them."
        else:
            keys = self._keys(path, fps)
            curves.set_keys(actor, keys, first, fps)
            told = f"Keyed {', '.join(keys)}."
        context.scene.frame_set(context.scene.frame_current)
        panel_state.forget()
        tell(self, told)
        return {"FINISHED"}

    def _keys(self, path: Path, fps: object) -> au_keys.Keys:
        """OpenFace's columns or ARKit's, whichever the table has."""
        try:
            return performance.shape_keys_of(path, fps, self.tolerance, self.head)
        except Fault as fault:
            if fault.code != "arkit-csv-columns":
                raise
        return au_keys.read_keys(path, fps, self.tolerance)


class AUTTER_OT_export_performance(RangedOperator, bpy.types.Operator, ExportHelper):
    """Write the performance to a file: AUs for OpenFace's readers, shapes for ARKit characters, or landmarks"""

    bl_idname = "autter.export_performance"
    bl_label = "Export Performance"
    filename_ext = ""

    format: EnumProperty(name="Format", description="What to write", items=[item[:3] for item in FORMATS], default="ARKIT")

    @classmethod
    def disabled_reason(cls, context: bpy.types.Context) -> str:
        """Needs an actor."""
        return no_actor(context)

    def check(self, context: bpy.types.Context) -> bool:
        """Keeps the file's ending that of the format."""
        path = Path(self.filepath)
        if self.filepath and path.suffix != ENDINGS[self.format]:
            self.filepath = str(path.with_suffix(ENDINGS[self.format]))
            return True
        return False

    @reporting
    def execute(self, context: bpy.types.Context) -> set[str]:
        """Samples the actor as it stands, edits and all."""
        actor, frames = actors.require_actor(context, self.actor), self.frames(context)
        if not self.filepath:
            raise Fault("path-invalid", "No file is named.", "Give a file to write.")
        path = Path(bpy.path.abspath(self.filepath))
        path = path if path.suffix else path.with_suffix(ENDINGS[self.format])
        fps = compat.frame_rate(context.scene)
        if self.format == "OPENFACE":
            performance.write_aus(path, actor, frames, fps)
        elif self.format == "ARKIT":
            performance.write_shapes(path, actor, frames, shots.make_track(context, actor, frames))
        else:
            performance.write_landmarks(path, shots.make_track(context, actor, frames))
        tell(self, f"{len(frames)} frames are in {path.name}.")
        return {"FINISHED"}


class AUTTER_OT_key_shapes(RangedOperator, bpy.types.Operator):
    """Key the shape keys of a 3-D character, named as ARKit's, with the actor's performance: select the mesh as well"""

    bl_idname = "autter.key_shapes"
    bl_label = "Key a Character's Shapes"
    bl_options = {"REGISTER", "UNDO"}

    mesh: StringProperty(name="Mesh", description="Name of the character's mesh; empty: the selected mesh", options={"SKIP_SAVE"})

    @classmethod
    def disabled_reason(cls, context: bpy.types.Context) -> str:
        """Needs an actor and a mesh with shape keys."""
        if not any(_has_shapes(candidate) for candidate in context.scene.objects):
            return no_actor(context) or "No mesh in the scene has shape keys"
        return no_actor(context)

    @reporting
    def execute(self, context: bpy.types.Context) -> set[str]:
        """One key a frame on every shape that is found by its name."""
        actor, frames = actors.require_actor(context, self.actor), self.frames(context)
        mesh = context.scene.objects.get(self.mesh) if self.mesh else _selected_mesh(context)
        if mesh is None:
            raise Fault("mesh-missing", "No mesh with shape keys is selected.", "Select the character's mesh beside the actor.")
        weights = performance.shape_weights(actor, frames, shots.make_track(context, actor, frames))
        found = performance.key_shapes(mesh, weights, frames)
        tell(self, f"Keyed {len(found)} of ARKit's 52 shapes on {mesh.name} over {len(frames)} frames.")
        return {"FINISHED"}


def _has_shapes(candidate: bpy.types.Object) -> bool:
    return candidate.type == "MESH" and candidate.data.shape_keys is not None


def _selected_mesh(context: bpy.types.Context) -> bpy.types.Object | None:
    """The selected mesh with shape keys, else the only one of the scene."""
    meshes = [candidate for candidate in context.scene.objects if _has_shapes(candidate)]
    selected = [mesh for mesh in meshes if mesh.select_get()]
    return selected[0] if selected else (meshes[0] if len(meshes) == 1 else None)


CLASSES = (AUTTER_OT_import_performance, AUTTER_OT_export_performance, AUTTER_OT_key_shapes)

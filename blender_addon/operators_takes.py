# SPDX-License-Identifier: GPL-3.0-or-later
"""Operators on takes: once more, with its edits, its settings back, its folder, beside another one."""

from __future__ import annotations

from pathlib import Path

import bpy
from bpy.props import BoolProperty, StringProperty
from bpy_extras.io_utils import ImportHelper

from . import backend_link, compare, compat, panel_state, rendering, sequencer, takes, use_results
from .bridge.faults import Fault
from .bridge.shot import Shot
from .bridge.shot_folder import read_shot_folder
from .jobs import Job
from .operators_base import AutterOperator, WaitingOperator, no_backend
from .reports import reporting, tell


def no_take(context: bpy.types.Context, least: int = 1) -> str:
    """Reason: not enough takes."""
    count = len(takes.strips_in(compat.shown_sequencer_scene(context)))
    if count >= least:
        return ""
    return "There is no take yet; Render to Sequencer makes one" if least == 1 else "There is only one take; render another to compare with"


class TakeOperator(AutterOperator):
    """Mixin of operators on one take."""

    take: StringProperty(name="Take", description="Name of the take's strip; empty: the active one, else the newest", options={"SKIP_SAVE"})

    @classmethod
    def disabled_reason(cls, context: bpy.types.Context) -> str:
        """Needs a take."""
        return no_take(context)

    def chosen(self, context: bpy.types.Context) -> takes.Take:
        """The take meant; Fault ``take-missing``."""
        return takes.take_of(takes.chosen_strip(context, self.take))


class TakeRenderOperator(TakeOperator, WaitingOperator):
    """Mixin of operators that render a take again; the result is a new take, the former stays."""

    @classmethod
    def disabled_reason(cls, context: bpy.types.Context) -> str:
        """Needs a take and a backend."""
        return no_take(context) or no_backend()

    def lay(self, context: bpy.types.Context, job: Job) -> set[str]:
        """Puts the finished movie into the sequencer, now if this operator waits."""
        if self.waits():
            tell(self, use_results.use(context, self.finish(context, job)))
        return {"FINISHED"}


class AUTTER_OT_choose_take(TakeOperator, bpy.types.Operator):
    """Make this take the active one, and show it where others cover it"""

    bl_idname = "autter.choose_take"
    bl_label = "Choose Take"
    bl_options = {"REGISTER", "UNDO"}

    @reporting
    def execute(self, context: bpy.types.Context) -> set[str]:
        """Takes at the same time that lie above it are muted, it is not; their sound stays as it is."""
        scene = compat.sequencer_scene(context)
        strip = takes.chosen_strip(context, self.take)
        first, end = compat.strip_handles(strip)
        for other in takes.strips_in(scene):
            left, right = compat.strip_handles(other)
            if other != strip and other.channel > strip.channel and left < end and right > first:
                other.mute = True
        strip.mute = False
        scene.sequence_editor.active_strip = strip
        backend_link.touch()
        return {"FINISHED"}


class AUTTER_OT_redo_take(TakeRenderOperator, bpy.types.Operator):
    """Render a take once more from what it remembers: same motion, same voice, same settings, whatever has changed since"""

    bl_idname = "autter.redo_take"
    bl_label = "Redo Take"
    bl_options = {"REGISTER", "UNDO"}

    @reporting
    def execute(self, context: bpy.types.Context) -> set[str]:
        """Sends off what the take remembers."""
        take = self.chosen(context)
        return self.lay(context, rendering.request_again(context, take.name, takes.read(take)))


class AUTTER_OT_render_edited(TakeRenderOperator, bpy.types.Operator):
    """Render only the frames of a take that have changed since, and stitch them with the others into a new take"""

    bl_idname = "autter.render_edited"
    bl_label = "Re-render Edited Range"
    bl_options = {"REGISTER", "UNDO"}

    @reporting
    def execute(self, context: bpy.types.Context) -> set[str]:
        """Compares the rig with what the take remembers, frame by frame."""
        take = self.chosen(context)
        takes.require_movie(take)
        job, reuse = rendering.request_edited(context, takes.actor_of(take), take, takes.read(take))
        whole = job.details["shot"].frame_count
        self.report({"INFO"}, f"{whole - reuse.frame_count} of {whole} frames have changed and are rendered.")
        return self.lay(context, job)


class AUTTER_OT_restore_take(TakeOperator, bpy.types.Operator):
    """Set seed, motion and quality settings as they were when the take was rendered"""

    bl_idname = "autter.restore_take"
    bl_label = "Restore Settings of Take"
    bl_options = {"REGISTER", "UNDO"}

    @reporting
    def execute(self, context: bpy.types.Context) -> set[str]:
        """Keys and rig stay as they are."""
        take = self.chosen(context)
        shot = takes.read(take).shot
        restore_settings(context.scene, takes.actor_of(take), shot)
        panel_state.forget()
        tell(self, f"Seed and settings are as in {take.name}; Predict to see them.")
        return {"FINISHED"}


def restore_settings(scene: bpy.types.Scene, actor: bpy.types.Object, shot: Shot) -> None:
    """Writes a shot's seed and settings back to where the panel shows them."""
    actor.autter.seed = shot.seed
    settings = scene.autter
    for group in (shot.motion, shot.render):
        for name, value in vars(group).items():
            if name in settings.bl_rna.properties:
                kind = settings.bl_rna.properties[name].type
                setattr(settings, name, str(value) if kind == "ENUM" else value)


class AUTTER_OT_open_take_folder(TakeOperator, bpy.types.Operator):
    """Show the folder of a take's movie in the file manager"""

    bl_idname = "autter.open_take_folder"
    bl_label = "Open Folder of Take"

    @reporting
    def execute(self, context: bpy.types.Context) -> set[str]:
        """Leaves it to the operating system."""
        folder = self.chosen(context).movie.parent
        if not folder.is_dir():
            raise Fault("folder-missing", f"The folder {folder} is not there.", "Put it back, or find the movie with Change > Path.")
        context.window_manager.clipboard = str(folder)
        if not bpy.app.background:
            bpy.ops.wm.path_open(filepath=str(folder))
        self.report({"INFO"}, f"{folder} (also on the clipboard)")
        return {"FINISHED"}


class AUTTER_OT_compare_takes(AutterOperator, bpy.types.Operator):
    """Show two takes side by side in the preview: the two selected ones, else the two newest; once more puts them back"""

    bl_idname = "autter.compare_takes"
    bl_label = "Compare Takes"
    bl_options = {"REGISTER", "UNDO"}

    left: StringProperty(name="Left", description="Name of a take's strip; empty: chosen by selection", options={"SKIP_SAVE"})
    right: StringProperty(name="Right", description="Name of another take's strip", options={"SKIP_SAVE"})

    @classmethod
    def disabled_reason(cls, context: bpy.types.Context) -> str:
        """Needs two takes."""
        return no_take(context, least=2)

    @reporting
    def execute(self, context: bpy.types.Context) -> set[str]:
        """Halves their size and mutes the takes above; a note in the strips tells how to undo that."""
        scene = compat.sequencer_scene(context)
        if compare.stop(scene):
            tell(self, "The takes are back in their places.")
            return {"FINISHED"}
        if self.left or self.right:
            pair = [takes.chosen_strip(context, name) for name in (self.left, self.right)]
        else:
            strips = takes.strips_in(scene)
            selected = [strip for strip in strips if strip.select]
            pair = (selected if len(selected) >= 2 else strips)[:2][::-1]  # the older one on the left
        if pair[0] == pair[1]:
            raise Fault("take-missing", "These are the same take.", "Name or select two different takes.")
        compare.start(scene, pair[0], pair[1])
        tell(self, f"{pair[0].name} on the left, {pair[1].name} on the right. Compare Takes once more puts them back.")
        return {"FINISHED"}


class AUTTER_OT_add_take(AutterOperator, bpy.types.Operator, ImportHelper):
    """Lay a movie that was rendered elsewhere from an exported job (or a take from another file) into the sequencer"""

    bl_idname = "autter.add_take"
    bl_label = "Add Rendered Job"
    bl_options = {"REGISTER", "UNDO"}

    directory: StringProperty(subtype="DIR_PATH", options={"HIDDEN", "SKIP_SAVE"})
    filter_folder: BoolProperty(default=True, options={"HIDDEN"})
    filter_glob: StringProperty(default="shot.json", options={"HIDDEN"})

    @reporting
    def execute(self, context: bpy.types.Context) -> set[str]:
        """Finds the movie that the folder names."""
        chosen = Path(bpy.path.abspath(self.filepath or self.directory))
        folder = chosen if chosen.is_dir() else chosen.parent
        content = read_shot_folder(folder)
        movie = _movie_in(folder, content.record)
        scene = compat.sequencer_scene(context)
        rendering.check_rate(content.shot, scene)
        report = content.record.get("report") or {}
        rows = content.record.get("rows") or (0, 0)
        picture, _ = sequencer.add_take(scene, movie, content.shot, str(content.record.get("actor", "")), report, skip=int(rows[0]))
        panel_state.forget()
        tell(self, f"{picture.name} lies at frame {round(compat.strip_handles(picture)[0])} on channel {picture.channel}.")
        return {"FINISHED"}


def _movie_in(folder: Path, record: dict[str, object]) -> Path:
    """An exported job's movie lies in its folder, a take's beside it."""
    name = record.get("movie")
    if isinstance(name, str) and name and Path(name).name == name:
        for place in (folder, folder.parent):
            if (place / name).is_file():
                return place / name
    raise Fault(
        "movie-missing",
        f"The job in {folder.name} has not been rendered yet.",
        f'Render it: python -m backend render --job "{folder}"',
    )


CLASSES = (
    AUTTER_OT_choose_take,
    AUTTER_OT_redo_take,
    AUTTER_OT_render_edited,
    AUTTER_OT_restore_take,
    AUTTER_OT_open_take_folder,
    AUTTER_OT_compare_takes,
    AUTTER_OT_add_take,
)

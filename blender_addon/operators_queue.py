# SPDX-License-Identifier: GPL-3.0-or-later
"""Several shots one after another, results of other files, and jobs for another computer."""

from __future__ import annotations

from pathlib import Path

import bpy
from bpy.props import BoolProperty, IntProperty
from bpy_extras.io_utils import ExportHelper

from . import actors, backend_link, consent, outputs, rendering, shots, use_results
from .bridge.faults import Fault
from .bridge.shot_folder import ShotFolder, write_shot_folder
from .operators_base import AutterOperator, WaitingOperator, no_actor, no_backend
from .operators_predict import RangedOperator, no_voice
from .operators_render import DIALOG_WIDTH, moves, no_motion
from .reports import reporting, tell


class AUTTER_OT_render_all(WaitingOperator, bpy.types.Operator):
    """Queue a render of every actor that moves, in this scene or in all scenes; they are done one after another"""

    bl_idname = "autter.render_all"
    bl_label = "Render All Actors"
    bl_options = {"REGISTER", "UNDO"}

    all_scenes: BoolProperty(name="All Scenes", description="Actors of every scene of the file, not only this one", default=True)
    agreed: BoolProperty(name="Agreed", description=consent.LINE, default=False, options={"SKIP_SAVE"})

    @classmethod
    def disabled_reason(cls, context: bpy.types.Context) -> str:
        """Needs an actor that moves somewhere, and a backend."""
        if not any(moves(actor) for scene in bpy.data.scenes for actor in actors.actors_in(scene)):
            return "No actor moves yet; Predict first"
        return no_backend()

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        """Asks for consent where it was never given for one of the faces."""
        self.asked = True
        if self.unheard(context):
            return context.window_manager.invoke_props_dialog(self, width=DIALOG_WIDTH, title="Render All Actors", confirm_text="Render")
        return self.execute(context)

    def draw(self, context: bpy.types.Context) -> None:
        """The dialog: which faces, and the line."""
        self.layout.prop(self, "all_scenes")
        consent.draw(self, context, self.unheard(context))

    def moving(self, context: bpy.types.Context) -> list[tuple[bpy.types.Scene, bpy.types.Object]]:
        """Every actor that moves, with its scene."""
        scenes = bpy.data.scenes if self.all_scenes else [context.scene]
        return [(scene, actor) for scene in scenes for actor in actors.actors_in(scene) if moves(actor)]

    def unheard(self, context: bpy.types.Context) -> list[bpy.types.Object]:
        """Actors for whom the line of consent was never ticked."""
        return list(dict.fromkeys(actor for _, actor in self.moving(context) if not consent.is_given(actor)))

    @reporting
    def execute(self, context: bpy.types.Context) -> set[str]:
        """A shot that cannot be rendered is said and does not keep the others."""
        jobs, faults = [], []
        for scene, actor in self.moving(context):
            try:
                consent.ask(self, actor)
                with context.temp_override(scene=scene):
                    jobs.append(rendering.request_render(bpy.context, actor, shots.frame_range(scene), None))
            except Fault as fault:
                faults.append(f"{actor.name}: {fault.sentence}")
        for job in jobs if self.waits() else ():
            with context.temp_override(scene=bpy.data.scenes[job.origin.scene]):
                self.report({"INFO"}, use_results.use(bpy.context, self.finish(context, job)))
        if not jobs:
            raise Fault("nothing-rendered", " ".join(faults) or "No actor moves yet.", "Predict first.")
        told = f"{len(jobs)} shot{'s are' if len(jobs) > 1 else ' is'} {'rendered' if self.waits() else 'queued'}."
        tell(self, " ".join([told, *faults]), "WARNING" if faults else "INFO")
        return {"FINISHED"}


class AUTTER_OT_export_job(RangedOperator, bpy.types.Operator, ExportHelper):
    """Write a folder with everything that another computer needs to render this shot: python -m backend render --job FOLDER"""

    bl_idname = "autter.export_job"
    bl_label = "Export Job"
    filename_ext = ""

    filter_folder: BoolProperty(default=True, options={"HIDDEN"})
    agreed: BoolProperty(name="Agreed", description=consent.LINE, default=False, options={"SKIP_SAVE"})

    @classmethod
    def disabled_reason(cls, context: bpy.types.Context) -> str:
        """Needs what a render needs, but no backend."""
        return no_actor(context) or no_voice(context) or no_motion(context)

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        """Asks where, beginning beside the takes."""
        actor = actors.find_actor(context)
        self.asked = True
        self.filepath = str(outputs.takes_place(context.scene) / f"{actor.name if actor else 'shot'}_job")
        context.window_manager.fileselect_add(self)
        return {"RUNNING_MODAL"}

    def draw(self, context: bpy.types.Context) -> None:
        """Beside the file browser: the line of consent, once."""
        actor = bpy.data.objects.get(self.actor) or actors.find_actor(context)
        consent.draw(self, context, [actor] if actors.is_actor(actor) and not consent.is_given(actor) else [])

    @reporting
    def execute(self, context: bpy.types.Context) -> set[str]:
        """Portrait and recordings are copied along."""
        actor = actors.require_actor(context, self.actor)
        consent.ask(self, actor)
        frames = self.frames(context)
        folder = Path(bpy.path.abspath(self.filepath)) if self.filepath else outputs.takes_folder(context.scene) / f"{actor.name}_job"
        outputs.writable(folder)
        shot, track = shots.make_shot(context, actor, frames), shots.make_track(context, actor, frames)
        record = {**rendering.facts(context, actor.name), "consent": consent.of(actor), "movie": f"{bpy.path.clean_name(folder.name)}.mp4"}
        write_shot_folder(folder, ShotFolder(shot, track, record), collect=True)
        context.window_manager.clipboard = f'python -m backend render --job "{folder}"'
        tell(
            self,
            f"{len(frames)} frames are in {folder}. The line that renders them is on the clipboard; Add Rendered Job brings them back.",
        )
        return {"FINISHED"}


class AUTTER_OT_use_parked(AutterOperator, bpy.types.Operator):
    """Lay a movie that was rendered for another file into this one"""

    bl_idname = "autter.use_parked"
    bl_label = "Use Here"
    bl_options = {"REGISTER", "UNDO"}

    job: IntProperty(name="Job", description="Number of the finished job", options={"SKIP_SAVE"})

    @classmethod
    def disabled_reason(cls, context: bpy.types.Context) -> str:
        """Only with something that waits."""
        return "" if any(job.kind == "render" for job in backend_link.book.parked) else "No finished movie waits for another file"

    @reporting
    def execute(self, context: bpy.types.Context) -> set[str]:
        """Its rate must be this scene's."""
        waiting = next((job for job in backend_link.book.parked if job.number == self.job and job.kind == "render"), None)
        if waiting is None:
            raise Fault("job-gone", "That result is used already.", "Look at the takes in the sequencer.")
        rendering.check_rate(waiting.details["shot"], context.scene)
        job = backend_link.book.unpark(self.job, backend_link.origin(context.scene))
        job.details["sequencer_scene"] = ""
        tell(self, use_results.use(context, job))
        backend_link.touch()
        return {"FINISHED"}


class AUTTER_OT_forget_parked(AutterOperator, bpy.types.Operator):
    """Take a result that waits for another file off the list; a movie stays on disk"""

    bl_idname = "autter.forget_parked"
    bl_label = "Forget"

    job: IntProperty(name="Job", description="Number of the finished job; 0 forgets all", options={"SKIP_SAVE"})

    @classmethod
    def disabled_reason(cls, context: bpy.types.Context) -> str:
        """Only with something that waits."""
        return "" if backend_link.book.parked else "No result waits for another file"

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Only the list is changed."""
        backend_link.book.parked = [job for job in backend_link.book.parked if self.job and job.number != self.job]
        backend_link.touch()
        return {"FINISHED"}


class AUTTER_OT_run_again(WaitingOperator, bpy.types.Operator):
    """Run a job again that was not finished because the backend ended; with the keys and the motion that it had"""

    bl_idname = "autter.run_again"
    bl_label = "Run Again"

    job: IntProperty(name="Job", description="Number of the unfinished job; 0 runs all of them", options={"SKIP_SAVE"})

    @classmethod
    def disabled_reason(cls, context: bpy.types.Context) -> str:
        """Only with something unfinished, and a backend."""
        return "" if backend_link.book.lost and not no_backend() else no_backend() or "No job was left unfinished"

    @reporting
    def execute(self, context: bpy.types.Context) -> set[str]:
        """They are queued in their old order."""
        jobs = [job for job in backend_link.book.lost if job.number == self.job or not self.job]
        if not jobs:
            raise Fault("job-gone", "That job runs already, or was taken off the list.", "Look at the jobs under way.")
        for job in jobs:
            backend_link.run_again(job)
        for job in jobs if self.waits() else ():
            self.report({"INFO"}, use_results.use(context, self.finish(context, job)))
        return {"FINISHED"}


class AUTTER_OT_forget_lost(AutterOperator, bpy.types.Operator):
    """Do not offer an unfinished job any more"""

    bl_idname = "autter.forget_lost"
    bl_label = "Forget Unfinished Job"

    job: IntProperty(name="Job", description="Number of the unfinished job; 0 forgets all", options={"SKIP_SAVE"})

    @classmethod
    def disabled_reason(cls, context: bpy.types.Context) -> str:
        """Only with something unfinished."""
        return "" if backend_link.book.lost else "No job was left unfinished"

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Only the list is changed."""
        for job in [job for job in backend_link.book.lost if job.number == self.job or not self.job]:
            backend_link.book.lost.remove(job)
            backend_link.give_back_name(job)
        backend_link.touch()
        return {"FINISHED"}


CLASSES = (
    AUTTER_OT_render_all,
    AUTTER_OT_export_job,
    AUTTER_OT_use_parked,
    AUTTER_OT_forget_parked,
    AUTTER_OT_run_again,
    AUTTER_OT_forget_lost,
)

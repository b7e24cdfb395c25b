# SPDX-License-Identifier: GPL-3.0-or-later
"""The tab "AUtter" in the sidebars of the 3-D viewport and the sequencer. Draws what panel_state has worked out."""

from __future__ import annotations

import bpy

from . import actors, panel_state
from .panel_state import Channel, PanelState

WRAP_COLUMNS = 42


def wrapped(text: str, columns: int) -> list[str]:
    """Text in lines of at most so many characters, broken at spaces; labels do not wrap by themselves."""
    lines: list[str] = []
    for word in text.split():
        if lines and len(lines[-1]) + 1 + len(word) <= columns:
            lines[-1] += " " + word
        else:
            lines.append(word)
    return lines


def columns_of(context: bpy.types.Context) -> int:
    """How many characters fit into the sidebar."""
    region = context.region
    if region is None:
        return WRAP_COLUMNS
    return max(20, int(region.width / (7.5 * context.preferences.system.ui_scale)) - 4)


def draw_text(layout: bpy.types.UILayout, context: bpy.types.Context, text: str, icon: str = "NONE") -> None:
    """A paragraph of labels, the icon before its first line."""
    column = layout.column(align=True)
    column.scale_y = 0.8
    for number, line in enumerate(wrapped(text, columns_of(context))):
        column.label(text=line, icon=icon if number == 0 else ("BLANK1" if icon != "NONE" else "NONE"))


class BackendPanel:
    """State, device, memory, the job under way, the last problem."""

    bl_label = "Backend"
    bl_category = "AUtter"
    bl_region_type = "UI"
    bl_order = 0

    def draw(self, context: bpy.types.Context) -> None:
        """Top of the tab."""
        layout, state = self.layout, panel_state.current(context)
        row = layout.row(align=True)
        row.label(text="  ".join(part for part in (state.backend_word, state.device, state.memory) if part), icon=state.backend_icon)
        row.operator("autter.free_memory", text="", icon="TRASH")
        if state.backend_word in ("Off", "Error"):
            row.operator("autter.backend_start", text="", icon="PLAY")
        else:
            row.operator("autter.backend_stop", text="", icon="QUIT")
        if state.backend_missing:
            _draw_missing(layout, context, state)
        if state.job_title:
            _draw_job(layout, state)
        if state.problem is not None:
            _draw_problem(layout, context, state)
        for line in state.parked:
            layout.label(text=line, icon="TIME")


def _draw_missing(layout: bpy.types.UILayout, context: bpy.types.Context, state: PanelState) -> None:
    box = layout.box()
    draw_text(box, context, state.backend_missing, "INFO")
    box.operator("preferences.addon_show", text="Choose It in the Preferences", icon="PREFERENCES").module = __package__


def _draw_job(layout: bpy.types.UILayout, state: PanelState) -> None:
    row = layout.row(align=True)
    row.progress(factor=state.job_fraction, text=state.job_text)
    cancel = row.row(align=True)
    cancel.enabled = not state.cancelling
    cancel.operator("autter.cancel", text="", icon="X").job = state.job_number


def _draw_problem(layout: bpy.types.UILayout, context: bpy.types.Context, state: PanelState) -> None:
    box = layout.box()
    draw_text(box, context, state.problem.sentence, "ERROR" if state.problem.level == "ERROR" else "INFO")
    if state.problem.hint:
        draw_text(box, context, state.problem.hint)
    row = box.row(align=True)
    row.operator("autter.copy_report", icon="COPYDOWN")
    row.operator("autter.clear_report", text="", icon="X")


class ActorPanel:
    """The actor and its AUs."""

    bl_label = "Actor"
    bl_category = "AUtter"
    bl_region_type = "UI"
    bl_order = 1

    def draw(self, context: bpy.types.Context) -> None:
        """Choice of the actor, or the ways to get one."""
        layout, state = self.layout, panel_state.current(context)
        if state.actor_name:
            layout.prop(context.scene.autter, "actor", text="")
            actor = actors.find_actor(context)
            layout.prop(actor.autter, "portrait", text="")
            layout.label(text=state.landmarks_text, icon="IMAGE_DATA")
        row = layout.row(align=True)
        row.operator("autter.new_actor", text="New Actor" if state.actor_name else "New Actor from Portrait", icon="USER")
        if not state.actor_name:
            layout.operator("autter.new_sample_scene", icon="SCENE_DATA")


class ChannelPanel:
    """A group of AUs or head channels."""

    bl_category = "AUtter"
    bl_region_type = "UI"
    group = "upper"

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """Only with an actor."""
        return actors.find_actor(context) is not None

    def draw(self, context: bpy.types.Context) -> None:
        """A row a channel."""
        actor, state = actors.find_actor(context), panel_state.current(context)
        column = self.layout.column(align=True)
        for channel in getattr(state, self.group):
            _draw_channel(column, actor, channel)


def _draw_channel(column: bpy.types.UILayout, actor: bpy.types.Object, channel: Channel) -> None:
    row = column.row(align=True)
    if channel.key not in actor:
        row.label(text=f"{channel.label}: property deleted", icon="ERROR")
        return
    row.prop(actor, f'["{channel.key}"]', text=channel.label, slider=channel.key.startswith("AU"))
    note = row.row(align=True)
    note.ui_units_x = 1.6
    note.alignment = "CENTER"
    note.label(text=channel.letter if channel.keyed or not channel.filled_in else channel.filled_in)
    row.operator("autter.key_au", text="", icon="KEYFRAME_HLT" if channel.keyed else "KEYFRAME", emboss=False).key = channel.key
    free = row.row(align=True)
    free.enabled = channel.keyed
    free.operator("autter.free_au", text="", icon="X" if channel.keyed else "BLANK1", emboss=False).key = channel.key


class UnitsPanel:
    """Parent of the AU groups and the head."""

    bl_label = "Action Units"
    bl_category = "AUtter"
    bl_region_type = "UI"
    bl_order = 5

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """Only with an actor."""
        return actors.find_actor(context) is not None

    def draw(self, context: bpy.types.Context) -> None:
        """What the signs beside the sliders mean."""
        row = self.layout.row(align=True)
        row.label(text="Keyed leads, free follows")
        row.operator("autter.import_aus", text="", icon="IMPORT")
        row.operator("autter.neutral", text="", icon="LOOP_BACK")


class VoicePanel:
    """Where the voice comes from."""

    bl_label = "Voice"
    bl_category = "AUtter"
    bl_region_type = "UI"
    bl_order = 2

    def draw(self, context: bpy.types.Context) -> None:
        """The voice and the ways to get one."""
        layout, state = self.layout, panel_state.current(context)
        layout.label(text=state.voice or "No voice yet", icon="OUTLINER_OB_SPEAKER" if state.voice else "INFO")
        row = layout.row(align=True)
        row.operator("autter.add_voice", icon="ADD")
        row.operator("autter.use_strip_as_voice", text="Use Selected")
        if context.scene.autter.voice_file:
            layout.prop(context.scene.autter, "voice_file", text="")
            layout.prop(context.scene.autter, "voice_frame")


class PredictPanel:
    """The prediction and its knobs."""

    bl_label = "Predict"
    bl_category = "AUtter"
    bl_region_type = "UI"
    bl_order = 3

    def draw(self, context: bpy.types.Context) -> None:
        """Button first, knobs below."""
        layout, state, settings = self.layout, panel_state.current(context), context.scene.autter
        row = layout.row(align=True)
        row.scale_y = 1.4
        row.operator("autter.predict", icon="GRAPH")
        row.operator("autter.another_take", text="", icon="FILE_REFRESH")
        if state.predicted_text:
            layout.label(text=state.predicted_text, icon="NLA")
        actor = actors.find_actor(context)
        if actor is not None:
            layout.prop(actor.autter, "seed")
        header, body = layout.panel("autter_motion", default_closed=True)
        header.label(text="Motion")
        if body is not None:
            _draw_knobs(body, settings)


def _draw_knobs(layout: bpy.types.UILayout, settings: bpy.types.PropertyGroup) -> None:
    layout.use_property_split = True
    layout.use_property_decorate = False
    groups = (
        ("au_strength", "lip_strength", "variation"),
        ("upper_smoothing", "lower_smoothing"),
        ("lip_offset", "lid_offset", "time_shift"),
        ("idle_head", "mouth_only", "blinks"),
    )
    for names in groups:
        column = layout.column(align=True)
        for name in names:
            column.prop(settings, name)
    row = layout.row()
    row.enabled = settings.blinks
    row.prop(settings, "blinks_per_minute")


class RenderPanel:
    """The render and its choices."""

    bl_label = "Render"
    bl_category = "AUtter"
    bl_region_type = "UI"
    bl_order = 4

    def draw(self, context: bpy.types.Context) -> None:
        """Button first, choices below."""
        layout, settings = self.layout, context.scene.autter
        row = layout.row()
        row.scale_y = 1.4
        row.operator("autter.render", icon="RENDER_ANIMATION")
        header, body = layout.panel("autter_quality", default_closed=True)
        header.label(text="Quality and Output")
        if body is not None:
            body.use_property_split = True
            body.use_property_decorate = False
            for name in ("tier", "steps", "crop_size", "label", "output_folder"):
                body.prop(settings, name)


_SPACES = {"VIEW_3D": "VIEW3D", "SEQUENCE_EDITOR": "SEQUENCER"}
_SECTIONS = (
    ("backend", BackendPanel),
    ("actor", ActorPanel),
    ("voice", VoicePanel),
    ("predict", PredictPanel),
    ("render", RenderPanel),
    ("units", UnitsPanel),
)
_GROUPS = (("upper", "Upper Face"), ("lower", "Lower Face"), ("head", "Head"))


def _make_classes() -> tuple[type, ...]:
    """Each panel once for each sidebar."""
    made: list[type] = []
    for space, prefix in _SPACES.items():
        for name, base in _SECTIONS:
            made.append(type(f"{prefix}_PT_autter_{name}", (base, bpy.types.Panel), {"bl_space_type": space, "__module__": __name__}))
        for group, label in _GROUPS:
            attributes = {
                "bl_space_type": space,
                "bl_label": label,
                "bl_parent_id": f"{prefix}_PT_autter_units",
                "group": group,
                "__module__": __name__,
            }
            if group == "head":
                attributes["bl_options"] = {"DEFAULT_CLOSED"}
            made.append(type(f"{prefix}_PT_autter_{group}", (ChannelPanel, bpy.types.Panel), attributes))
    return tuple(made)


CLASSES = _make_classes()

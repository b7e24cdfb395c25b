# SPDX-License-Identifier: GPL-3.0-or-later
"""Settings kept in the .blend: one group on the object (the actor), one on the scene (knobs). Never runtime state.

What is animated (AUs, head pose) are custom properties instead: they outlive the add-on and key like any other.
"""

from __future__ import annotations

import bpy
from bpy.props import (
    BoolProperty,
    CollectionProperty,
    EnumProperty,
    FloatProperty,
    FloatVectorProperty,
    IntProperty,
    IntVectorProperty,
    PointerProperty,
    StringProperty,
)

from . import backdrop, live
from .bridge.shot import MotionSettings, RenderSettings
from .motion_layers import FADE_FRAMES

_MOTION = MotionSettings()
_RENDER = RenderSettings()
TIERS = (
    ("small", "Small", "The tier that comes with AUtter: quick, 256-pixel face"),
    ("sd15", "Stable Diffusion", "Weights that you fetch or point at yourself; slower, finer"),
)
PRESETS = (
    ("draft", "Draft", "Few steps, small decoder: to judge motion"),
    ("standard", "Standard", "Half the steps of the published recipe"),
    ("best", "Best", "The published recipe"),
)
SD15_WEIGHTS = (
    ("ANY", "Those That Are There", "The first complete set of weights on the backend's computer"),
    ("aniportrait", "AniPortrait", "Landmarks drive the whole face"),
    ("echomimic_pose", "EchoMimic", "Landmarks drive head and eyes, the voice the mouth"),
    ("echomimic_pose_acc", "EchoMimic, Few Steps", "The same in six steps"),
)


def _live_switched(_group: bpy.types.PropertyGroup, _context: bpy.types.Context) -> None:
    live.note_change()


def _live_picture_switched(_group: bpy.types.PropertyGroup, _context: bpy.types.Context) -> None:
    backdrop.be_alert()


def _is_actor(_group: bpy.types.PropertyGroup, candidate: bpy.types.Object) -> bool:
    return candidate.autter.is_actor


class PinnedRange(bpy.types.PropertyGroup):
    """Frames whose prediction stays as it is."""

    first: IntProperty(name="First", description="First pinned frame")
    last: IntProperty(name="Last", description="Last pinned frame")


class AutterObjectSettings(bpy.types.PropertyGroup):
    """What makes an armature an actor."""

    is_actor: BoolProperty(name="Is Actor", description="This armature is an AUtter actor")
    portrait: PointerProperty(name="Portrait", description="Image that the actor animates", type=bpy.types.Image)
    portrait_size: IntVectorProperty(name="Portrait Size", description="Width and height of the portrait in pixels", size=2, min=0)
    unit: FloatProperty(
        name="Unit", description="Portrait pixels per armature unit: the distance between the outer eye corners", default=1.0
    )
    origin: FloatVectorProperty(name="Origin", description="Portrait pixel at which the armature's origin lies", size=2)
    consent: StringProperty(name="Consent", description="What was said about the right to animate this face, and when")
    seed: IntProperty(name="Seed", description="Another seed gives another take of everything that is free", min=0, default=0)
    range_takes: IntProperty(name="Range Takes", description="How many other takes of a few frames were asked for", min=0)
    prediction_stamp: StringProperty(name="Prediction Stamp", description="Which shot the prediction on the rig answers")
    prediction_keyed: BoolProperty(
        name="Prediction with Keys", description="The prediction has keys instead of samples: they can be edited, and play slower"
    )
    pinned_ranges: CollectionProperty(type=PinnedRange, name="Pinned Frames", description="Frames whose prediction stays as it is")
    is_fitted: BoolProperty(name="Fitted", description="The landmarks were put right by hand")
    fitting: BoolProperty(name="Being Fitted", description="The animation steps aside while landmarks are put right")
    fit_action: PointerProperty(name="Action Aside", description="The animator's action during Fit Rig", type=bpy.types.Action)
    fit_slot: StringProperty(name="Slot Aside", description="Its slot")
    fit_nla: BoolProperty(name="NLA Aside", description="Whether NLA tracks played before Fit Rig", default=True)


class AutterSceneSettings(bpy.types.PropertyGroup):
    """Knobs of voice, prediction and render."""

    actor: PointerProperty(name="Actor", description="The actor that Predict and Render work on", type=bpy.types.Object, poll=_is_actor)
    voice_file: StringProperty(name="Voice File", description="Recording used where the scene holds no voice strip", subtype="FILE_PATH")
    voice_frame: IntProperty(name="Voice Start", description="Frame at which the voice file starts", default=1)
    show_prediction: BoolProperty(name="Motion Settings", default=False)

    recipe_strength: FloatProperty(
        name="Strength",
        description="How strong an expression is put on: 0 leaves the face as it is",
        min=0,
        max=1.25,
        soft_max=1,
        default=1,
    )
    recipe_keyed: BoolProperty(name="Set Keys", description="Expressions set keyframes at the current frame", default=True)
    recipe_add: BoolProperty(name="Add", description="Expressions come on top of what is there", default=False)
    show_sides: BoolProperty(name="Left and Right", description="Show a slider of left against right beside each two-sided AU")
    show_ghosts: BoolProperty(
        name="Ghosts",
        description="Show in the graph editor what the voice filled in for free AUs, and what was predicted below selected landmarks",
        default=True,
    )
    live: BoolProperty(
        name="Live", description="The rig follows every edit of a keyed AU, of the voice and of the settings by itself", default=False,
        update=_live_switched,
    )  # fmt: skip
    range_fade: IntProperty(
        name="Fade",
        description="Frames over which newly predicted frames pass into what is around them",
        min=0,
        max=100,
        default=FADE_FRAMES,
    )
    au_strength: FloatProperty(
        name="AU Strength", description="How strongly keyed AUs command the face", min=0, max=2, default=_MOTION.au_strength
    )
    lip_strength: FloatProperty(name="Lip Strength", description="Scale of lip and jaw motion", min=0, max=2, default=_MOTION.lip_strength)
    upper_smoothing: FloatProperty(
        name="Upper Smoothing", description="Smooths brows and eyes", min=0, max=1, default=_MOTION.upper_smoothing
    )
    lower_smoothing: FloatProperty(
        name="Lower Smoothing", description="Smooths lips and jaw", min=0, max=1, default=_MOTION.lower_smoothing
    )
    lip_offset: FloatProperty(
        name="Lip Offset", description="Opens (or, below 0, closes) the lips at all times, in eye-corner distances",
        min=-0.2, max=0.2, precision=3, step=0.5, default=_MOTION.lip_offset,
    )  # fmt: skip
    lid_offset: FloatProperty(
        name="Lid Offset", description="Opens (or, below 0, closes) the eyes at all times, in eye-corner distances",
        min=-0.1, max=0.1, precision=3, step=0.5, default=_MOTION.lid_offset,
    )  # fmt: skip
    blinks: BoolProperty(name="Blinks", description="Blink by itself while AU45 is free", default=_MOTION.blinks)
    blinks_per_minute: FloatProperty(name="Per Minute", description="How often it blinks", min=0, max=60, default=_MOTION.blinks_per_minute)
    idle_head: FloatProperty(
        name="Idle Head", description="Quiet head motion where the head pose is not keyed", min=0, max=1, default=_MOTION.idle_head
    )
    time_shift: FloatProperty(
        name="Time Shift", description="Moves the lips against the voice; above 0 they come later", min=-1, max=1,
        subtype="TIME_ABSOLUTE", unit="TIME_ABSOLUTE", precision=3, default=_MOTION.time_shift,
    )  # fmt: skip
    mouth_only: BoolProperty(name="Mouth Only", description="Leave brows, eyes and head as they are", default=_MOTION.mouth_only)
    variation: FloatProperty(
        name="Variation", description="How far free motion wanders from the average", min=0, max=1, default=_MOTION.variation
    )

    tier: EnumProperty(name="Tier", description="Which renderer makes the picture", items=TIERS, default=_RENDER.tier)
    steps: IntProperty(name="Steps", description="Diffusion steps: 1 draft, 2 standard, 4 best", min=1, max=50, default=_RENDER.steps)
    preset: EnumProperty(name="Preset", description="Quality of the tier Stable Diffusion", items=PRESETS, default=_RENDER.preset)
    sd15_steps: IntProperty(
        name="Steps", description="Diffusion steps instead of the preset's; 0 leaves it to the preset", min=0, max=50,
        default=_RENDER.sd15_steps,
    )  # fmt: skip
    sd15_weights: EnumProperty(name="Weights", description="Which published weights the tier runs", items=SD15_WEIGHTS, default="ANY")
    crop_size: EnumProperty(
        name="Face Size", description="Pixels of the face that are made anew; it is pasted into the full portrait",
        items=(("256", "256", "Standard"), ("512", "512", "Fine, four times as slow")), default=str(_RENDER.crop_size),
    )  # fmt: skip
    label: BoolProperty(
        name="Visible Label",
        description="Write into the picture that it is synthetic; the file's metadata always says so",
        default=_RENDER.label,
    )
    invisible_mark: BoolProperty(
        name="Invisible Mark",
        description="Change the pictures so slightly that it is hardly seen and `verify` still finds it after they were encoded again",
        default=_RENDER.invisible_mark,
    )
    live_picture: BoolProperty(
        name="Live Picture",
        description="The portrait in the viewport follows the playhead and every edit: small tier, one step, kept frames play at once",
        default=False,
        update=_live_picture_switched,
    )
    output_folder: StringProperty(
        name="Output", description="Folder of finished takes; empty: autter beside the .blend, or the folder in the preferences",
        subtype="DIR_PATH",
    )  # fmt: skip

    def motion_settings(self) -> MotionSettings:
        """The knobs as the bridge's plain data."""
        names = MotionSettings.__dataclass_fields__
        return MotionSettings(**{name: getattr(self, name) for name in names})

    def render_settings(self) -> RenderSettings:
        """The choices of a render as the bridge's plain data."""
        return RenderSettings(
            tier=self.tier,
            steps=self.steps,
            crop_size=int(self.crop_size),
            label=self.label,
            invisible_mark=self.invisible_mark,
            preset=self.preset,
            weights="" if self.sd15_weights == "ANY" else self.sd15_weights,
            sd15_steps=self.sd15_steps,
        )


CLASSES = (PinnedRange, AutterObjectSettings, AutterSceneSettings)


def register() -> None:
    """Adds the two pointers."""
    for cls in CLASSES:
        bpy.utils.register_class(cls)
    bpy.types.Object.autter = PointerProperty(type=AutterObjectSettings)
    bpy.types.Scene.autter = PointerProperty(type=AutterSceneSettings)


def unregister() -> None:
    """Takes them away again."""
    del bpy.types.Scene.autter
    del bpy.types.Object.autter
    for cls in reversed(CLASSES):
        bpy.utils.unregister_class(cls)

# SPDX-License-Identifier: GPL-3.0-or-later
"""The tab "AUtter" in the sidebars of the 3-D viewport and the sequencer, put together from a file per panel.

They draw what panel_state has worked out.
"""

from __future__ import annotations

import bpy

from .panel_actor import ActorPanel
from .panel_aus import ChannelPanel, ExpressionsPanel, UnitsPanel
from .panel_backend import BackendPanel
from .panel_exchange import ExchangePanel
from .panel_predict import PredictPanel
from .panel_render import RenderPanel
from .panel_takes import QueuePanel, TakesPanel
from .panel_voice import VoicePanel

_SPACES = {"VIEW_3D": "VIEW3D", "SEQUENCE_EDITOR": "SEQUENCER"}
_SECTIONS = (
    ("backend", BackendPanel),
    ("actor", ActorPanel),
    ("voice", VoicePanel),
    ("predict", PredictPanel),
    ("units", UnitsPanel),
    ("render", RenderPanel),
    ("takes", TakesPanel),
    ("queue", QueuePanel),
    ("exchange", ExchangePanel),
)
# Beside the timeline of strips it is voice, render and takes that are worked with; the sliders stand open in the viewport.
_CLOSED = {("SEQUENCE_EDITOR", "units")}
_GROUPS = (("upper", "Upper Face"), ("lower", "Lower Face"), ("head", "Head"))


def _make_classes() -> tuple[type, ...]:
    """Each panel once for each sidebar."""
    made: list[type] = []
    for space, prefix in _SPACES.items():
        for name, base in _SECTIONS:
            attributes = {"bl_space_type": space, "__module__": __name__}
            if (space, name) in _CLOSED:
                attributes["bl_options"] = {"DEFAULT_CLOSED"}
            made.append(type(f"{prefix}_PT_autter_{name}", (base, bpy.types.Panel), attributes))
        attributes = {"bl_space_type": space, "bl_parent_id": f"{prefix}_PT_autter_units", "__module__": __name__}
        made.append(type(f"{prefix}_PT_autter_expressions", (ExpressionsPanel, bpy.types.Panel), attributes))
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

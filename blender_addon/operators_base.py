# SPDX-License-Identifier: GPL-3.0-or-later
"""What all our operators share: one function says why an operator is disabled, and Faults become reports."""

from __future__ import annotations

from typing import Any

import bpy
from bpy.props import BoolProperty, FloatProperty

from . import actors, backend_link, panel_state
from .backend_link import LONGEST_WAIT
from .reports import reporting, tell


class AutterOperator:
    """Mixin. ``disabled_reason`` is the one source of ``poll`` and of the tooltip of a greyed-out button."""

    @classmethod
    def disabled_reason(cls, context: bpy.types.Context) -> str:
        """Why the operator cannot run, in one sentence without a full stop; empty if it can."""
        return ""

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """Blender's question whether the operator can run."""
        reason = cls.disabled_reason(context)
        if reason:
            cls.poll_message_set(reason)
        return not reason


class ActorOperator(AutterOperator):
    """Mixin of operators on the present actor."""

    @classmethod
    def disabled_reason(cls, context: bpy.types.Context) -> str:
        """Needs an actor."""
        return no_actor(context)


class ActorEdit(ActorOperator):
    """Mixin of operators that change the present actor and have little to tell."""

    def edit(self, context: bpy.types.Context, actor: bpy.types.Object) -> str:
        """Does it; the sentence to report, empty if there is nothing to say."""
        raise NotImplementedError

    @reporting
    def execute(self, context: bpy.types.Context) -> set[str]:
        """The edit; the panels read the actor anew."""
        sentence = self.edit(context, actors.require_actor(context))
        panel_state.forget()
        if sentence:
            tell(self, sentence)
        return {"FINISHED"}


class WaitingOperator(AutterOperator):
    """An operator that asks the backend: it returns at once, or waits where ``wait`` is set or no timer runs."""

    wait: BoolProperty(
        name="Wait", description="Return only when the result is there; always so in background mode", default=False, options={"SKIP_SAVE"}
    )
    longest_wait: FloatProperty(
        name="Longest Wait", description="Seconds after which waiting is given up", default=LONGEST_WAIT, min=1, options={"SKIP_SAVE"}
    )

    def waits(self) -> bool:
        """Whether to pump the backend here and now."""
        return self.wait or bpy.app.background

    def finish(self, context: bpy.types.Context, job: Any) -> Any:
        """The finished job, waited for."""
        return backend_link.wait_for(job, self.longest_wait, context)


def no_actor(context: bpy.types.Context) -> str:
    """Reason shared by everything that works on an actor."""
    if actors.find_actor(context) is None:
        return "Make an actor first with New Actor from Portrait, or select one"
    return ""


def is_fitting(context: bpy.types.Context) -> str:
    """Reason shared by everything that would read or write the animation."""
    actor = actors.find_actor(context)
    return "The rig is being fitted; keep or cancel the fit first" if actor is not None and actor.autter.fitting else ""


def no_backend() -> str:
    """Reason shared by everything that needs the backend."""
    missing = backend_link.backend_missing()
    return f"{missing} Press Set Up Backend, or choose it in the add-on's preferences" if missing else ""


def job_running(*kinds: str) -> str:
    """Reason shared by everything of which one at a time is enough."""
    job = backend_link.book.running(*kinds)
    return f"{job.title} is under way; wait for it or cancel it" if job else ""

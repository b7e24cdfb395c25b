# SPDX-License-Identifier: GPL-3.0-or-later
"""Puts a finished job's result into the file: an actor, a prediction, a take."""

from __future__ import annotations

from pathlib import Path

import bpy
import numpy as np

from . import actors, backend_link, build_actor, capture, fitting, panel_state, pictures, predicting, sample_scene, take_results
from .bridge.faults import Fault
from .bridge.landmarks import LANDMARK_COUNT
from .jobs import Ending, Job


def use(context: bpy.types.Context, job: Job) -> str:
    """Uses the result of a job of the present file; the sentence to report. Raises Fault."""
    users = {
        "portrait": _build_actor,
        "predict": _write_prediction,
        "render": take_results.add_take,
        "preview_frame": pictures.use_preview,
        "capture": capture.use_capture,
    }
    sentence = users[job.kind](context, job)
    job.details["following"] = sample_scene.next_job(context, job)
    if job.kind in ("render", "capture"):
        backend_link.book.endings.append(Ending(job.title, sentence, True, str(job.details.get("path", ""))))
    panel_state.forget()
    return sentence


def _build_actor(context: bpy.types.Context, job: Job) -> str:
    landmarks = np.asarray(job.result.arrays.get("landmarks", ()), np.float32)
    size = job.result.header.get("portrait_size", ())
    if landmarks.shape != (LANDMARK_COUNT, 2) or not np.isfinite(landmarks).all() or len(size) != 2:
        raise Fault("result-invalid", "The backend's answer holds no landmarks.", "Update the add-on or the backend so that both match.")
    if job.details.get("refit"):
        return fitting.refit(actor_of_job(job), landmarks, (int(size[0]), int(size[1])))
    actor = build_actor.build_actor(
        context, Path(job.details["path"]), landmarks, (int(size[0]), int(size[1])), job.details.get("name", "")
    )
    if job.details.get("sample"):
        sample_scene.furnish(context, actor)
        return f"{actor.name} is ready and keyed."
    return f"{actor.name} is ready: key its AUs, add a voice, then Predict."


def _write_prediction(context: bpy.types.Context, job: Job) -> str:
    return predicting.use_answer(actor_of_job(job), job)


def actor_of_job(job: Job) -> bpy.types.Object:
    """The job's actor, also after it was renamed; Fault ``actor-missing``."""
    by_uid = [found for found in bpy.data.objects if job.origin.actor_uid and found.session_uid == job.origin.actor_uid]
    found = by_uid[0] if by_uid else bpy.data.objects.get(job.origin.actor)
    if not actors.is_actor(found):
        raise Fault(
            "actor-missing",
            f'The actor "{job.origin.actor}" is gone, so its result cannot be used.',
            "Undo its deletion and run the job again.",
        )
    return found

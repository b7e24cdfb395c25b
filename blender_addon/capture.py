# SPDX-License-Identifier: GPL-3.0-or-later
"""A performance from elsewhere (a video, a table) becomes keys on the actor's AUs, editable like any others."""

from __future__ import annotations

from fractions import Fraction

import bpy
import numpy as np
from numpy.typing import NDArray

from . import au_keys, curves, panel_state
from .bridge.facs import AU_KEYS
from .bridge.faults import Fault
from .bridge.shot import Track
from .jobs import Job

SMOOTHING_SECONDS = 0.06  # of captured readings: less than a blink's closing
QUIET = 0.25  # intensity below which an AU of the whole capture is noise and left free


def use_capture(context: bpy.types.Context, job: Job) -> str:
    """The result of Capture from Video: keys on the actor. The sentence to report."""
    from .use_results import actor_of_job

    actor = actor_of_job(job)
    track = Track.from_message(job.result.header, job.result.arrays)
    if track.aus is None:
        raise Fault("result-invalid", "The backend's answer holds no AUs.", "Update the add-on or the backend so that both match.")
    values = smoothed(track.aus, track.fps, job.details["smoothing"])
    times = np.arange(len(values)) / float(track.fps)
    keys = captured_keys(times, values, job.details["tolerance"], job.details["keep"])
    if not keys:
        raise Fault("capture-empty", "The face in the video hardly moves; nothing was keyed.", "Use a clip with more expression.")
    curves.set_keys(actor, keys, job.details["frame_start"], job.details["fps"])
    panel_state.forget()
    return f"Captured {', '.join(keys)} over {len(values) / float(track.fps):.1f} s; all other AUs stay free."


def captured_keys(times: NDArray[np.float64], values: NDArray[np.float64], tolerance: float, keep: frozenset[str]) -> au_keys.Keys:
    """Thinned keys of every AU that moves. ``values``: (rows, 18). ``keep``: AUs that are to be left as they are."""
    return {
        key: au_keys.thinned_keys(times, np.clip(values[:, column], 0.0, 5.0), tolerance)
        for column, key in enumerate(AU_KEYS)
        if key not in keep and float(values[:, column].max(initial=0.0)) >= QUIET
    }


def smoothed(values: NDArray[np.float32], fps: Fraction, seconds: float = SMOOTHING_SECONDS) -> NDArray[np.float64]:
    """Readings without their flicker: a Gaussian of that standard deviation along time, ends held."""
    deviation = seconds * float(fps)
    if deviation < 0.3 or len(values) < 3:
        return np.asarray(values, np.float64)
    reach = int(np.ceil(3 * deviation))
    weights = np.exp(-0.5 * (np.arange(-reach, reach + 1) / deviation) ** 2)
    weights /= weights.sum()
    padded = np.pad(np.asarray(values, np.float64), ((reach, reach), (0, 0)), mode="edge")
    return np.stack([np.convolve(padded[:, column], weights, mode="valid") for column in range(values.shape[1])], 1)

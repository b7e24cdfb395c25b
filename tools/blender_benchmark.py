# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs inside bpy: `python blender_benchmark.py OUT.json`, the times that an animator feels.

AUTTER_BACKEND_PYTHON names the backend's Python; without it the live edit is left out.
"""

from __future__ import annotations

import importlib
import json
import os
import shutil
import sys
import tempfile
import time
import traceback
from contextlib import suppress
from pathlib import Path
from types import ModuleType
from typing import Any, Dict, List, Optional, Set, Tuple

ROOT = Path(__file__).resolve().parents[1]
FPS = 25
LONG = 30 * FPS  # frames of the shot that is written and played
SHORT = 10 * FPS  # frames of the shot that is edited live
BATCH = 25
REPEATS = 5
LONGEST_WAIT = 300.0
PORTRAIT, VOICE = ROOT / "backend" / "sample" / "portrait.jpg", ROOT / "backend" / "sample" / "line.wav"

sys.path.insert(0, str(ROOT))
scratch = Path(tempfile.mkdtemp(prefix="autter-benchmark-"))
os.environ.setdefault("BLENDER_USER_RESOURCES", str(scratch / "blender"))
os.environ.setdefault("AUTTER_HOME", str(scratch / "home"))
os.environ.setdefault("AUTTER_SOURCE", str(ROOT))
Path(os.environ["BLENDER_USER_RESOURCES"]).mkdir(parents=True, exist_ok=True)

import bpy  # noqa: E402
import numpy as np  # noqa: E402


def part(name: str) -> ModuleType:
    """A module of the add-on."""
    return importlib.import_module("blender_addon." + name)


def made_up_track(rest: np.ndarray, size: Any, frames: int) -> Any:
    """A track in which every landmark moves in every frame, and every AU is filled in."""
    from fractions import Fraction

    drift = np.cumsum(np.random.default_rng(0).normal(0, 0.3, (frames, 162, 2)), 0).astype(np.float32)
    aus = np.tile(np.linspace(0, 5, frames, dtype=np.float32)[:, None], (1, 18))
    landmarks = rest + drift
    return part("bridge.shot").Track(landmarks, np.zeros_like(landmarks), Fraction(FPS), tuple(size), rest, aus)


def actor_from(portrait: Path) -> Any:
    """An actor on the sample portrait; landmarks laid out as an average face, since only times are looked at."""
    image = bpy.data.images.load(str(portrait))
    size = tuple(image.size)
    draw = np.random.default_rng(1).uniform(0.3, 0.7, (162, 2)).astype(np.float32) * size
    table = part("bridge.landmarks")
    draw[table.EYE_OUTER_LEFT], draw[table.EYE_OUTER_RIGHT] = (0.65 * size[0], 0.4 * size[1]), (0.35 * size[0], 0.4 * size[1])
    return part("build_actor").build_actor(bpy.context, portrait, draw, size, "Ada")


def perform(frames: int) -> None:
    """Keys as an animator has them in the action above the prediction: nine AUs and two head channels, a key every half second."""
    for place, key in enumerate(("AU01", "AU02", "AU04", "AU06", "AU07", "AU15", "AU25", "AU26", "AU45", "head_yaw", "head_roll")):
        for frame in range(1, frames + 1, 12):
            bpy.ops.autter.key_au(key=key, frame=frame, value=(frame // 12 + place) % 3)


def writing(actor: Any) -> Dict[str, float]:
    """Seconds to write 750 frames: the first time, and over a former prediction."""
    track = made_up_track(part("actors").rest_landmarks(actor), actor.autter.portrait_size, LONG)
    first, again = [], []
    for _ in range(REPEATS):
        part("prediction").remove_prediction(actor)
        for times in (first, again):
            began = time.perf_counter()
            part("prediction").write_prediction(actor, track, 1)
            times.append(time.perf_counter() - began)
    return {"first": min(first), "again": min(again)}


def playback(scene: Any) -> Dict[str, float]:
    """Milliseconds a frame over 30 seconds: the whole, the best batch, which is what a quiet machine would do, and the processor's
    share of the main thread.
    """
    batches: List[float] = []
    busy: List[float] = []
    for _ in range(2):
        for start in range(1, LONG, BATCH):
            began, worked = time.perf_counter(), time.thread_time()
            for frame in range(start, start + BATCH):
                scene.frame_set(frame)
            batches.append((time.perf_counter() - began) / BATCH * 1000)
            busy.append((time.thread_time() - worked) / BATCH * 1000)
    return {"median": float(np.median(batches)), "best": min(batches), "busy": float(np.median(busy))}


def with_keys(actor: Any, scene: Any) -> Dict[str, float]:
    """Playback of a prediction whose samples were made keys."""
    part("prediction").set_keyed(actor, True)
    try:
        return playback(scene)
    finally:
        part("prediction").set_keyed(actor, False)


def on_one_core(scene: Any) -> Optional[Dict[str, float]]:
    """Playback with all of Blender's threads on one core. Blender hands hundreds of small tasks from core to core, so the figure above
    depends on how far apart these are, and this one does not. None where a process cannot choose.
    """
    if not hasattr(os, "sched_setaffinity"):
        return None
    cores = os.sched_getaffinity(0)
    try:
        keep_to({max(cores)})
        return playback(scene)
    finally:
        keep_to(cores)


def keep_to(cores: Set[int]) -> None:
    """Keeps every thread of this process to some cores."""
    for thread in os.listdir("/proc/self/task"):
        with suppress(ProcessLookupError):
            os.sched_setaffinity(int(thread), cores)


Stall = Tuple[float, float]  # milliseconds by the clock and of the processor


def one_tick(ticks: ModuleType, stalls: List[Stall]) -> float:
    """A tick as Blender's timer would call it; the seconds until the next. How long it held Blender goes to ``stalls``, unless it wrote."""
    held, worked, stamps = time.perf_counter(), time.thread_time(), written()
    pause = ticks.tick()
    if stamps == written():
        stalls.append(((time.perf_counter() - held) * 1000, (time.thread_time() - worked) * 1000))
    return float(pause)


def tick_until(ticks: ModuleType, done: Any, stalls: List[Stall]) -> float:
    """Ticks until ``done()``; the seconds that it took."""
    began = time.perf_counter()
    while not done():
        pause = one_tick(ticks, stalls)
        if time.perf_counter() - began > LONGEST_WAIT:
            raise RuntimeError("the backend did not answer: %s" % (part("reports").latest_problem() or part("live").trouble))
        time.sleep(pause)
    return time.perf_counter() - began


def written() -> List[str]:
    """Changes whenever a tick has written something to a rig."""
    return [found.autter.prediction_stamp for found in bpy.data.objects]


def live_edits(scene: Any) -> Dict[str, Any]:
    """Seconds from moving one AU key of a ten-second shot to the rig that follows, and the longest stall of a tick."""
    ticks, link = part("ticks"), part("backend_link")
    bpy.ops.autter.new_actor(filepath=str(PORTRAIT))
    actor = bpy.context.view_layer.objects.active
    scene.autter.actor = actor
    scene.frame_end = SHORT
    for start in (1, 90, 170):
        bpy.ops.autter.add_voice(filepath=str(VOICE), frame_start=start)
    perform(SHORT)
    for frame, value in ((1, 0), (80, 0), (100, 3), (120, 3), (140, 0), (SHORT, 0)):
        bpy.ops.autter.key_au(key="AU12", frame=frame, value=value)
    stalls: List[Stall] = []
    scene.autter.live = True
    whole = tick_until(ticks, lambda: part("prediction").predicted_range(actor) is not None, stalls)
    times = []
    for number in range(REPEATS):
        stamp = actor.autter.prediction_stamp
        curve = next(curve for curve in part("curves").animator_curves(actor) if curve.data_path == '["AU12"]')
        curve.keyframe_points[2].co[1] = 1.0 + 0.7 * number
        curve.update()
        actor.animation_data.action.update_tag()
        bpy.context.view_layer.update()
        times.append(tick_until(ticks, lambda before=stamp: actor.autter.prediction_stamp != before, stalls))
    for _ in range(40):
        one_tick(ticks, stalls)
    link.close()
    stalls = stalls[1:]  # the first tick loads modules
    return {
        "whole": whole,
        "edit": float(np.median(times)),
        "best": min(times),
        "stall_median": float(np.median([clock for clock, _ in stalls])),
        "stall_most": max(clock for clock, _ in stalls),
        "stall_busy": max(busy for _, busy in stalls),
    }


def main(out: Path) -> None:
    """All figures as JSON."""
    package = importlib.import_module("blender_addon")
    package.register()
    bpy.ops.wm.read_homefile(use_empty=True, use_factory_startup=True)
    scene = bpy.context.scene
    scene.render.fps, scene.frame_start, scene.frame_end = FPS, 1, LONG
    actor = actor_from(PORTRAIT)
    perform(LONG)
    figures: Dict[str, Any] = {"blender": bpy.app.version_string, "write": writing(actor), "play": playback(scene)}
    figures["play_on_one_core"] = on_one_core(scene)
    figures["play_with_keys"] = with_keys(actor, scene)
    part("handle_rig").switch_on(actor, part("handle_layout").REGION_TITLES)
    figures["play_with_handles"] = playback(scene)
    if os.environ.get("AUTTER_BACKEND_PYTHON"):
        bpy.ops.wm.read_homefile(use_empty=True, use_factory_startup=True)
        scene = bpy.context.scene
        scene.render.fps, scene.frame_start = FPS, 1
        figures["live"] = live_edits(scene)
    out.write_text(json.dumps(figures), encoding="utf-8")


if __name__ == "__main__":
    code = 0
    try:
        main(Path(sys.argv[1]))
    except BaseException:
        traceback.print_exc()
        code = 1
    shutil.rmtree(scratch, ignore_errors=True)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # some versions of bpy hang or crash on the way out

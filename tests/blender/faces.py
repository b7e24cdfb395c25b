# SPDX-License-Identifier: GPL-3.0-or-later
"""Material of the tests: a face's landmarks, a portrait file, a voice file, a backend's double. All made here."""

from __future__ import annotations

import wave
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import bpy
import numpy as np

SIZE = (400, 500)
REACH = 10  # frames on either side of an edit that the double predicts anew


def landmarks(addon) -> np.ndarray:
    """A plausible face, (162, 2) pixels: every contour an ellipse that starts and turns as its landmarks do."""
    regions = addon.bridge.landmarks.REGIONS
    # Region: middle, half width, half height, angle of the first point, sense (1: clockwise in the image).
    ellipses = {
        "lips_outer": (200, 340, 50, 22, np.pi, -1), "lips_inner": (200, 340, 36, 8, np.pi, -1),
        "eye_left": (250, 220, 26, 11, 0, 1), "eye_right": (150, 220, 26, 11, np.pi, -1),
        "brow_left": (252, 185, 36, 8, 0, 1), "brow_right": (148, 185, 36, 8, np.pi, -1), "face_oval": (200, 265, 120, 165, -np.pi / 2, 1),
        "iris_left": (250, 220, 8, 8, 0, -1), "iris_right": (150, 220, 8, 8, 0, -1), "iris_centres": (200, 220, 50, 0, 0, 1),
    }  # fmt: skip
    out = np.zeros((addon.bridge.landmarks.LANDMARK_COUNT, 2), np.float32)
    for region, (x, y, width, height, first, sense) in ellipses.items():
        angle = first + sense * np.linspace(0, 2 * np.pi, len(regions[region]), endpoint=False)
        out[list(regions[region])] = np.stack([x + width * np.cos(angle), y + height * np.sin(angle)], 1)
    nose = list(regions["nose"])
    out[nose[:10]] = np.stack([np.full(10, 200), np.linspace(225, 300, 10)], 1)  # the ridge, from the bridge to the lip
    for wing, side in ((nose[10:17], -1), (nose[17:], 1)):
        ordered = wing if side < 0 else wing[::-1]
        out[ordered] = np.stack([200 + side * np.array([8, 16, 22, 24, 22, 16, 8]), np.linspace(300, 270, 7)], 1)
    return out


def portrait(folder: Path, name: str = "portrait.png") -> Path:
    """A small image file."""
    image = bpy.data.images.new("made", *SIZE)
    image.filepath_raw, image.file_format = str(folder / name), "PNG"
    image.save()
    bpy.data.images.remove(image)
    return folder / name


def voice(folder: Path, seconds: float = 4.0, rate: int = 16000, name: str = "voice.wav") -> Path:
    """A hum as 16-bit WAV."""
    path = folder / name
    samples = (np.sin(np.arange(int(seconds * rate)) * 0.06) * 9000).astype("<i2")
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(samples.tobytes())
    return path


def actor(addon, folder: Path):
    """An actor built from the made-up face."""
    return addon.build_actor.build_actor(bpy.context, portrait(folder), landmarks(addon), SIZE, "Ada")


def track(addon, frames: int, amount: float = 6.0, fps: int = 24, aus: np.ndarray | None = None):
    """A track in which the lower lip falls and returns, and every point drifts a little."""
    rest = landmarks(addon)
    moved = np.repeat(rest[None], frames, 0)
    wave_form = np.sin(np.arange(frames) / 5).astype(np.float32)
    moved[:, list(addon.bridge.landmarks.REGIONS["lips_inner"]), 1] += amount * wave_form[:, None]
    moved[:, :, 0] += 0.1 * wave_form[:, None]
    from fractions import Fraction

    return addon.bridge.shot.Track(moved, np.zeros_like(moved), Fraction(fps), SIZE, rest, aus)


class FakeClient:
    """A backend's double that answers at the second poll. ``answers`` by kind: header and arrays, or a Fault."""

    def __init__(self, addon, answers: dict[str, Callable]) -> None:
        self.addon, self.answers = addon, answers
        self.state, self.device, self.memory_mb, self.last_fault, self.backend_version = (
            addon.bridge.client.BackendState.OFF,
            "cpu",
            512.0,
            None,
            "0.1.0",
        )
        self.requests: list[SimpleNamespace] = []
        self.waiting: list[SimpleNamespace] = []
        self.held = False  # while set, nothing is answered
        self.cancelled: list[int] = []
        self.events: list = []  # to be told at the next poll
        self.freed = self.closed = 0
        self.jobs = 0

    def start(self) -> None:
        self.state = self.addon.bridge.client.BackendState.READY

    def _ask(self, kind: str, **given) -> int:
        self.start()
        self.jobs += 1
        request = SimpleNamespace(kind=kind, job=self.jobs, **given)
        self.requests.append(request)
        self.waiting.append(request)
        return self.jobs

    def find_portrait(self, path) -> int:
        return self._ask("portrait", path=path)

    def predict(self, shot, *, window=None, edited=None) -> int:
        return self._ask("predict", shot=shot, window=window, edited=edited)

    def render(self, shot, track, out_path, frames=None, *, keep_partial=False, reuse=None, memory=None) -> int:
        given = {"keep_partial": keep_partial, "reuse": reuse, "memory": memory}
        return self._ask("render", shot=shot, track=track, out_path=out_path, frames=frames, **given)

    def preview_frame(self, shot, track, frame, *, small=False) -> int:
        return self._ask("preview_frame", shot=shot, track=track, frame=frame, small=small)

    def capture(self, path) -> int:
        return self._ask("capture", path=path)

    def cancel(self, job) -> None:
        self.cancelled.append(job)

    def free_memory(self) -> None:
        self.freed += 1

    def request_status(self) -> None:
        pass

    def stop(self) -> None:
        self.close(0.0)

    def close(self, timeout=2.0) -> None:
        self.closed += 1
        self.close_seconds = timeout
        self.state = self.addon.bridge.client.BackendState.OFF

    def poll(self) -> list:
        event = self.addon.bridge.client.Event
        events, self.events = self.events, []
        for request in [] if self.held else list(self.waiting):
            self.waiting.remove(request)
            events.append(event("progress", request.job, {"done": 1, "total": 2, "eta_s": 3.0, "phase": "frames"}))
            if request.job in self.cancelled and not getattr(request, "keep_partial", False):
                answer = self.addon.bridge.faults.Fault("cancelled", "The job was cancelled.")
            else:
                answer = self.answers[request.kind](request)
            if isinstance(answer, Exception):
                events.append(event("failed", request.job, answer.to_dict()))
            else:
                events.append(event("result", request.job, *answer))
        return events


def double(addon, **answers) -> FakeClient:
    """Puts a FakeClient in the backend's place."""
    client = FakeClient(addon, {"portrait": lambda request: ({"portrait_size": list(SIZE)}, {"landmarks": landmarks(addon)}), **answers})
    addon.backend_link.client_factory = lambda python: client
    return client


def predicting(addon, amount: float = 6.0) -> Callable:
    """An answer to ``predict`` of the right length."""

    def answer(request):
        frames = request.shot.frame_count
        aus = np.where(request.shot.au_keyed, request.shot.au_values, 0.7).astype(np.float32)
        whole = track(addon, frames, amount + 0.5 * request.shot.seed, aus=aus)
        first, end = request.window or (0, frames)
        if request.edited:
            first, end = max(0, request.edited[0] - REACH), min(frames, request.edited[1] + REACH)
        rows = {name: getattr(whole, name)[first:end] for name in ("landmarks", "motion", "aus")}
        return replace(whole, first_frame=first, **rows).to_message()

    return answer

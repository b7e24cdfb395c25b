# SPDX-License-Identifier: GPL-3.0-or-later
"""The tier for everybody else: what it needs, and frames of a shot under a plan that fits into the memory.

Where a plan turns out not to fit, the next cheaper one goes on from the frame that was being made, and a note says so.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bridge.faults import Fault
from bridge.shot import RenderSettings, Voice

from . import memory, presets
from .catalogue import VOICE_ENCODER
from .settings import Sd15Settings
from .store import Weights, fetch_command, find_weights, gigabytes

if TYPE_CHECKING:
    from .engine import Engine
    from .memory import Plan
    from .pipeline import Sd15Pipeline, Step, VoiceSource
    from .setting import Setting

Picture = NDArray[np.uint8]
Array = NDArray[np.float32]
Share = Callable[[float], None]  # share of the work done, 0..1; may raise to cancel
Look = Callable[[Picture], None]
LOOK_SECONDS = 1.0  # between two looks at unfinished frames
TICK_SECONDS = 0.1  # between two questions whether to go on, while weights are read and networks work
log = logging.getLogger("autter.sd15")


@dataclass(frozen=True)
class Outlook:
    """What a render is going to take. Bytes; ``free`` is None where the system does not tell."""

    weights: Weights
    settings: Sd15Settings
    plan: Plan
    needs: dict[str, int]
    free: int | None
    device: str
    device_name: str

    @property
    def sentence(self) -> str:
        """For a person, before the start."""
        need = gigabytes(self.needs[self.plan.name])
        left = "" if self.free is None else f", {gigabytes(self.free)} are free"
        short = self.free is not None and self.needs[self.plan.name] > self.free
        tail = "; that may not be enough" if short else f": {self.plan.sentence}"
        return f"{self.weights.chosen.title} on {self.device_name} needs about {need}{left}{tail}."

    @property
    def remarks(self) -> list[str]:
        """What these weights do not do, in sentences."""
        if self.weights.chosen.family != "echomimic":
            return []
        remarks = ["With these weights the voice alone moves the mouth: keys and edits of lips and jaw do not show."]
        if VOICE_ENCODER.key not in self.weights.parts:
            size = gigabytes(VOICE_ENCODER.about)
            fetch = f"fetch it with `{fetch_command(self.weights.chosen)}`"
            remarks.append(f"The mouth will stay near silence, because the voice encoder ({size}) is not there: {fetch}.")
        return remarks


@dataclass(frozen=True)
class Hearing:
    """The voice of a shot, for weights that listen: its pieces in shot time and the frames a second."""

    pieces: tuple[Voice, ...]
    fps: Fraction


@dataclass
class Rendering:
    """One request. ``notes`` grows while frames are made."""

    outlook: Outlook
    notes: list[str] = field(default_factory=list)


def check(settings: RenderSettings) -> None:
    """Raises Fault ``preset-unknown``, ``steps-range``, ``weights-unknown``, ``weights-missing`` or ``package-missing``; loads nothing."""
    presets.check(settings.preset, settings.sd15_steps)
    check_packages()
    find_weights(settings.weights)


def check_packages() -> None:
    """Raises Fault ``package-missing``."""
    import importlib.util

    missing = [name for name in ("diffusers", "transformers", "accelerate") if importlib.util.find_spec(name) is None]
    if missing:
        sentence = f"The tier sd15 needs packages that are not installed: {', '.join(missing)}."
        raise Fault(
            "package-missing",
            sentence,
            "Install them with Set Up Backend, Stable Diffusion ticked, or with `python -m backend doctor --tier sd15 --fix`.",
        )


def outlook(settings: RenderSettings, seed: int = 0) -> Outlook:
    """What a render with these settings takes here. Raises the faults of ``check``."""
    check(settings)
    weights = find_weights(settings.weights)
    setting = _setting(weights)
    chosen = presets.settings_of(weights.chosen.key, settings.preset, steps=settings.sd15_steps, seed=seed)
    chosen = replace(chosen, size=setting.picture_side, tiny_decoder=chosen.tiny_decoder and "tiny_decoder" in weights.parts)
    needs, free = setting.needs(chosen), memory.free_bytes(setting.device)
    held = _engine_bytes(setting.device)
    free = None if free is None else free + held
    plan = memory.choose(needs, free, setting.plans)
    return Outlook(weights, chosen, plan, needs, free, setting.device, _device_name(setting.device))


def render_rows(
    portrait: Picture,
    portrait_landmarks: Array,
    landmarks: Array,
    rendering: Rendering,
    *,
    first_frame: int = 0,
    frame_count: int | None = None,
    fraction: Share | None = None,
    look: Look | None = None,
    hearing: Hearing | None = None,
) -> Iterator[Picture]:
    """Pictures (h, w, 3) uint8 of the portrait's size, one for each row; see ``render.render_frames``.

    ``fraction`` is told the share done, while weights are read and networks work and after every evaluation; it may raise to stop.
    ``look`` gets unfinished pictures now and then. ``hearing``: what EchoMimic's weights hear. Raises Fault ``out-of-memory`` where even
    the cheapest plan does not fit.
    """
    end = len(landmarks) if frame_count is None else min(first_frame + frame_count, len(landmarks))
    plan, done = rendering.outlook.plan, 0
    while True:
        watch = _Watch(fraction, look, done / max(end - first_frame, 1))
        job = _Job(portrait, portrait_landmarks, landmarks, rendering.outlook, hearing, watch)
        try:
            for picture in _frames(job, plan, first_frame + done, end):
                yield picture
                done += 1
            return
        except (RuntimeError, MemoryError) as error:
            if not memory.is_full(error):
                raise
            plan = _next_plan(rendering, plan, error)


def free() -> None:
    """Lets go of the networks. Banks of portraits stay on disk."""
    if _engine is not None:
        _engine.free()


@dataclass(frozen=True)
class _Job:
    """What a request stays with from plan to plan."""

    portrait: Picture
    portrait_landmarks: Array
    landmarks: Array
    ahead: Outlook
    hearing: Hearing | None
    watch: _Watch


def _frames(job: _Job, plan: Plan, first: int, end: int) -> Iterator[Picture]:
    from .crop import PasteBack, portrait_crop
    from .render import portrait_square, render_frames

    engine, setting, watch = _the_engine(), _setting(job.ahead.weights), job.watch
    size = (job.portrait.shape[1], job.portrait.shape[0])
    watch.paste = PasteBack(job.portrait, portrait_crop(job.portrait_landmarks, job.landmarks, size))
    square = portrait_square(job.portrait, job.portrait_landmarks, job.landmarks, job.ahead.settings.size)
    bank = engine.bank(setting, plan, square, watch.tick)
    pipeline = engine.pipeline(setting, plan, job.ahead.settings, watch.tick)
    pipeline.use_voice(_heard(engine, setting, job, pipeline))
    yield from render_frames(
        job.portrait,
        job.portrait_landmarks,
        job.landmarks,
        models=pipeline.models,
        settings=pipeline.settings,
        first_frame=first,
        frame_count=end - first,
        bank=bank,
        callback=watch,
        pipeline=pipeline,
    )


def _heard(engine: Engine, setting: Setting, job: _Job, pipeline: Sd15Pipeline) -> VoiceSource | None:
    """The shot's voice for weights that listen to one; None where nothing can be heard. Raises Fault ``sd15-keys``."""
    encoder = engine.voice_encoder(setting) if job.hearing is not None and setting.weights.chosen.family == "echomimic" else None
    if encoder is None or job.hearing is None:
        return None
    wanted = pipeline.models.config.cross_attention_dim
    if encoder.width != wanted:
        sentence = f"The voice encoder makes {encoder.width} numbers, the denoiser listens to {wanted}: they do not belong together."
        raise Fault("sd15-keys", sentence, "EchoMimic's weights need openai/whisper-tiny.")
    from .voice import ShotVoice

    return ShotVoice.of(encoder, job.hearing.pieces, job.hearing.fps, len(job.landmarks))


def _next_plan(rendering: Rendering, plan: Plan, error: Exception) -> Plan:
    """The next cheaper plan, with a note; the networks are let go of. Raises Fault ``out-of-memory`` after the last."""
    setting = _setting(rendering.outlook.weights)
    following = memory.cheaper(plan, setting.plans)
    error.__traceback__ = None  # its frames hold the tensors that did not fit
    _the_engine().free()
    if following is None:
        need = gigabytes(rendering.outlook.needs[plan.name])
        raise Fault(
            "out-of-memory",
            f"The memory of {rendering.outlook.device_name} is not enough for the tier sd15, which needs about {need} at the least.",
            "Close other programs that use it, choose the preset draft, or render with the tier small.",
        ) from None
    note = f"The memory was not enough; went on with a cheaper plan: {following.sentence}."
    log.warning("%s (%s)", note, str(error).splitlines()[0] if str(error) else type(error).__name__)
    rendering.notes.append(note)
    return following


class _Watch:
    """Turns the pipeline's steps into a share done and looks."""

    def __init__(self, fraction: Share | None, look: Look | None, before: float) -> None:
        self._fraction, self._look, self._before, self._share = fraction, look, before, before
        self._looked = self._ticked = time.monotonic()
        self.paste: Callable[[Picture], Picture] = np.asarray

    def tick(self) -> None:
        """While weights are read and networks work, which may take minutes: a cancelled job ends here."""
        if self._fraction is not None and time.monotonic() - self._ticked >= TICK_SECONDS:
            self._ticked = time.monotonic()
            self._fraction(self._share)

    def __call__(self, step: Step) -> None:
        self._share = self._before + (1 - self._before) * step.done
        if self._fraction is not None:
            self._fraction(self._share)
        if self._look is not None and time.monotonic() - self._looked >= LOOK_SECONDS:
            self._look(self.paste(step.picture()))
            self._looked = time.monotonic()


_engine: Engine | None = None


def _the_engine() -> Engine:
    global _engine
    if _engine is None:
        from .engine import Engine

        _engine = Engine()
    return _engine


def _engine_bytes(device: str) -> int:
    """What loaded networks occupy on the device; it counts as free, for they make room or are what is needed."""
    if _engine is None or not _engine.loaded:
        return 0
    if device.startswith("cuda"):
        import torch

        return int(torch.cuda.memory_allocated())
    return _engine.bytes


def _setting(weights: Weights) -> Setting:
    from .setting import Setting

    return Setting.here(weights)


def _device_name(device: str) -> str:
    if device.startswith("cuda"):
        import torch

        return str(torch.cuda.get_device_name())
    return {"mps": "the Apple GPU", "cpu": "the processor"}[device]


def tell(settings: RenderSettings) -> dict[str, Any]:
    """Whether the tier is ready, in plain data for a panel: ``ready, sentence, hint, weights, need_gb, free_gb``. Never raises a Fault."""
    try:
        ahead = outlook(settings)
    except Fault as fault:
        return {"ready": False, "sentence": fault.sentence, "hint": fault.hint}
    needs = {name: round(outlook(replace(settings, preset=name)).needs[ahead.plan.name] / 1e9, 1) for name in presets.NAMES}
    free_gb = None if ahead.free is None else round(ahead.free / 1e9, 1)
    return {
        "ready": True,
        "sentence": ahead.sentence,
        "hint": " ".join([*ahead.remarks[-1:], *(["There is no graphics card: a frame takes minutes."] if ahead.device == "cpu" else [])]),
        "weights": ahead.weights.chosen.key,
        "need_gb": needs,
        "free_gb": free_gb,
    }

# SPDX-License-Identifier: GPL-3.0-or-later
"""The networks in memory: loaded for a job under a plan, kept for the next, let go of on request."""

from __future__ import annotations

import gc
import json
import logging

import numpy as np
import torch
from numpy.typing import NDArray

from .bank_cache import Bank, bank_file, cached_bank
from .catalogue import VOICE_ENCODER
from .checkpoints import Tick, no_tick
from .devices import compile_wanted, compiled, listen, place, take_turns
from .memory import Plan, free_bytes, reference_bytes
from .models import Models, load_models, load_reference
from .pipeline import Sd15Pipeline
from .reference import reference_bank
from .setting import Setting
from .settings import Sd15Settings
from .voice import VoiceEncoder

log = logging.getLogger("autter.sd15")


class Engine:
    """One set of networks in memory at a time."""

    def __init__(self) -> None:
        self._key: tuple[object, ...] | None = None
        self._models: Models | None = None
        self._network: object = None
        self._tick: Tick = no_tick
        self._voice: tuple[object, VoiceEncoder] | None = None

    def pipeline(self, setting: Setting, plan: Plan, settings: Sd15Settings, tick: Tick = no_tick) -> Sd15Pipeline:
        """A pipeline over the loaded networks, which are loaded first where other ones, or none, are in memory.

        ``tick`` is called while they are read and while they work, and may raise to stop.
        """
        self._tick = tick
        key = (setting.weights.chosen.key, json.dumps(setting.weights.stamp()), setting.device, setting.dtype, plan.offload)
        if key != self._key or self._models is None:
            self.free()
            models = _load(setting, plan, tick)
            self._key, self._models = key, models
            if plan.offload == "none" and compile_wanted(setting.device):  # what comes and goes cannot be part of a graph
                self._network = compiled(models.denoising_unet)
            else:
                self._network = models.denoising_unet
                listen(models, lambda: self._tick())
        pipeline = Sd15Pipeline(self._models, plan.applied(settings))
        pipeline.network = self._network  # type: ignore[assignment]
        return pipeline

    def bank(self, setting: Setting, plan: Plan, square: NDArray[np.uint8], tick: Tick = no_tick) -> Bank:
        """The bank of a portrait's square, from the cache or made with the reference network, which is let go of again.

        Networks of a former job make room where there is too little for both.
        """

        def make() -> Bank:
            free = free_bytes(setting.device)
            card = setting.device != "cpu"
            if self.loaded and free is not None and free < reference_bytes(setting.weights.paths(), setting.dtype.itemsize, card):
                self.free()
            return _make_bank(setting, plan, square, tick)

        return cached_bank(bank_file(square, [setting.weights.chosen.key, setting.weights.stamp()], setting.dtype), make)

    def voice_encoder(self, setting: Setting) -> VoiceEncoder | None:
        """What hears the voice for the weights, None where it is not on this machine. Raises Fault ``sd15-keys`` or ``sd15-file``."""
        found = setting.weights.parts.get(VOICE_ENCODER.key)
        if found is None:
            return None
        key = (str(found.weights), found.weights.stat().st_mtime_ns)
        if self._voice is None or self._voice[0] != key:
            self._voice = (key, VoiceEncoder.load(found.weights))
        return self._voice[1]

    @property
    def loaded(self) -> bool:
        """Whether networks are in memory."""
        return self._models is not None

    @property
    def bytes(self) -> int:
        """What the weights of the loaded networks take, wherever they lie."""
        networks = self._models.networks.values() if self._models is not None else ()
        return sum(weight.numel() * weight.element_size() for network in networks for weight in network.parameters())

    def free(self) -> None:
        """Lets go of everything."""
        self._key = self._models = self._network = self._voice = None
        empty_caches()


def empty_caches() -> None:
    """Gives freed memory back to the device."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def keep_libraries_quiet() -> None:
    """Keeps the libraries' own progress bars and remarks on configurations out of the terminal and the log."""
    from diffusers.utils import logging as diffusers_logging
    from transformers.utils import logging as transformers_logging

    for library in (diffusers_logging, transformers_logging):
        library.disable_progress_bar()
        library.set_verbosity_error()


def _load(setting: Setting, plan: Plan, tick: Tick) -> Models:
    keep_libraries_quiet()
    # By way of the machine's memory: the card never holds more than the plan says.
    models = load_models(setting.weights.paths(), setting.dtype, "cpu", setting.weights.chosen.family, reference=False, tick=tick)
    place(models, plan, setting.device)
    return models


def _make_bank(setting: Setting, plan: Plan, square: NDArray[np.uint8], tick: Tick) -> Bank:
    """Runs the reference network once, with nothing else of ours in the device's memory that the plan has no room for."""
    keep_libraries_quiet()
    models = load_reference(setting.weights.paths(), setting.dtype, "cpu", setting.weights.chosen.family, tick=tick)
    models.device = torch.device(setting.device)
    networks = [network for network in (models.image_encoder, models.vae, models.reference_unet) if network is not None]
    if plan.offload == "none":
        for network in networks:
            network.to(setting.device)
    else:
        take_turns(networks, setting.device)
    try:
        return {name: tensor.cpu() for name, tensor in reference_bank(models, square).items()}
    finally:
        del models, networks
        if setting.device != "cpu":
            empty_caches()

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
from .devices import compiled, place
from .memory import Plan
from .models import Models, load_models, load_reference
from .pipeline import Sd15Pipeline
from .reference import reference_bank
from .setting import Setting
from .settings import Sd15Settings

log = logging.getLogger("autter.sd15")


class Engine:
    """One set of networks in memory at a time."""

    def __init__(self) -> None:
        self._key: tuple[object, ...] | None = None
        self._models: Models | None = None
        self._network: object = None

    def pipeline(self, setting: Setting, plan: Plan, settings: Sd15Settings) -> Sd15Pipeline:
        """A pipeline over the loaded networks, which are loaded first where other ones, or none, are in memory."""
        key = (setting.weights.chosen.key, json.dumps(setting.weights.stamp()), setting.device, setting.dtype, plan.offload)
        if key != self._key or self._models is None:
            self.free()
            models = _load(setting, plan)
            self._key, self._models = key, models
            self._network = compiled(models.denoising_unet, setting.device)
        pipeline = Sd15Pipeline(self._models, plan.applied(settings))
        pipeline.network = self._network  # type: ignore[assignment]
        return pipeline

    def bank(self, setting: Setting, square: NDArray[np.uint8]) -> Bank:
        """The bank of a portrait's square, from the cache or made with the reference network, which is let go of again."""
        file = bank_file(square, [setting.weights.chosen.key, setting.weights.stamp()], setting.dtype)
        return cached_bank(file, lambda: _make_bank(setting, square))

    @property
    def loaded(self) -> bool:
        """Whether networks are in memory."""
        return self._models is not None

    def free(self) -> None:
        """Lets go of everything."""
        if self._models is not None:
            self._key = self._models = self._network = None
            empty_caches()


def empty_caches() -> None:
    """Gives freed memory back to the device."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def _quiet() -> None:
    """Keeps the libraries' own progress bars out of the terminal and the log."""
    from diffusers.utils import logging as diffusers_logging
    from transformers.utils import logging as transformers_logging

    for library in (diffusers_logging, transformers_logging):
        library.disable_progress_bar()


def _load(setting: Setting, plan: Plan) -> Models:
    _quiet()
    # By way of the machine's memory: the card never holds more than the plan says.
    models = load_models(setting.weights.paths(), setting.dtype, "cpu", setting.weights.chosen.family, reference=False)
    place(models, plan, setting.device)
    return models


def _make_bank(setting: Setting, square: NDArray[np.uint8]) -> Bank:
    """Runs the reference network once, with nothing else of ours in the device's memory that it does not need."""
    _quiet()
    models = load_reference(setting.weights.paths(), setting.dtype, setting.device, setting.weights.chosen.family)
    try:
        return {name: tensor.cpu() for name, tensor in reference_bank(models, square).items()}
    finally:
        del models
        if setting.device != "cpu":
            empty_caches()

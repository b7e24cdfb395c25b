# SPDX-License-Identifier: GPL-3.0-or-later
"""AUtter: direct a talking portrait with FACS Action Units and a voice."""

from __future__ import annotations

import bpy

from . import (
    backend_setup,
    ghost_drawing,
    handlers,
    headless,
    live,
    live_picture,
    menus,
    operators_actor,
    operators_backend,
    operators_capture,
    operators_exchange,
    operators_fit,
    operators_ghosts,
    operators_handles,
    operators_pins,
    operators_predict,
    operators_preview,
    operators_queue,
    operators_recipes,
    operators_render,
    operators_sample,
    operators_setup,
    operators_sides,
    operators_takes,
    operators_voice,
    panels,
    preferences,
    properties,
    ticks,
)

_CLASS_MODULES = (
    preferences,
    operators_backend,
    operators_setup,
    operators_actor,
    operators_fit,
    operators_handles,
    operators_recipes,
    operators_sides,
    operators_voice,
    operators_predict,
    operators_pins,
    operators_ghosts,
    operators_capture,
    operators_exchange,
    operators_preview,
    operators_render,
    operators_takes,
    operators_queue,
    operators_sample,
    menus,
    panels,
)


def register() -> None:
    """Everything in order; ``unregister`` goes the other way."""
    properties.register()
    for module in _CLASS_MODULES:
        for cls in module.CLASSES:
            bpy.utils.register_class(cls)
    handlers.register()
    live.register()
    ghost_drawing.register()
    live_picture.register()
    headless.register()
    menus.register()
    ticks.register()


def unregister() -> None:
    """Stops the timer first, then the backend, then takes the classes away."""
    ticks.unregister()
    menus.unregister()
    headless.unregister()
    live_picture.unregister()
    ghost_drawing.unregister()
    live.unregister()
    handlers.unregister()
    backend_setup.cancel()
    handlers.before_disable()
    for module in reversed(_CLASS_MODULES):
        for cls in reversed(module.CLASSES):
            bpy.utils.unregister_class(cls)
    properties.unregister()

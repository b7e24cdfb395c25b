# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether add-on and backend speak the same protocol, and if not, which of them is to be updated."""

from __future__ import annotations

from . import PROTOCOL, VERSION
from .faults import Fault

UPDATE_BACKEND = "Update the backend from the add-on's preferences."
UPDATE_ADDON = "Update the AUtter add-on in Blender."


def check_backend(protocol: object, version: object) -> None:
    """For the add-on: raises Fault ``protocol-mismatch`` unless a backend of that protocol fits."""
    if protocol != PROTOCOL:
        raise _mismatch(backend=(protocol, version), addon=(PROTOCOL, VERSION))


def check_addon(protocol: object, version: object) -> None:
    """For the backend: raises Fault ``protocol-mismatch`` unless an add-on of that protocol fits."""
    if protocol != PROTOCOL:
        raise _mismatch(backend=(PROTOCOL, VERSION), addon=(protocol, version))


def _mismatch(backend: tuple[object, object], addon: tuple[object, object]) -> Fault:
    backend_is_older = _number(backend[0]) < _number(addon[0])
    sentence = (
        f"Backend {_short(backend[1])} speaks protocol {_short(backend[0])} and add-on {_short(addon[1])} protocol {_short(addon[0])}: "
    )
    sentence += f"the {'backend' if backend_is_older else 'add-on'} is too old."
    return Fault("protocol-mismatch", sentence, UPDATE_BACKEND if backend_is_older else UPDATE_ADDON)


def _number(protocol: object) -> int:
    return protocol if isinstance(protocol, int) else 0  # from before there were numbers


def _short(value: object) -> str:
    return str(value)[:40]

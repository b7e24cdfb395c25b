# SPDX-License-Identifier: GPL-3.0-or-later
"""``doctor --tier sd15``: which parts of the Stable Diffusion tier are there, which are missing, where to put them, how large and under
which licence they are, and what a render is going to need.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util

from bridge.faults import Fault
from bridge.shot import RenderSettings

from .doctor import Finding
from .synthesis.sd15 import store
from .synthesis.sd15.catalogue import WEIGHT_SETS, Part, WeightSet
from .synthesis.sd15.presets import NAMES

_PACKAGES = ("diffusers", "transformers", "accelerate", "huggingface_hub")
_INSTALL = "Install them with Set Up Backend, Stable Diffusion ticked, or with `python -m backend doctor --tier sd15 --fix`."


def examine_sd15(weights: str = "", verify: bool = False) -> list[Finding]:
    """Findings on the packages, on every part of the sets that were asked for, and on the memory. Fetches nothing.

    ``weights``: one set; empty: all, of which one has to be complete. ``verify``: compare checksums, which reads every file once.
    Raises Fault ``weights-unknown``.
    """
    chosen = [store.weight_set(weights)] if weights else list(WEIGHT_SETS.values())
    findings = [_package(name) for name in _PACKAGES]
    try:
        store.own_folder()
    except Fault as fault:
        return [*findings, Finding(store.FOLDER_VARIABLE, False, fault.sentence, fault.hint)]
    complete = [one for one in chosen if not [part for part in store.missing_parts(one) if part.needed]]
    wanted = complete[0] if complete else chosen[0]  # the set that is (or would be) used: its parts are the ones that are needed
    seen: set[str] = set()
    for one in chosen:
        for key in one.parts:
            if key not in seen:
                seen.add(key)
                findings.append(_part(key, one is wanted or key in wanted.parts, verify))
    findings.append(_summary(wanted, bool(complete)))
    return findings if not complete or not _installed() else [*findings, *_memory(wanted)]


def _installed() -> bool:
    return all(importlib.util.find_spec(name) is not None for name in _PACKAGES)


def _package(name: str) -> Finding:
    if importlib.util.find_spec(name) is None:
        return Finding(name, False, "not installed", _INSTALL)
    return Finding(name, True, importlib.metadata.version(name))


def _part(key: str, needed: bool, verify: bool) -> Finding:
    found = store.find_part(key)
    part = store.PARTS[key]
    needed = needed and part.needed
    if found is None:
        detail = f"missing; {store.gigabytes(part.about)}, {part.licence}, {part.licence_address}"
        return Finding(part.title, False, detail, f"Put {_names(part)} into {store.store_folder() / part.folders[0]}.", needed)
    detail = f"{found.folder}, {store.gigabytes(found.bytes)}, {part.licence}"
    if not found.own:
        try:
            store.check_sizes(found)
        except Fault as fault:
            return Finding(part.title, False, fault.sentence, fault.hint, needed)
    same = store.check_content(found) if verify else None
    if same is False:
        hint = "" if found.own else f"Delete it and fetch it again: {store.FETCH_COMMAND}"
        return Finding(part.title, found.own, f"{detail}; not the published file (sha256 differs)", hint, needed)
    return Finding(part.title, True, detail + ("; sha256 as published" if same else ""), "", needed)


def _names(part: Part) -> str:
    return " and ".join(forms[0].name for forms in part.files)


def _summary(wanted: WeightSet, complete: bool) -> Finding:
    if complete:
        return Finding("weights in use", True, wanted.title)
    left = store.gigabytes(sum(part.about for part in store.missing_parts(wanted)))
    places = f"or put the files into {store.store_folder()}, or into a folder that {store.FOLDER_VARIABLE} names"
    return Finding(
        "weights in use", False, f"none is complete; {wanted.title} lacks {left}", f"Fetch it: {store.fetch_command(wanted)}; {places}."
    )


def _memory(wanted: WeightSet) -> list[Finding]:
    from .synthesis.sd15 import tier

    findings = []
    for preset in NAMES:
        try:
            ahead = tier.outlook(RenderSettings(tier="sd15", preset=preset, weights=wanted.key))
        except Fault as fault:
            return [Finding("memory", False, fault.sentence, fault.hint)]
        enough = ahead.free is None or ahead.needs[ahead.plan.name] <= ahead.free
        hint = "" if enough else "Close other programs that use the memory, or choose the preset draft."
        findings.append(Finding(f"memory, {preset}", enough, ahead.sentence, hint, needed=False))
    return findings

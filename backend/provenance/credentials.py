# SPDX-License-Identifier: GPL-3.0-or-later
"""C2PA content credentials of a movie: that a trained model made it, with what, and that it was not changed since."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bridge import VERSION
from bridge.faults import Fault

from .signer import signer

MEDIA_TYPES = {".mp4": "video/mp4", ".m4v": "video/x-m4v", ".mov": "video/quicktime"}
_TRAINED_MEDIA = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
DETAILS_LABEL = "org.autter.take"


def can_carry(path: Path) -> bool:
    """Whether files of this name can carry content credentials."""
    return path.suffix.lower() in MEDIA_TYPES


def add_credentials(unsigned: Path, signed: Path, title: str, details: Mapping[str, Any]) -> None:
    """Writes ``signed``: the movie ``unsigned`` with credentials. ``title`` names the movie and tells its format by its ending.

    ``details``: what the take remembers (seed, tier, consent), plain data without paths. Raises Fault ``credentials-failed`` or
    ``certificate-unusable``; errors of the operating system pass through.
    """
    import c2pa

    kind = MEDIA_TYPES[Path(title).suffix.lower()]
    try:
        with c2pa.Builder(json.dumps(_manifest(title, kind, details))) as builder, signer() as who:
            with unsigned.open("rb") as source, signed.open("w+b") as target:
                builder.sign(who, kind, source, target)
    except c2pa.C2paError as error:
        hint = "Look at the free space of the disk and at the clock of this computer, or render without content credentials."
        raise Fault("credentials-failed", f"{title} could not be given content credentials ({error}).", hint) from error


def read_credentials(path: Path) -> dict[str, Any] | None:
    """The active manifest of a file with ``state`` ("Valid", "Trusted" or "Invalid") and ``failures``; None where there is none."""
    import c2pa

    kind = MEDIA_TYPES.get(path.suffix.lower())
    if kind is None:
        return None
    try:
        with path.open("rb") as file:
            reader = c2pa.Reader.try_create(kind, file)
            if reader is None:
                return None
            with reader:
                manifest = reader.get_active_manifest() or {}
                results = reader.get_validation_results() or {}
                state = str(reader.get_validation_state())
    except c2pa.C2paError as error:
        return {"state": "Invalid", "failures": [str(error)], "manifest": {}}
    failures = [entry["code"] for entry in results.get("activeManifest", {}).get("failure", [])]
    return {"state": state, "failures": failures, "manifest": manifest}


def is_synthetic(manifest: Mapping[str, Any]) -> bool:
    """Whether a manifest says that a trained model made the file."""
    actions = [
        action
        for assertion in manifest.get("assertions", [])
        if str(assertion.get("label", "")).startswith("c2pa.actions")
        for action in assertion.get("data", {}).get("actions", [])
    ]
    return any("AlgorithmicMedia" in str(action.get("digitalSourceType", "")) for action in actions)


def _manifest(title: str, kind: str, details: Mapping[str, Any]) -> dict[str, Any]:
    agent = {"name": "AUtter", "version": VERSION}
    created = {"action": "c2pa.created", "digitalSourceType": _TRAINED_MEDIA, "softwareAgent": agent}
    return {
        "claim_generator_info": [agent],
        "title": title,
        "format": kind,
        "assertions": [
            {"label": "c2pa.actions.v2", "data": {"actions": [created]}},
            {"label": DETAILS_LABEL, "data": {"synthetic": True, **details}},
        ],
    }

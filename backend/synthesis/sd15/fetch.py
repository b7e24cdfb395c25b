# SPDX-License-Identifier: GPL-3.0-or-later
"""Fetching missing parts from the Hugging Face hub: resumed where they stopped, checked by sha256, then never asked for again."""

from __future__ import annotations

import json
import re
from contextlib import suppress
from pathlib import Path
from typing import Any

from backend.files import check_space, check_writable, written_beside
from bridge.faults import Fault

from .catalogue import Part, PublishedFile, WeightSet
from .store import FETCH_COMMAND, FETCHED_NOTES, missing_parts, remembered_sha256, store_folder

_SHA256 = re.compile(r"[0-9a-f]{64}")


def fetch_missing(chosen: WeightSet, quiet: bool = False) -> list[Path]:
    """Fetches what is missing of a set into the store; the new files. ``HF_ENDPOINT`` and ``HTTPS_PROXY`` are heeded.

    Raises Fault ``package-missing``, ``download-failed``, ``weights-mismatch``, ``disk-full`` or ``folder-read-only``. A part that was
    cut off goes on where it stopped at the next call.
    """
    _hub()
    missing = missing_parts(chosen)
    if not missing:
        return []
    check_writable(store_folder() / FETCHED_NOTES)
    check_space(store_folder() / FETCHED_NOTES, sum(part.about for part in missing))
    return [path for part in missing for path in fetch_part(part, quiet)]


def fetch_part(part: Part, quiet: bool = False) -> list[Path]:
    """Fetches the files of one part. Raises the faults of ``fetch_missing``."""
    return [_fetch_file(part, forms[0], quiet) for forms in part.files]


def _fetch_file(part: Part, file: PublishedFile, quiet: bool) -> Path:
    hub = _hub()
    folder = store_folder() / part.folders[0]
    name = "/".join(filter(None, (part.prefix, file.name)))
    # The hub's client lays the file at its path in the repository below the folder that it is given.
    root = Path(str(folder).removesuffix(part.prefix)) if part.prefix else folder
    try:
        told = hub.get_hf_file_metadata(hub.hf_hub_url(part.repository, name, endpoint=_endpoint()), endpoint=_endpoint())
        if quiet:
            hub.utils.disable_progress_bars()
        path = Path(hub.hf_hub_download(part.repository, name, local_dir=root, endpoint=_endpoint()))
    except _network_errors() as error:
        raise _download_fault(part, error) from error
    finally:
        if quiet:
            hub.utils.enable_progress_bars()
    _check(part, file, path, str(told.etag or ""))
    _note(path, {"repository": part.repository, "commit": told.commit_hash, "sha256": remembered_sha256(path), "licence": part.licence})
    return path


def _check(part: Part, file: PublishedFile, path: Path, etag: str) -> None:
    """The hub states the sha256 of large files as their etag; the catalogue's own, where it has one, comes first."""
    expected = file.sha256 or (etag if _SHA256.fullmatch(etag) else None)
    if expected is None or remembered_sha256(path) == expected:
        return
    path.unlink()
    sentence = f"{file.name} of {part.repository} is not the file that was published (sha256 {expected[:12]}...); it was removed."
    raise Fault("weights-mismatch", sentence, f"Fetch it again: {FETCH_COMMAND}")


def _note(path: Path, note: dict[str, Any]) -> None:
    """Remembers where a file came from."""
    target = store_folder() / FETCHED_NOTES
    notes: dict[str, Any] = {}
    with suppress(OSError, ValueError):
        notes = json.loads(target.read_text(encoding="utf-8"))
    with written_beside(target) as partial:
        partial.write_text(json.dumps({**notes, str(path): note}, indent=1, sort_keys=True), encoding="utf-8")


def _download_fault(part: Part, error: Exception) -> Fault:
    reason = str(error).strip().splitlines()[0][:200] if str(error).strip() else type(error).__name__
    sentence = f"The {part.title} could not be fetched from {part.repository} ({reason})."
    hint = (
        "Start it again and it goes on where it stopped. Behind a proxy set HTTPS_PROXY, for a mirror HF_ENDPOINT; "
        f"without a network copy the files from another machine into {store_folder()}."
    )
    return Fault("download-failed", sentence, hint)


def _endpoint() -> str:
    import os

    return os.environ.get("HF_ENDPOINT", "").rstrip("/") or "https://huggingface.co"


def _hub() -> Any:
    try:
        import huggingface_hub
    except ImportError:
        raise Fault(
            "package-missing",
            "The packages of the tier sd15 are not installed.",
            "Install them with Set Up Backend, Stable Diffusion ticked, or with `python -m backend doctor --tier sd15 --fix`.",
        ) from None
    return huggingface_hub


def _network_errors() -> tuple[type[Exception], ...]:
    """What the hub's HTTP client raises; its package is named differently from version to version."""
    from huggingface_hub import errors

    found: list[type[Exception]] = [OSError, ValueError, RuntimeError, errors.HfHubHTTPError]
    for name in ("httpx2", "httpx", "requests"):
        with suppress(ImportError, AttributeError):
            module = __import__(name)
            found.append(getattr(module, "HTTPError", None) or module.RequestException)
    return tuple(found)

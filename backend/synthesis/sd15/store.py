# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the parts of the Stable Diffusion tier lie on this machine, and whether they are complete. Never asks the network.

A part is looked for in the folder that ``AUTTER_SD15`` names, then in ``sd15`` in the models folder, then in the Hugging
Face cache. Files in a folder that the user named are taken as they are; others must be the published ones.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from bridge import paths
from bridge.faults import Fault

from .catalogue import BASE_PARTS, GIGABYTE, PARTS, VOICE_ENCODER, WEIGHT_SETS, Part, WeightSet

FOLDER_VARIABLE = "AUTTER_SD15"
FETCHED_NOTES = "fetched.json"
FETCH_COMMAND = "python -m backend doctor --tier sd15 --fetch"
_UNET_CONFIGS = ("unet/config.json", "stable-diffusion-v1-5/unet/config.json", "sd-image-variations-diffusers/unet/config.json")
BASE_KEYS = tuple(part.key for part in BASE_PARTS)


@dataclass(frozen=True)
class FoundPart:
    """A part that is there. ``files``: published name to path, one form of each file. ``own``: it lies in the user's own folder."""

    part: Part
    folder: Path
    files: dict[str, Path]
    own: bool

    @property
    def weights(self) -> Path:
        """The file that is no configuration."""
        return next(path for name, path in self.files.items() if not name.endswith(".json"))

    @property
    def bytes(self) -> int:
        """Size on disk."""
        return sum(path.stat().st_size for path in self.files.values())


@dataclass(frozen=True)
class Weights:
    """A complete set. ``parts`` by role (``vae``, ``denoising_unet`` ...). ``unet_config``: None means Stable Diffusion 1.5's own."""

    chosen: WeightSet
    parts: dict[str, FoundPart]
    unet_config: Path | None

    def paths(self) -> dict[str, Path]:
        """A file for each checkpoint and a folder for each base part, as ``load_models`` takes them."""
        found = {role: part.folder if role in BASE_KEYS else part.weights for role, part in self.parts.items()}
        return found if self.unet_config is None else {**found, "unet_config": self.unet_config}

    def stamp(self) -> list[list[object]]:
        """What changes when any of the files does that pictures are made with; what the voice is heard with can be changed for itself."""
        parts = [part for role, part in self.parts.items() if role != VOICE_ENCODER.key]
        files = sorted({path for part in parts for path in part.files.values()} | set(filter(None, (self.unet_config,))))
        return [[str(path), path.stat().st_size, path.stat().st_mtime_ns] for path in files]


def own_folder() -> Path | None:
    """The folder that ``AUTTER_SD15`` names. Raises Fault ``weights-missing`` where there is none of that name."""
    named = os.environ.get(FOLDER_VARIABLE, "").strip()
    if not named:
        return None
    folder = Path(named).expanduser()
    if not folder.is_dir():
        raise Fault("weights-missing", f"{FOLDER_VARIABLE} names {folder}, which is no folder.", "Correct it, or unset the variable.")
    return folder


def store_folder() -> Path:
    """Where fetched parts are kept."""
    return paths.models_dir() / "sd15"


def fetch_command(chosen: WeightSet) -> str:
    """What fetches the missing parts of a set."""
    return f"{FETCH_COMMAND} --weights {chosen.key}"


def find_part(key: str, own: Path | None = None) -> FoundPart | None:
    """A part with all its files, or None. ``own``: in place of the folder that ``AUTTER_SD15`` names."""
    part = PARTS[key]
    for folder, is_own in _folders(part, own or own_folder()):
        files = _files_in(part, folder)
        if files is not None:
            return FoundPart(part, folder, files, is_own)
    return None


def missing_parts(chosen: WeightSet, own: Path | None = None) -> list[Part]:
    """The parts of a set that are not there, the ones that can be done without included."""
    return [PARTS[key] for key in chosen.parts if find_part(key, own) is None]


def weight_set(key: str) -> WeightSet:
    """A set by its name. Raises Fault ``weights-unknown``."""
    if key not in WEIGHT_SETS:
        raise Fault("weights-unknown", f"There are no weights named {key!r}.", f"Choose {', '.join(WEIGHT_SETS)}.")
    return WEIGHT_SETS[key]


def find_weights(key: str = "", own: Path | None = None) -> Weights:
    """A complete set: the one asked for, or the first that is complete, in the catalogue's order. ``own``: see ``find_part``.

    Raises Fault ``weights-unknown``, or ``weights-missing``, which says what is missing, how large it is and where to put it.
    """
    candidates = [weight_set(key)] if key else list(WEIGHT_SETS.values())
    for chosen in candidates:
        if not [part for part in missing_parts(chosen, own) if part.needed]:
            return _collected(chosen, own)
    raise _missing_fault(min(candidates, key=lambda chosen: sum(part.needed for part in missing_parts(chosen, own))), own)


def unet_config_file(own: Path | None = None) -> Path | None:
    """A configuration of the UNet that differs from Stable Diffusion 1.5's, where the user's folder or the store has one."""
    for root in filter(None, (own or own_folder(), store_folder())):
        for name in _UNET_CONFIGS:
            if (root / name).is_file():
                return root / name
    return None


def _collected(chosen: WeightSet, own: Path | None) -> Weights:
    found = {key.rpartition(".")[2]: part for key in chosen.parts if (part := find_part(key, own)) is not None}
    for part in found.values():
        if not part.own:
            check_sizes(part)
    return Weights(chosen, found, unet_config_file(own))


def check_sizes(found: FoundPart) -> None:
    """Raises Fault ``weights-mismatch`` where a published file has another size here: a download that was cut off."""
    for forms in found.part.files:
        for form in forms:
            path = found.files.get(form.name)
            if path is not None and form.size is not None and path.stat().st_size != form.size:
                sentence = f"{path} has {path.stat().st_size} bytes; the published file has {form.size}."
                raise Fault("weights-mismatch", sentence, f"Delete it and fetch it again: {FETCH_COMMAND}")


def gigabytes(count: float) -> str:
    """Bytes for a person."""
    return f"{count / GIGABYTE:.1f} GB" if count >= 0.1 * GIGABYTE else f"{count / 1e6:.0f} MB"


def _missing_fault(chosen: WeightSet, own: Path | None) -> Fault:
    missing = [part for part in missing_parts(chosen, own) if part.needed]
    size = gigabytes(sum(part.about for part in missing))
    first = missing[0].title + (f" and {len(missing) - 1} more" if len(missing) > 1 else "")
    sentence = f"The weights {chosen.title} of the tier sd15 are not complete: {size} are missing ({first})."
    hint = f"Fetch them with `{fetch_command(chosen)}`, or put the files into {store_folder()} or a folder named in {FOLDER_VARIABLE}."
    return Fault("weights-missing", sentence, hint)


def _folders(part: Part, own: Path | None) -> Iterator[tuple[Path, bool]]:
    for root, is_own in ((own, True), (store_folder(), False)):
        if root is not None:
            yield from ((root / name, is_own) for name in part.folders)
    yield from ((folder, False) for folder in _hub_cache_folders(part))


def _hub_cache_folders(part: Part) -> Iterator[Path]:
    """The snapshot that other programs fetched through huggingface_hub, if there is one."""
    try:
        from huggingface_hub import try_to_load_from_cache
    except ImportError:
        return
    name = "/".join(filter(None, (part.prefix, part.files[-1][0].name)))
    with suppress(OSError, ValueError):
        path = try_to_load_from_cache(part.repository, name)
        if isinstance(path, (str, os.PathLike)):
            yield Path(path).parent


def _files_in(part: Part, folder: Path) -> dict[str, Path] | None:
    chosen: dict[str, Path] = {}
    for forms in part.files:
        present = next(((form, folder / form.name) for form in forms if (folder / form.name).is_file()), None)
        if present is None:
            return None
        chosen[present[0].name] = present[1]
    return chosen


def check_content(found: FoundPart) -> bool | None:
    """Whether the files are the published ones, by sha256; None where no checksum is known for any of them.

    A file's checksum is computed once and remembered with its size and time. A file in the user's own folder may differ.
    """
    told = fetched_checksums()
    expected = {form.name: form.sha256 for forms in found.part.files for form in forms}
    known = [(path, expected[name] or told.get(str(path))) for name, path in found.files.items()]
    checked = [remembered_sha256(path) == sha256 for path, sha256 in known if sha256]
    return all(checked) if checked else None


def fetched_checksums() -> dict[str, str]:
    """Checksums that the hub stated for the files that were fetched from it, by path."""
    with suppress(OSError, ValueError):
        notes = json.loads((store_folder() / FETCHED_NOTES).read_text(encoding="utf-8"))
        return {path: str(note["sha256"]) for path, note in notes.items() if note.get("sha256")}
    return {}


def remembered_sha256(path: Path) -> str:
    """sha256 of a file, computed again only when its size or time has changed."""
    from backend.files import written_beside
    from backend.portrait.landmarker import file_sha256

    notes_file = paths.cache_dir() / "sd15" / "checksums.json"
    status = path.stat()
    state = [status.st_size, status.st_mtime_ns]
    notes: dict[str, list[object]] = {}
    with suppress(OSError, ValueError):
        notes = json.loads(notes_file.read_text(encoding="utf-8"))
    noted = notes.get(str(path))
    if noted is not None and noted[:2] == state:
        return str(noted[2])
    digest = file_sha256(path)
    with suppress(Fault), written_beside(notes_file) as partial:
        partial.write_text(json.dumps({**notes, str(path): [*state, digest]}), encoding="utf-8")
    return digest

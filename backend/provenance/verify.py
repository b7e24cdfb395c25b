# SPDX-License-Identifier: GPL-3.0-or-later
"""What a movie says about where it comes from: its content credentials, the notes in its stream and tags, the mark in its pictures."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from bridge.faults import Fault

from . import invisible_mark
from .credentials import is_synthetic, read_credentials
from .invisible_mark import MarkFound
from .stream_mark import read_stream_mark

NOTE_START = "Synthetic media made with AUtter"
_MOVIES = "Give a movie file, e.g. .mp4, .mov or .mkv."


@dataclass(frozen=True)
class Provenance:
    """``synthetic``: True where any mark says so, None where nothing is known: a missing mark proves nothing.

    ``credentials``: "valid" (unchanged since it was signed), "trusted" (and the signer is known), "broken" or "none".
    ``signer``: name in the certificate. ``stream_note``, ``tag_note``: their text or None. ``invisible``: what the detector of the
    invisible mark saw, None where it was not asked. ``sentence``: all of it in words.
    """

    path: str
    synthetic: bool | None
    credentials: str
    signer: str | None
    stream_note: str | None
    tag_note: str | None
    details: dict[str, Any]
    sentence: str
    invisible: MarkFound | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain form."""
        return asdict(self)


def verify_movie(path: str | Path, pictures: bool = False) -> Provenance:
    """Reads the marks of a movie. Raises Fault ``video-missing`` or ``video-unreadable``.

    The detector of the invisible mark takes some seconds. It is asked where neither credentials nor stream note say that the
    movie is synthetic, and with ``pictures`` in any case; then Fault ``mark-unavailable`` where it is not installed.
    """
    path = Path(path)
    found = _file_marks(path)
    proven = found.synthetic is True and (found.credentials in ("valid", "trusted") or found.stream_note is not None)
    if not pictures and proven:
        return found
    if not pictures and not invisible_mark.is_available():
        return replace(found, sentence=f"{found.sentence} The invisible mark was not looked for: its detector is not installed.")
    return _with_mark(found, path, _look_for_mark(path))


def _with_mark(found: Provenance, path: Path, mark: MarkFound) -> Provenance:
    """The findings and what the pictures themselves say."""
    if not mark.found:
        return replace(found, invisible=mark)
    seen = f"its pictures carry AUtter's invisible mark ({mark.matching} of {mark.bits} bits)"
    if found.synthetic:
        return replace(found, invisible=mark, sentence=f"{found.sentence.removesuffix('.')}; {seen}.")
    return replace(found, invisible=mark, synthetic=True, sentence=f"{path.name} is synthetic: {seen}; every other mark was removed.")


def _look_for_mark(path: Path) -> MarkFound:
    import av

    try:
        return invisible_mark.find_mark(path)
    except (av.FFmpegError, OSError) as error:
        raise Fault("video-unreadable", f"The pictures of {path.name} cannot be read.", "Give a movie file that plays.") from error


def _file_marks(path: Path) -> Provenance:
    stream_note, tag_note = _notes(path)
    found = read_credentials(path)
    state = _state(found)
    manifest = found["manifest"] if found else {}
    synthetic = True if (state != "none" and is_synthetic(manifest)) or stream_note or tag_note else None
    signature = manifest.get("signature_info") or {}
    return Provenance(
        path=str(path),
        synthetic=synthetic,
        credentials=state,
        signer=signature.get("issuer"),
        stream_note=stream_note,
        tag_note=tag_note,
        details=_details(manifest),
        sentence=_sentence(path.name, state, synthetic, signature.get("issuer"), stream_note, tag_note),
    )


def _notes(path: Path) -> tuple[str | None, str | None]:
    import av

    if not path.is_file():
        raise Fault("video-missing", f"There is no file {path}.", "Look at the path.")
    try:
        with av.open(str(path)) as container:
            tags = [str(value) for value in container.metadata.values()]
            if not container.streams.video:
                raise Fault("video-unreadable", f"{path.name} holds no pictures.", _MOVIES)
            stream_note = read_stream_mark(container)
    except (av.FFmpegError, OSError) as error:
        raise Fault("video-unreadable", f"{path.name} cannot be read as a movie.", _MOVIES) from error
    return stream_note, next((tag for tag in tags if tag.startswith(NOTE_START)), None)


def _state(found: dict[str, Any] | None) -> str:
    if found is None:
        return "none"
    return {"Valid": "valid", "Trusted": "trusted"}.get(found["state"], "broken")


def _details(manifest: dict[str, Any]) -> dict[str, Any]:
    from .credentials import DETAILS_LABEL

    labelled = [assertion for assertion in manifest.get("assertions", []) if assertion.get("label") == DETAILS_LABEL]
    return dict(labelled[0].get("data", {})) if labelled else {}


def _sentence(name: str, state: str, synthetic: bool | None, issuer: str | None, stream_note: str | None, tag_note: str | None) -> str:
    if state in ("valid", "trusted"):
        whose = f"signed by {issuer}" + ("" if state == "trusted" else ", whom nobody vouches for here")
        what = "is synthetic" if synthetic else "has content credentials that do not call it synthetic"
        return f"{name} {what}: its content credentials are intact ({whose})."
    if state == "broken":
        return f"{name} was changed after its content credentials were written" + ("; it is synthetic." if synthetic else ".")
    if stream_note:
        return f"{name} is synthetic: the note in its pictures' stream is there; its content credentials were lost when it was copied."
    if tag_note:
        return f"{name} is synthetic, as its tag says; its pictures were encoded again, so nothing proves it."
    return f"{name} carries no mark of AUtter: it may be real, or every mark was removed."

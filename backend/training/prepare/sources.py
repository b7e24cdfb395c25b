# SPDX-License-Identifier: GPL-3.0-or-later
"""Finding the videos of a collection, with the sound, words and AU tables that belong to each."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bridge.faults import Fault

VIDEOS = frozenset(
    {".mp4", ".mov", ".mkv", ".avi", ".webm", ".m4v", ".mpg", ".mpeg", ".ts", ".mts", ".wmv", ".flv", ".ogv", ".3gp", ".mxf"}
)
SOUNDS = (".flac", ".wav", ".m4a", ".aac", ".mp3", ".ogg", ".opus", ".aif", ".aiff", ".wma")
_NEUTRAL = "neutral"


@dataclass(frozen=True)
class Source:
    """One video to prepare. ``name``: of the prepared file. ``audio``: the video itself where it carries its own sound.

    ``table``: OpenFace CSV beside the video, or None. ``person``: whose face it is, '' where the collection does not say.
    ``emotion``, ``level``: as the collection labels them, '' and 0 where it does not.
    """

    name: str
    video: Path
    audio: Path
    table: Path | None = None
    person: str = ""
    emotion: str = ""
    level: int = 0

    @property
    def at_rest(self) -> bool:
        """Whether the person speaks without emotion here: the resting face of the others."""
        return self.emotion == _NEUTRAL


def find_sources(layout: str, folder: Path, views: tuple[str, ...] = ("front",)) -> list[Source]:
    """The videos of a collection laid out as ``grid``, ``clips`` or ``mead``, in a fixed order.

    Raises Fault ``data-missing`` where the folder or its videos are not there.
    """
    if not folder.is_dir():
        raise Fault("data-missing", f"There is no folder {folder}.", "Give the folder that holds the videos with --clips.")
    finders: dict[str, Callable[[], list[Source]]] = {
        "grid": lambda: _beside(folder),
        "clips": lambda: _beside(folder),
        "mead": lambda: _mead(folder, views),
    }
    sources = finders[layout]()
    if not sources:
        raise Fault("data-missing", f"There are no videos in {folder}.", _HINTS[layout].format(views=", ".join(views)))
    return sources


_HINTS = {
    "grid": "Give the folder that holds GRID's X.mp4 or X.mpg files, X.flac or X.wav beside them.",
    "clips": f"Give a folder with videos ({', '.join(sorted(VIDEOS))}), in it or in folders inside it.",
    "mead": "Give the folder of MEAD's people (M003/video/front/angry/level_1/001.mp4 ...); views looked for: {views}.",
}


def _beside(folder: Path) -> list[Source]:
    """Every video in the folder and the folders in it; its sound is a file of the same name, or its own."""
    videos = sorted(path for path in folder.rglob("*") if path.suffix.lower() in VIDEOS and not path.name.startswith("."))
    sources = []
    for video in videos:
        inside = video.relative_to(folder)
        person = inside.parts[0] if len(inside.parts) > 1 else ""
        sources.append(Source(_name(inside), video, sound_beside(video) or video, table_beside(video), person))
    return _distinct(sources)


def _mead(folder: Path, views: tuple[str, ...]) -> list[Source]:
    """MEAD's tree, SUBJECT/video/VIEW/EMOTION/level_N/NNN.mp4 with SUBJECT/audio/EMOTION/level_N/NNN.m4a; neutral clips first."""
    people = [folder] if (folder / "video").is_dir() else sorted(path for path in folder.iterdir() if (path / "video").is_dir())
    sources = []
    for subject in people:
        for video in sorted((subject / "video").glob("*/*/level_*/*")):
            view, emotion, level = video.relative_to(subject / "video").parts[:3]
            if view not in views or video.suffix.lower() not in VIDEOS:
                continue
            heard = subject / "audio" / emotion / level / video.name
            number = int(match[1]) if (match := re.fullmatch(r"level_(\d+)", level)) else 0
            name = f"{subject.name}_{view}_{emotion}_{number}_{video.stem}"
            sources.append(Source(name, video, sound_beside(heard) or video, table_beside(video), subject.name, emotion, number))
    return sorted(sources, key=lambda source: (source.person, not source.at_rest, source.name))


def sound_beside(video: Path) -> Path | None:
    """The sound file of the same name, if there is one."""
    return next(
        (path for ending in SOUNDS for path in (video.with_suffix(ending), video.with_suffix(ending.upper())) if path.is_file()), None
    )


def table_beside(video: Path) -> Path | None:
    """The AU table of the same name (OpenFace writes NAME.csv), if there is one."""
    path = video.with_suffix(".csv")
    return path if path.is_file() else None


def _name(inside: Path) -> str:
    """A flat name for a video inside the collection."""
    return re.sub(r"[^\w.-]+", "_", "_".join(inside.with_suffix("").parts))


def _distinct(sources: list[Source]) -> list[Source]:
    """Two videos whose names fall together (a.mp4 and a.mov) keep their endings."""
    names = [source.name for source in sources]
    return [
        source if names.count(source.name) == 1 else Source(f"{source.name}.{source.video.suffix[1:].lower()}", *_rest(source))
        for source in sources
    ]


def _rest(source: Source) -> tuple[Path, Path, Path | None, str, str, int]:
    return source.video, source.audio, source.table, source.person, source.emotion, source.level

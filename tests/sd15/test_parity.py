# SPDX-License-Identifier: GPL-3.0-or-later
"""The tier beside outputs of AniPortrait's public code. Needs the fixture."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from backend.cli.main import main
from backend.evaluation import sd15_parity

pytestmark = pytest.mark.unit


@pytest.fixture(scope="module")
def fixture_file(fixtures_folder: Path) -> Path:
    return fixtures_folder / "aniportrait_tiny" / "aniportrait_tiny.safetensors"


def test_pose_features_first_prediction_and_video_are_the_public_codes(fixture_file: Path) -> None:
    report = sd15_parity.compare(sd15_parity.read_fixture(fixture_file), "aniportrait-")
    assert set(report["relative_errors"]) == {"pose features", "first noise prediction", "video"} and report["frames"] == 16
    assert all(error <= 1e-4 for error in report["relative_errors"].values()), report
    assert all(error <= 1e-4 for error in report["further_errors"].values()), report


def test_the_command_says_so(fixture_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", "--stage", "parity", "--fixture", str(fixture_file), "--salt", "other-"]) == 2  # other weights
    printed = capsys.readouterr().out
    assert all(name in printed for name in ("pose features", "first noise prediction", "video"))


def made_fixture(path: Path, salt: str, frames: int) -> None:
    """A file of the fixture's form with other weights and another length, recorded from this tier: what the command makes of it."""
    from backend.synthesis.sd15.pipeline import Sd15Pipeline
    from backend.synthesis.sd15.reference import reference_bank
    from backend.synthesis.sd15.settings import Sd15Settings
    from backend.synthesis.sd15.tiny import tiny_models

    draw = torch.Generator().manual_seed(frames)
    made = {
        "portrait_rgb_u8": torch.randint(0, 256, (64, 64, 3), generator=draw, dtype=torch.uint8),
        "pose_images": torch.rand((1, 3, frames, 64, 64), generator=draw) * 2 - 1,
        "initial_latents": torch.randn((1, 4, frames, 8, 8), generator=draw),
        "first_step.timestep": torch.tensor(999),
    }
    settings = Sd15Settings(steps=sd15_parity.STEPS, guidance=sd15_parity.GUIDANCE, size=64, window=sd15_parity.LONGEST)
    pipeline = Sd15Pipeline(tiny_models(salt), settings)
    pipeline.use_bank(reference_bank(pipeline.models, made["portrait_rgb_u8"].numpy()))
    drawings = list(made["pose_images"][0].transpose(0, 1)[:, None])
    for level, maps in enumerate(pipeline.pose_features(drawings)):
        made[f"pose_features.{level}"] = maps.transpose(0, 1)[None].contiguous()
    run = sd15_parity._recorded_run(pipeline, made, drawings)
    made["first_step.noise_pred"] = run["first"]
    made["video"] = pipeline.decode_unit(run["latents"]).transpose(0, 1)[None].contiguous()
    save_file({name: tensor.contiguous() for name, tensor in made.items()}, path)


@pytest.mark.parametrize(("salt", "frames"), [("another ñ-", 1), ("x", 3)])
def test_any_salt_and_any_length_are_compared(salt: str, frames: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "made.safetensors"
    made_fixture(path, salt, frames)
    assert main(["evaluate", "--stage", "parity", "--fixture", str(path), "--salt", salt, "--json"]) == 0
    printed = capsys.readouterr().out
    assert all(name in printed for name in ("pose features", "first noise prediction", "video")) and f'"frames": {frames}' in printed


def test_files_that_are_no_fixture_are_a_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = tmp_path / "other.safetensors"
    save_file({"weight": torch.zeros(2)}, other)
    (tmp_path / "broken.safetensors").write_bytes(b"nothing")
    for words, said in (
        ([], "No fixture was named"),
        (["--fixture", str(tmp_path / "absent")], "There is no file"),
        (["--fixture", str(other)], "is no such fixture"),
        (["--fixture", str(tmp_path / "broken.safetensors")], "cannot be read"),
    ):
        assert main(["evaluate", "--stage", "parity", *words]) == 2
        assert said in capsys.readouterr().err


def test_the_stage_is_not_part_of_a_run_of_all_stages() -> None:
    from backend.cli import evaluate

    ran: list[str] = []

    class Module:
        def __init__(self, name: str) -> None:
            self.name = name

        def add_arguments(self, parser: argparse.ArgumentParser) -> None:
            pass

        def run(self, arguments: argparse.Namespace) -> dict[str, str]:
            ran.append(self.name)
            return {}

    evaluate.run(argparse.Namespace(stage=None, stage_modules={name: Module(name) for name in evaluate.STAGES}))
    assert "parity" not in ran and "motion" in ran

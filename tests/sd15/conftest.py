# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tests of the Stable Diffusion tier share: tiny networks in memory and on disk, and the optional fixtures."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from backend.synthesis.sd15.models import Models

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def tiny_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for ``AUTTER_SD15``: random weights by rule for pictures of 64 pixels, named as EchoMimic's.

    Their landmark net is small.
    """
    pytest.importorskip("diffusers")
    pytest.importorskip("transformers")
    from backend.synthesis.sd15.tiny import write_tiny_parts

    folder = tmp_path_factory.mktemp("sd15") / "tiny"
    for name, path in write_tiny_parts(folder, "echomimic", suffix=".safetensors").items():
        if path.is_file() and name != "unet_config":
            path.rename(path.with_name(f"{name}_pose.safetensors"))
    return folder


@pytest.fixture(scope="session")
def tiny() -> Models:
    """AniPortrait's layout, tiny, with weights by rule."""
    pytest.importorskip("diffusers")
    from backend.synthesis.sd15.tiny import tiny_models

    return tiny_models()


@pytest.fixture(scope="session")
def tiny_echo() -> Models:
    """EchoMimic's layout, tiny, with weights by rule."""
    pytest.importorskip("diffusers")
    from backend.synthesis.sd15.tiny import tiny_models

    return tiny_models(family="echomimic")


@pytest.fixture(scope="session")
def fixtures_folder() -> Path:
    """Outputs and keys of the public code: $AUTTER_FIXTURES, or shared/fixtures beside the checkout. Skips where there are none."""
    folder = Path(os.environ.get("AUTTER_FIXTURES", ROOT.parent / "shared" / "fixtures"))
    if not folder.is_dir():
        pytest.skip("needs the fixtures folder: set AUTTER_FIXTURES")
    return folder

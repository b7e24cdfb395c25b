# SPDX-License-Identifier: GPL-3.0-or-later
"""The tiny configuration on disk, in the published form, as a user's own folder of weights."""

from __future__ import annotations

import json
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def tiny_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for ``AUTTER_SD15``: random weights by rule, pictures of 64 pixels."""
    pytest.importorskip("diffusers")
    pytest.importorskip("transformers")
    from backend.synthesis.sd15.tiny import write_tiny_parts

    folder = tmp_path_factory.mktemp("sd15") / "tiny"
    config = write_tiny_parts(folder)["unet_config"]
    config.write_text(json.dumps({**json.loads(config.read_text()), "sample_size": 8}))
    return folder

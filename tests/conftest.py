# SPDX-License-Identifier: GPL-3.0-or-later
"""What every test shares: one thread, a way to the optional data, and a clean way out of bpy."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

try:
    from hypothesis import HealthCheck, settings
except ImportError:  # Blender's Python goes without
    pass
else:
    # A busy machine is no fault of the code.
    settings.register_profile("autter", deadline=None, suppress_health_check=[HealthCheck.too_slow])
    settings.load_profile("autter")

os.environ.setdefault("OMP_NUM_THREADS", "1")
ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """The training and test material: $AUTTER_DATA, or shared/data beside the checkout. Skips where there is none."""
    folder = Path(os.environ.get("AUTTER_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip("needs the data folder: set AUTTER_DATA")
    return folder


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Keep the exit status for the way out."""
    session.config._autter_exit_status = int(exitstatus)  # type: ignore[attr-defined]


@pytest.hookimpl(trylast=True)
def pytest_unconfigure(config: pytest.Config) -> None:
    """Leave without bpy's own teardown: Blender 4.2 crashes and 4.5 hangs there once an add-on or a timer was registered."""
    status = getattr(config, "_autter_exit_status", None)
    if status is not None and "bpy" in sys.modules:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)

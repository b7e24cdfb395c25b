# SPDX-License-Identifier: GPL-3.0-or-later
"""Nothing that the backend loads reports to its maker: onnxruntime's own builds would, unless told so before they are loaded."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.unit
ROOT = Path(__file__).resolve().parents[2]

SESSION = """
import sys
if sys.argv[1] == "told":
    import backend
import onnx, onnxruntime
from onnx import TensorProto, helper
values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in ("x", "y")]
graph = helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "g", values[:1], values[1:])
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
"""


def left_after(how: str, folder: Path) -> list[str]:
    """What a process that makes a session leaves in its home and its temporary folder."""
    for name in ("home", "tmp"):
        (folder / name).mkdir(parents=True)
    places = {"HOME": str(folder / "home"), "XDG_CACHE_HOME": str(folder / "home"), "TMPDIR": str(folder / "tmp")}
    environment = {name: value for name, value in os.environ.items() if "TELEMETRY" not in name}
    done = subprocess.run([sys.executable, "-c", SESSION, how], cwd=ROOT, env={**environment, **places}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


def test_a_session_leaves_no_reports(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    assert left_after("told", tmp_path / "told") == []

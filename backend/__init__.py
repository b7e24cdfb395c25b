# SPDX-License-Identifier: GPL-3.0-or-later
"""AUtter's backend: voice and Action Units in, a talking-head video out. Runs in an environment of its own, never in Blender."""

import os
import platform

# onnxruntime's own builds report to Microsoft, and huggingface_hub to its maker, unless told so before they are loaded.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"

# numpy's algebra here is on some hundred numbers: several threads for it only wait for each other, and for those of frames made side by
# side. Torch has its own library, but for Arm, where it is the same one.
if platform.machine().lower() in ("x86_64", "amd64"):
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

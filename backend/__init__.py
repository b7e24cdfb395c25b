# SPDX-License-Identifier: GPL-3.0-or-later
"""AUtter's backend: voice and Action Units in, a talking-head video out. Runs in an environment of its own, never in Blender."""

import os

# onnxruntime's own builds report to Microsoft, and huggingface_hub to its maker, unless told so before they are loaded.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"

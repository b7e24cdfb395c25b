# SPDX-License-Identifier: GPL-3.0-or-later
"""`build.py pictures`: the README's pictures, made from the sample shot by the demo and drawn in a real Blender."""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from tools import demo, release
from tools.environments import BACKEND, preferred_blender, set_up
from tools.say import ROOT, run_quietly, say, step

PICTURES = ROOT / "docs" / "pictures"
SHRINK = """
import sys
from PIL import Image
picture = Image.open(sys.argv[1]).convert("RGB")
width = int(sys.argv[3])
picture = picture.resize((width, round(picture.height * width / picture.width)), Image.Resampling.LANCZOS)
picture.quantize(256, method=Image.Quantize.MEDIANCUT, kmeans=8, dither=Image.Dither.FLOYDSTEINBERG).save(sys.argv[2], optimize=True)
"""


def run(choice: argparse.Namespace) -> int:
    """Make the sample shot and every picture from it."""
    blender = preferred_blender()
    set_up([BACKEND, blender])
    PICTURES.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="autter-pictures-") as scratch:
        shot = ROOT / "out" / "demo"
        demo.run(argparse.Namespace(portrait=None, audio=None, aus=None, fps="24", out=shot, blender=None))
        shrink(shot / "sheet.png", PICTURES / "demo.png", 1500)
        with step("Drawing the rig in Blender"):
            extra = {"BLENDER_USER_RESOURCES": str(Path(scratch) / "blender"), "AUTTER_BACKEND_PYTHON": str(BACKEND.interpreter)}
            raw = Path(scratch) / "rig.png"
            command = [blender.interpreter, ROOT / "tools" / "rig_picture.py", release.zip_path(), shot / "shot.blend", raw]
            run_quietly(command, "Drawing the rig", extra)
            shrink(raw, PICTURES / "rig.png", 1000)
    return 0


def shrink(source: Path, target: Path, width: int) -> None:
    """A picture of ``width`` pixels and 256 colours, small enough for a repository."""
    run_quietly([BACKEND.interpreter, "-c", SHRINK, source, target, width], "Shrinking a picture")
    say("    {} ({:.0f} kB)".format(target.relative_to(ROOT), target.stat().st_size / 1000))

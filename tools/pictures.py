# SPDX-License-Identifier: GPL-3.0-or-later
"""`build.py pictures`: the README's pictures, made from the sample shot by the demo and drawn in a real Blender."""

from __future__ import annotations

import argparse
import json
import os
import shlex
import shutil
import tempfile
import zipfile
from pathlib import Path

from tools import demo, release
from tools.environments import BACKEND, preferred_blender, set_up
from tools.say import ROOT, run_quietly, say, step

PICTURES = ROOT / "docs" / "pictures"
SHRINK = """
import sys
from pathlib import Path
import numpy as np
from PIL import Image
picture, most = Image.open(sys.argv[1]).convert("RGB"), 300_000
width = min(int(sys.argv[3]), picture.width)
if width < picture.width:
    picture = picture.resize((width, round(picture.height * width / picture.width)), Image.Resampling.LANCZOS)
picture.save(sys.argv[2], optimize=True)
if Path(sys.argv[2]).stat().st_size > 300_000:
    # A palette in which small things count too, each colour by the root of how often it comes; flat surfaces keep theirs exactly.
    pixels = np.asarray(picture).reshape(-1, 3)
    exact, often = np.unique(pixels, axis=0, return_counts=True)
    flat = exact[np.argsort(-often)[:32]]
    colours, counts = np.unique(pixels & 0xFC, axis=0, return_counts=True)
    sample = np.repeat(colours | 2, np.ceil(np.sqrt(counts)).astype(int), axis=0)
    others = Image.fromarray(sample[None]).quantize(224, method=Image.Quantize.MEDIANCUT, kmeans=8).getpalette()[: 3 * 224]
    palette = Image.new("P", (1, 1))
    palette.putpalette(flat.ravel().tolist() + others)
    picture.quantize(palette=palette, dither=Image.Dither.NONE).save(sys.argv[2], optimize=True)
"""
BESIDE = """
import sys
import numpy as np
from PIL import Image
gap, pages = 12, []
for path in sys.argv[2:]:
    page = Image.open(path).convert("RGB")
    pixels = np.asarray(page).astype(int)
    used = np.flatnonzero((abs(pixels - pixels[-1, 0]) > 8).any(axis=(1, 2)))
    pages.append(page.crop((0, 0, page.width, min(page.height, used[-1] + gap))))
empty = pages[0].getpixel((0, pages[0].height - 1))
whole = Image.new("RGB", (sum(page.width for page in pages) + gap * (len(pages) - 1), max(page.height for page in pages)), empty)
for place, page in enumerate(pages):
    whole.paste(page, (sum(other.width + gap for other in pages[:place]), 0))
whole.save(sys.argv[1], optimize=True)
"""
CROP = """
import sys
from PIL import Image
picture = Image.open(sys.argv[1]).convert("RGB")
left, top, right, bottom = map(int, sys.argv[3].split(","))
picture.crop((left, top, right, bottom)).save(sys.argv[2])
"""


def run(choice: argparse.Namespace) -> int:
    """Make the sample shot and every picture from it."""
    blender = preferred_blender()
    set_up([BACKEND, blender])
    PICTURES.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="autter-pictures-") as scratch:
        shot = ROOT / "out" / "demo"
        shutil.rmtree(shot / "autter", ignore_errors=True)  # takes of former pictures, so that the names are the same each time
        demo.run(argparse.Namespace(portrait=None, audio=None, aus=None, fps="24", out=shot, blender=None))
        shrink(shot / "sheet.png", PICTURES / "demo.png", 1500)
        with step("Drawing the rig in Blender"):
            extra = {"BLENDER_USER_RESOURCES": str(Path(scratch) / "blender"), "AUTTER_BACKEND_PYTHON": str(BACKEND.interpreter)}
            raw = Path(scratch) / "rig.png"
            command = [blender.interpreter, ROOT / "tools" / "rig_picture.py", release.zip_path(), shot / "shot.blend", raw]
            run_quietly(command, "Drawing the rig", extra)
            shrink(raw, PICTURES / "rig.png", 1000)
        window_pictures(shot / "shot.blend", Path(scratch))
    return 0


def window_pictures(blend: Path, scratch: Path) -> None:
    """Pictures of the add-on in a Blender with a window, where AUTTER_WINDOW names the command that starts one."""
    command = shlex.split(os.environ.get("AUTTER_WINDOW", ""))
    if not command:
        say("    AUTTER_WINDOW names no Blender with a window: the guide's pictures stay as they are")
        return
    with step("Working a Blender with a window"), zipfile.ZipFile(release.zip_path()) as file:
        file.extractall(scratch / "user" / "extensions" / "user_default" / "autter")
        extra = {"BLENDER_USER_RESOURCES": str(scratch / "user"), "AUTTER_BACKEND_PYTHON": str(BACKEND.interpreter)}
        words = [*command, "--enable-event-simulate", "--python", ROOT / "tools" / "window_pictures.py", "--", blend, scratch]
        run_quietly(words, "Working Blender", {**extra, "BLENDER_SECONDS": "900"})
    places = json.loads((scratch / "places.json").read_text(encoding="utf-8"))
    for name, (left, bottom, width, height, whole) in places.items():
        box = ",".join(str(number) for number in (left, whole - bottom - height, left + width, whole - bottom))
        run_quietly([BACKEND.interpreter, "-c", CROP, scratch / (name + ".png"), scratch / (name + "-cut.png"), box], "Cutting a picture")
        if not name.startswith("sidebar"):
            shrink(scratch / (name + "-cut.png"), PICTURES / (name + ".png"), width)
    pages = [scratch / (name + "-cut.png") for name in places if name.startswith("sidebar")]
    run_quietly([BACKEND.interpreter, "-c", BESIDE, PICTURES / "sidebar.png", *pages], "Laying the sidebar's pages side by side")


def shrink(source: Path, target: Path, width: int) -> None:
    """A picture of ``width`` pixels, with 256 colours where all of them would be too much for a repository."""
    run_quietly([BACKEND.interpreter, "-c", SHRINK, source, target, width], "Shrinking a picture")
    say("    {} ({:.0f} kB)".format(target.relative_to(ROOT), target.stat().st_size / 1000))

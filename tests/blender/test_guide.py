# SPDX-License-Identifier: GPL-3.0-or-later
"""The guide names buttons as they are called: whoever follows it finds each one."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

bpy = pytest.importorskip("bpy")

pytestmark = pytest.mark.blender
DOCS = Path(__file__).resolve().parents[2] / "docs"
NAME = re.compile(r"(?<![\w*])\*([A-Z][^*]*?[^*\s])\*(?![\w*])")  # *In italics*, not **bold**
BLENDERS = {"Edit > Preferences > Get Extensions > Install from Disk", "Object", "Pose", "Add", "Strip"}
OTHERWISE = {"Mouth, Jaw, Brows, Lids, Gaze": ("Mouth", "Jaw", "Brows", "Lids", "Gaze")}


def words_of(addon) -> str:
    """The add-on's own modules, whose quoted words are what its buttons show."""
    folder = Path(addon.properties.__file__).parent
    return "".join(path.read_text(encoding="utf-8") for path in sorted(folder.glob("*.py")))


@pytest.mark.parametrize("page", ["guide.md", "directing.md"])
def test_every_name_in_italics_is_a_button_panel_or_setting(addon, page):
    text = re.sub(r"```.*?```", "", (DOCS / page).read_text(encoding="utf-8"), flags=re.S)
    names = {" ".join(name.split()) for name in NAME.findall(text)} - BLENDERS
    assert len(names) > 5
    words = words_of(addon)
    unknown = [name for name in sorted(names) if not all(f'"{part}"' in words for part in OTHERWISE.get(name, (name,)))]
    assert not unknown, f"{page} names what is not there: {unknown}"


def test_every_operator_of_the_guide_runs_as_it_is_written(addon):
    called = set()
    for page in ("guide.md", "directing.md", "../README.md"):
        for name, arguments in re.findall(r"bpy\.ops\.autter\.(\w+)\(([^)]*)\)", (DOCS / page).read_text(encoding="utf-8")):
            properties = getattr(bpy.ops.autter, name).get_rna_type().properties.keys()
            given = re.findall(r"(\w+)=", arguments)
            assert set(given) <= set(properties), f"{page}: {name} has no {set(given) - set(properties)}"
            called.add(name)
    assert len(called) > 5


def test_what_the_tab_has_is_in_the_menu_and_so_in_the_search(addon):
    folder = Path(addon.properties.__file__).parent
    named = lambda pattern: {name for path in folder.glob(pattern) for name in re.findall(r'"autter\.(\w+)"', path.read_text("utf-8"))}  # noqa: E731
    of_one_row = {"use_parked", "forget_parked"}  # each belongs to a line of the panel
    assert len(named("panel_*.py")) > 30
    assert named("panel_*.py") - named("menus*.py") == of_one_row

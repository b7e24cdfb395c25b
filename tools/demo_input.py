# SPDX-License-Identifier: GPL-3.0-or-later
"""Look at the demo's input with the backend's own readers, before Blender starts: `python -m tools.demo_input SHOT.json`.

Prints one JSON object: ``{"frames": length of the voice, "keyed": ["AU12", ...]}`` or ``{"fault": sentence}``.
"""

from __future__ import annotations

import json
import math
import sys
from fractions import Fraction
from pathlib import Path
from typing import Any

from backend.portrait.image import read_image
from backend.speech.load import probe_audio
from backend.tables import read_au_csv
from bridge.facs import AU_KEYS
from bridge.faults import Fault


def look_at(shot: dict[str, Any]) -> dict[str, Any]:
    """Frames of the shot and the AUs that the table keys."""
    fps = Fraction(*shot["fps"])
    read_image(Path(shot["portrait"]))
    frames = max(1, math.ceil(probe_audio(Path(shot["audio"])).duration * fps - 1e-6))
    _, keyed = read_au_csv(shot["aus"], frames, fps)
    return {"frames": frames, "keyed": [key for unit, key in enumerate(AU_KEYS) if keyed[:, unit].any()]}


def main() -> None:
    """Print what was found, or what is wrong."""
    try:
        answer = look_at(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))
    except Fault as fault:
        answer = {"fault": f"{fault.sentence} {fault.hint}".strip()}
    print(json.dumps(answer))


if __name__ == "__main__":
    main()

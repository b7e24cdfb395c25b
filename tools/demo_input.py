# SPDX-License-Identifier: GPL-3.0-or-later
"""Look at the demo's input with the backend's own readers, before Blender starts: `python -m tools.demo_input SHOT.json`.

Prints one JSON object: ``{"frames": n, "keys": {"AU12": [[frame from 0, value], ...]}}`` or ``{"fault": sentence}``.
"""

from __future__ import annotations

import json
import math
import sys
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backend.portrait.image import read_image
from backend.speech.load import probe_audio
from backend.tables import read_au_csv
from bridge.facs import AU_KEYS
from bridge.faults import Fault

TOLERANCE = 0.02  # intensity by which keys may miss a table's rows


def bends(curve: NDArray[np.float32], first: int, last: int) -> list[int]:
    """Indices inside first..last where a straight line between the kept points would miss the curve by the tolerance."""
    if last - first < 2:
        return []
    line = np.interp(np.arange(first, last + 1), [first, last], [curve[first], curve[last]])
    misses = np.abs(curve[first : last + 1] - line)
    worst = first + int(misses.argmax())
    if misses.max() <= TOLERANCE:
        return []
    return [*bends(curve, first, worst), worst, *bends(curve, worst, last)]


def keys_of(curve: NDArray[np.float32]) -> list[list[float]]:
    """Sparse keys, as an animator would set them, that give the curve with straight lines between them."""
    last = len(curve) - 1
    return [[index, float(curve[index])] for index in sorted({0, *bends(curve, 0, last), last})]


def look_at(shot: dict[str, Any]) -> dict[str, Any]:
    """Frames of the shot and keys of every AU in the table."""
    fps = Fraction(*shot["fps"])
    read_image(Path(shot["portrait"]))
    frames = max(1, math.ceil(probe_audio(Path(shot["audio"])).duration * fps - 1e-6))
    values, keyed = read_au_csv(shot["aus"], frames, fps)
    return {"frames": frames, "keys": {key: keys_of(values[:, unit]) for unit, key in enumerate(AU_KEYS) if keyed[:, unit].any()}}


def main() -> None:
    """Print what was found, or what is wrong."""
    try:
        answer = look_at(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))
    except Fault as fault:
        answer = {"fault": f"{fault.sentence} {fault.hint}".strip()}
    print(json.dumps(answer))


if __name__ == "__main__":
    main()

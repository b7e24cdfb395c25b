# SPDX-License-Identifier: GPL-3.0-or-later
"""A backend for clients on other computers, with a runner that reads what was sent. Started as a script.

A portrait that holds ``slow`` works until it is cancelled; its render writes a movie of as many bytes as the recording holds, and
the end of the portrait's content.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import numpy as np

from backend.serve.server import serve_with
from bridge.shot import Track


class ReadingRunner:
    """Stands in for the pipeline."""

    def warm_up(self) -> str:
        return "far device"

    def portrait(self, path, progress):
        content = path.read_bytes()
        while content == b"slow":
            progress(1, 2, "waiting")
            time.sleep(0.02)
        fields = {"portrait_size": [len(content), 1], "place": str(path)}
        return fields, {"landmarks": np.zeros((162, 2), np.float32), "mesh": np.zeros((478, 3), np.float32)}

    def predict(self, shot, progress, *, window=None, edited=None):
        landmarks = np.ones((shot.frame_count, 162, 2), np.float32)
        return Track(landmarks, np.zeros_like(landmarks), shot.fps, (640, 480), landmarks[0], shot.au_values)

    def render(self, shot, track, out, progress, *, frames, keep_partial, preview, reuse=None):
        progress(1, 2, "rendering")
        former = Path(reuse.path).read_bytes() if reuse is not None else b""
        out.write_bytes(Path(shot.voice[0].path).read_bytes() + former + Path(shot.portrait).read_bytes())
        return {"frames": len(track.landmarks), "path": str(out)}

    def tiers(self):
        return {}

    def free_memory(self) -> None:
        pass


if __name__ == "__main__":
    sys.exit(serve_with(ReadingRunner(), parent_watch=False, tcp=True, files_travel="--local" not in sys.argv))

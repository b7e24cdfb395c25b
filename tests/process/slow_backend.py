# SPDX-License-Identifier: GPL-3.0-or-later
"""A backend for the process tests: the real server with a runner whose work is to wait. Started as a script.

The portrait's name tells what a job does: ``slow`` reports progress for a minute, ``fast`` answers at once, ``deaf``
works for a minute without looking at its cancellation, ``crash`` ends the process, ``stumble`` raises, ``lacking`` misses a
package, ``noisy`` prints megabytes, ``hungry`` wants more memory than there is, ``film`` writes a real movie of a minute,
slowly, ``stuck`` the same and does not look at its cancellation.
"""

from __future__ import annotations

import os
import sys
import time
from fractions import Fraction
from pathlib import Path

import numpy as np

from backend.serve.server import serve_with
from bridge.faults import Fault
from bridge.shot import Track


class SlowRunner:
    """Stands in for the pipeline."""

    def warm_up(self) -> str:
        return "test device"

    def portrait(self, path, progress):
        self._act(path.name, progress)
        return {"portrait_size": [640, 480]}, {"landmarks": np.zeros((162, 2), np.float32), "mesh": np.zeros((478, 3), np.float32)}

    def predict(self, shot, progress, *, window=None, edited=None):
        self._act(Path(shot.portrait).name, progress)
        first, end = window or edited or (0, shot.frame_count)
        landmarks = np.arange(shot.frame_count * 324, dtype=np.float32).reshape(-1, 162, 2)[first:end]
        return Track(landmarks, np.zeros_like(landmarks), shot.fps, (640, 480), landmarks[0], shot.au_values[first:end], first)

    def render(self, shot, track, out, progress, *, frames, keep_partial, preview, reuse=None):
        if Path(shot.portrait).name in ("film", "stuck"):
            return {"frames": film(out, progress, Path(shot.portrait).name == "stuck")}
        partial = out.with_suffix(".partial")
        partial.write_bytes(b"half")
        try:
            for _ in range(3):
                preview(np.full((1000, 800, 3), 7, np.uint8))
            self._act(Path(shot.portrait).name, progress)
        except Fault:
            partial.unlink()
            raise
        os.replace(partial, out)
        return {"frames": len(track.landmarks)}

    def capture(self, path, progress):
        self._act(path.name, progress)
        landmarks = np.ones((3, 162, 2), np.float32)
        return Track(landmarks, np.zeros_like(landmarks), Fraction(30), (640, 480), landmarks[0], np.zeros((3, 18), np.float32))

    def preview_frame(self, shot, track, frame, progress):
        return np.full((48, 64, 3), frame, np.uint8)

    def free_memory(self):
        print("memory freed")  # on standard output, as careless libraries do

    def _act(self, name, progress):
        print(f"doing {name}")
        if name == "crash":
            print("last words", file=sys.stderr)
            os._exit(3)
        if name == "stumble":
            raise RuntimeError("a bug in the pipeline")
        if name == "lacking":
            import no_such_package  # noqa: F401
        if name == "deaf":
            time.sleep(60)
        if name == "noisy":
            for _ in range(40):
                print("x" * 50_000)
                print("y" * 50_000, file=sys.stderr)
        if name == "hungry":
            np.ones(2**40, np.uint8)
        for step in range(6000 if name == "slow" else 2):
            progress(step, 6000, "waiting")
            time.sleep(0.01)


def film(out: Path, progress, stuck: bool) -> int:
    """A movie of noise by the real writer, which hides nothing from the encoder; its frames.

    ``stuck``: one of them takes a minute, and a file ``stuck`` above its folder says so.
    """
    from backend.video.write import write_movie

    def frames():
        draw = np.random.default_rng(1)
        for number in range(1500):
            progress(number, 1500, "painting")
            if stuck and number == 200:
                (out.parent.parent / "stuck").touch()
                time.sleep(60)
            time.sleep(0.005)
            yield draw.integers(0, 255, (240, 320, 3), np.uint8)

    return write_movie(out, frames(), Fraction(25), 1500, None)


if __name__ == "__main__":
    assert sys.argv[1:] in ([], ["--no-parent-watch"])
    serve_with(SlowRunner(), parent_watch="--no-parent-watch" not in sys.argv)

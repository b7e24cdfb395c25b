# SPDX-License-Identifier: GPL-3.0-or-later
"""Writing and reading movies: exact length and colours, the synthetic note, and disks that refuse."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from backend_samples import fault_of, nothing_left, tone_samples
from numpy.typing import NDArray

from backend.video.label import labelled
from backend.video.read import probe_video, read_frames
from backend.video.write import SYNTHETIC_NOTE, check_target, write_movie
from bridge.faults import Fault
from bridge.rates import exact_rate

pytestmark = pytest.mark.unit


def pictures(count: int, width: int = 96, height: int = 64) -> Iterator[NDArray[np.uint8]]:
    """A grey that climbs by two levels a frame, beside flat colours."""
    for index in range(count):
        image = np.zeros((height, width, 3), np.uint8)
        image[:, : width // 2] = 40 + 2 * index
        image[:, width // 2 :] = (200, 120, 40)
        yield image


@pytest.mark.parametrize("fps", [Fraction(25), Fraction(24000, 1001), Fraction(30000, 1001), Fraction(60)])
def test_length_rate_and_sound(tmp_path: Path, fps: Fraction) -> None:
    out = tmp_path / "talk.mp4"
    assert write_movie(out, pictures(50), fps, 50, tone_samples(48000, 5.0), {"title": "talk"}) == 50
    info = probe_video(out)
    assert (info.fps, info.frame_count, info.size, info.has_audio) == (fps, 50, (96, 64), True)
    with av.open(str(out)) as container:
        video, audio = container.streams.video[0], container.streams.audio[0]
        assert video.duration * video.time_base == 50 / fps
        assert float(audio.duration * audio.time_base) == pytest.approx(float(50 / fps), abs=0.002)
        assert (video.codec_context.name, audio.codec_context.name, video.codec_context.pix_fmt) == ("h264", "aac", "yuv420p")
        assert video.start_time == 0 and video.codec_context.colorspace == 1 and video.codec_context.color_range == 1
        assert SYNTHETIC_NOTE in container.metadata["comment"] and container.metadata["title"] == "talk"
    data = out.read_bytes()
    assert 0 < data.find(b"moov") < data.find(b"mdat"), "players on the web want the index first"
    assert [path.name for path in tmp_path.iterdir()] == ["talk.mp4"]


def test_frames_come_back_in_order_with_their_colours(tmp_path: Path) -> None:
    out = tmp_path / "talk.mp4"
    write_movie(out, pictures(40), Fraction(25), 40, None)
    frames = list(read_frames(out))
    assert len(frames) == 40 and not probe_video(out).has_audio
    errors = [frame[20:40, 10:30].mean() - (40 + 2 * index) for index, frame in enumerate(frames)]
    assert max(map(abs, errors)) < 1.5 and abs(np.mean(errors)) < 0.5, "no level is lost on the whole"
    for frame in frames:
        assert np.abs(frame[20:40, 60:90].mean((0, 1)) - (200, 120, 40)).max() < 2
    part = list(read_frames(out, 10, 5))
    assert len(part) == 5 and np.array_equal(part[0], frames[10])


def test_odd_sides_are_padded(tmp_path: Path) -> None:
    write_movie(tmp_path / "odd.mp4", pictures(3, 97, 65), Fraction(25), 3, None)
    assert probe_video(tmp_path / "odd.mp4").size == (98, 66)


def test_a_short_voice_is_filled_up_with_silence(tmp_path: Path) -> None:
    out = tmp_path / "talk.mp4"
    write_movie(out, pictures(50), Fraction(25), 50, tone_samples(48000, 0.5))
    with av.open(str(out)) as container:
        assert float(container.streams.audio[0].duration * container.streams.audio[0].time_base) == pytest.approx(2.0, abs=0.002)


def test_a_fault_among_the_frames_leaves_nothing(tmp_path: Path) -> None:
    def frames() -> Iterator[NDArray[np.uint8]]:
        yield from pictures(5)
        raise Fault("cancelled", "The job was cancelled.")

    (tmp_path / "talk.mp4").write_bytes(b"an older movie")
    with pytest.raises(Fault, match="cancelled"):
        write_movie(tmp_path / "talk.mp4", frames(), Fraction(25), 50, None)
    assert (tmp_path / "talk.mp4").read_bytes() == b"an older movie" and nothing_left(tmp_path)


def test_no_frames_and_other_formats(tmp_path: Path) -> None:
    assert fault_of(lambda: write_movie(tmp_path / "a.mp4", iter(()), Fraction(25), 0, None)).code == "no-frames"
    assert fault_of(lambda: write_movie(tmp_path / "a.avi", pictures(2), Fraction(25), 2, None)).code == "movie-format"
    assert fault_of(lambda: check_target(tmp_path / "a.gif", (64, 64), 10, Fraction(25))).code == "movie-format"
    assert fault_of(lambda: check_target(tmp_path / "a.mp4", (9000, 9000), 10, Fraction(25))).code == "movie-size"
    assert not list(tmp_path.iterdir())


def test_a_full_disk_is_told_before_the_work(tmp_path: Path) -> None:
    fault = fault_of(lambda: check_target(tmp_path / "a.mp4", (4096, 4096), 10**8, Fraction(25)))
    assert fault.code == "disk-full" and "MB" in fault.sentence


@pytest.mark.skipif(sys.platform == "win32", reason="needs a limit on file sizes")
def test_a_disk_that_fills_up_during_the_work_leaves_nothing(tmp_path: Path) -> None:
    program = """
import resource, signal, sys
from fractions import Fraction
import numpy as np
from backend.video.write import write_movie
from bridge.faults import Fault
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
noise = np.random.default_rng(0)
try:
    write_movie(sys.argv[1], (noise.integers(0, 255, (256, 256, 3), np.uint8) for _ in range(60)), Fraction(25), 60, None)
except Fault as fault:
    print(fault.code)
"""
    result = subprocess.run([sys.executable, "-c", program, str(tmp_path / "talk.mp4")], capture_output=True, text=True, timeout=120)
    assert result.stdout.strip() == "disk-full", result.stderr
    assert not list(tmp_path.iterdir())


def test_a_read_only_folder(read_only_folder: Path) -> None:
    fault = fault_of(lambda: check_target(read_only_folder / "a.mp4", (64, 64), 10, Fraction(25)))
    assert fault.code == "folder-read-only" and str(read_only_folder) in fault.sentence
    assert fault_of(lambda: write_movie(read_only_folder / "a.mp4", pictures(2), Fraction(25), 2, None)).code == "folder-read-only"


def test_paths_that_cannot_be(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert fault_of(lambda: check_target(tmp_path / "file" / "a.mp4", (64, 64), 10, Fraction(25))).code == "path-invalid"
    (tmp_path / "folder.mp4").mkdir()
    assert fault_of(lambda: check_target(tmp_path / "folder.mp4", (64, 64), 10, Fraction(25))).code == "path-invalid"
    check_target(tmp_path / "new" / "folder" / "a.mp4", (64, 64), 10, Fraction(25))


def test_what_is_no_video(tmp_path: Path) -> None:
    text = tmp_path / "film.mp4"
    text.write_text("not a film")
    assert fault_of(lambda: probe_video(text)).code == "video-unreadable"
    assert fault_of(lambda: list(read_frames(tmp_path / "gone.mp4"))).code == "video-missing"


def test_a_variable_rate_is_made_constant(tmp_path: Path) -> None:
    path = tmp_path / "phone.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"bf": "0"})
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
        stream.codec_context.time_base = stream.time_base = Fraction(1, 1000)
        for tick, grey in ((0, 50), (1, 100), (2, 150), (7, 200), (8, 250)):  # nothing new for five ticks
            frame = av.VideoFrame.from_ndarray(np.full((64, 64, 3), grey, np.uint8), format="rgb24")
            frame.pts, frame.time_base = tick * 40, Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    greys = [round(float(frame.mean()) / 50) * 50 for frame in read_frames(path)]
    assert greys == [50, 100, 150, 150, 150, 150, 150, 200, 250]


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        (23.976, Fraction(24000, 1001)),
        ("29.97", Fraction(30000, 1001)),
        (59.94005994, Fraction(60000, 1001)),
        ("30000/1001", Fraction(30000, 1001)),
        (25.0, Fraction(25)),
        ("24", Fraction(24)),
        (12.5, Fraction(25, 2)),
    ],
)
def test_exact_rates(given: float | str, meant: Fraction) -> None:
    assert exact_rate(given) == meant


def test_the_visible_label_stays_in_its_corner() -> None:
    plain = np.full((200, 300, 3), 100, np.uint8)
    (marked,) = labelled([plain])
    changed = np.argwhere((marked != plain).any(-1))
    assert len(changed) > 100 and changed[:, 0].min() > 150 and changed[:, 1].min() > 180
    assert marked.max() > 200, "letters are light"

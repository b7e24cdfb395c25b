# SPDX-License-Identifier: GPL-3.0-or-later
"""Voice strips with offset and trim, and the strips of a take."""

from __future__ import annotations

import json
import wave
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

bpy = pytest.importorskip("bpy")
import faces  # noqa: E402

pytestmark = pytest.mark.blender
WITH_SOUND = getattr(bpy.app.build_options, "audaspace", True)
needs_sound = pytest.mark.skipif(not WITH_SOUND, reason="this bpy is built without sound strips")


@pytest.fixture
def movie(tmp_path):
    """A 24-frame movie, as Blender's own encoder writes it. The scene is put back."""
    scene = bpy.context.scene
    render = scene.render
    scene.render.engine = "BLENDER_WORKBENCH"
    render.resolution_x = render.resolution_y = 64
    if hasattr(render.image_settings, "media_type"):
        render.image_settings.media_type = "VIDEO"
    render.image_settings.file_format = "FFMPEG"
    render.ffmpeg.format, render.ffmpeg.codec = "MPEG4", "H264"
    scene.sequence_editor_create()
    strips = scene.sequence_editor.strips if hasattr(scene.sequence_editor, "strips") else scene.sequence_editor.sequences
    strips.new_effect(
        name="c", type="COLOR", channel=1, frame_start=1, **({"length": 24} if bpy.app.version >= (5, 0, 0) else {"frame_end": 25})
    )
    scene.frame_start, scene.frame_end = 1, 24
    path = tmp_path / "movie.mp4"
    render.filepath = str(path)
    bpy.ops.render.render(animation=True, scene=scene.name)
    assert path.is_file()
    bpy.ops.wm.read_homefile(use_empty=True, use_factory_startup=True)
    return path


def new_scene(fps: int = 24, first: int = 1, last: int = 96):
    scene = bpy.context.scene
    scene.render.fps, scene.frame_start, scene.frame_end = fps, first, last
    return scene


def strips_of(addon, scene):
    return addon.compat.strips_of(scene.sequence_editor)


@pytest.mark.skipif(WITH_SOUND, reason="this bpy has sound strips")
def test_without_sound_strips_the_file_is_remembered(addon, tmp_path):
    scene = new_scene(first=11)
    assert bpy.ops.autter.add_voice(filepath=str(faces.voice(tmp_path)), frame_start=23) == {"FINISHED"}
    assert "without sound" in addon.reports.latest_problem().sentence
    (piece,) = addon.voices.pieces(bpy.context, range(11, 96), Fraction(24))
    assert piece.offset == pytest.approx(0.5) and piece.trim_start == 0 and piece.duration is None
    assert scene.autter.voice_file


@needs_sound
def test_voice_starts_with_the_scene(addon, tmp_path):
    scene = new_scene(first=5)
    bpy.ops.autter.add_voice(filepath=str(faces.voice(tmp_path)))
    (strip,) = strips_of(addon, scene)
    assert addon.compat.strip_handles(strip) == (5, 101) and strip["autter_voice"]
    (piece,) = addon.voices.pieces(bpy.context, range(5, 101), Fraction(24))
    assert (piece.offset, piece.trim_start, piece.duration) == (0, 0, pytest.approx(4))


@needs_sound
def test_offset_and_trim(addon, tmp_path):
    """One second in, the first half second and the last second cut off."""
    scene = new_scene()
    bpy.ops.autter.add_voice(filepath=str(faces.voice(tmp_path)), frame_start=25)
    (strip,) = strips_of(addon, scene)
    addon.compat.trim_strip(strip, 12, 24)
    (piece,) = addon.voices.pieces(bpy.context, range(1, 97), Fraction(24))
    assert piece.offset == pytest.approx(1.5)
    assert piece.trim_start == pytest.approx(0.5)
    assert piece.duration == pytest.approx(2.5)
    (later,) = addon.voices.pieces(bpy.context, range(49, 97), Fraction(24))
    assert later.offset == pytest.approx(-0.5)  # it began before the shot


@needs_sound
def test_sound_shifted_inside_the_strip(addon, tmp_path):
    scene = new_scene()
    bpy.ops.autter.add_voice(filepath=str(faces.voice(tmp_path)))
    (strip,) = strips_of(addon, scene)
    if not hasattr(strip, "sound_offset"):
        pytest.skip("this Blender cannot shift a sound inside its strip")
    strip.sound_offset = 0.25
    (piece,) = addon.voices.pieces(bpy.context, range(1, 97), Fraction(24))
    assert (piece.offset, piece.trim_start) == (pytest.approx(0.25), 0)


@needs_sound
def test_marked_strips_speak_alone(addon, tmp_path):
    scene = new_scene()
    bpy.ops.autter.add_voice(filepath=str(faces.voice(tmp_path)))
    music = strips_of(addon, scene).new_sound(name="music", filepath=str(faces.voice(tmp_path, name="music.wav")), channel=7, frame_start=1)
    assert [piece.path for piece in addon.voices.pieces(bpy.context, range(1, 97), Fraction(24))] == [str(tmp_path / "voice.wav")]
    bpy.ops.autter.use_strip_as_voice(strip="music")
    assert [piece.path for piece in addon.voices.pieces(bpy.context, range(1, 97), Fraction(24))] == [str(tmp_path / "music.wav")]
    for unheard in ({"mute": True}, {"volume": 0.0}):
        music.mute, music.volume = unheard.get("mute", False), unheard.get("volume", 1.0)
        assert addon.voices.pieces(bpy.context, range(1, 97), Fraction(24))[0].path == str(tmp_path / "voice.wav")


@needs_sound
def test_a_strips_volume_is_the_pieces_gain(addon, tmp_path):
    scene = new_scene()
    bpy.ops.autter.add_voice(filepath=str(faces.voice(tmp_path)))
    (strip,) = strips_of(addon, scene)
    for volume in (1.0, 0.25, 2.0):
        strip.volume = volume
        assert addon.voices.pieces(bpy.context, range(1, 97), Fraction(24))[0].gain == pytest.approx(volume)


@needs_sound
def test_a_fade_is_heard_as_it_plays_wherever_the_playhead_is(addon, tmp_path, monkeypatch):
    """Keyed from silence to full: Blender writes what it plays, and a playhead in the silence takes nothing away."""
    monkeypatch.setenv("AUTTER_HOME", str(tmp_path / "home"))
    scene = new_scene()
    bpy.ops.autter.add_voice(filepath=str(faces.voice(tmp_path)))
    (strip,) = strips_of(addon, scene)
    (plain,) = addon.voices.pieces(bpy.context, range(1, 97), Fraction(24))
    for frame, volume in ((1, 0.0), (40, 0.0), (56, 1.0), (97, 1.0)):
        strip.volume = volume
        assert strip.keyframe_insert("volume", frame=frame)
    found = set()
    for frame in (1, 80):
        scene.frame_set(frame)
        (piece,) = addon.voices.pieces(bpy.context, range(1, 97), Fraction(24))
        found.add(piece)
    assert len(found) == 1 and piece.path != plain.path and (piece.offset, piece.trim_start, piece.gain) == (0, 0, 1)
    before, after = halves(piece.path)
    loud, full = halves(plain.path)
    assert loud > 0.01 and before < 0.1 * loud, "the first half is silent"
    assert after == pytest.approx(full, rel=0.05), "the second is as it was"
    strip.volume = 0.5
    strip.keyframe_insert("volume", frame=97)
    assert addon.voices.pieces(bpy.context, range(1, 97), Fraction(24))[0].path != piece.path


def halves(path: str):
    """Loudness of the first 1.6 s and of the time from 2.4 s on, 0..1."""
    with wave.open(path) as file:
        samples = np.frombuffer(file.readframes(file.getnframes()), np.int16).reshape(-1, file.getnchannels()) / 32768
        rate = file.getframerate()
    return [float(np.sqrt((part**2).mean())) for part in (samples[: round(1.6 * rate)], samples[round(2.4 * rate) : round(3.9 * rate)])]


@needs_sound
def test_voice_outside_the_shot(addon, tmp_path):
    new_scene()
    bpy.ops.autter.add_voice(filepath=str(faces.voice(tmp_path)), frame_start=500)
    with pytest.raises(addon.bridge.faults.Fault) as caught:
        addon.voices.pieces(bpy.context, range(1, 97), Fraction(24))
    assert caught.value.code == "voice-outside"


@needs_sound
def test_add_voice_finds_a_free_channel(addon, tmp_path):
    scene = new_scene()
    path = str(faces.voice(tmp_path))
    strips_of_scene = addon.compat.strips_of(scene.sequence_editor_create())
    strips_of_scene.new_sound(name="there", filepath=path, channel=1, frame_start=10)
    scene.sequence_editor.channels[2].lock = True
    bpy.ops.autter.add_voice(filepath=path)
    assert sorted(strip.channel for strip in strips_of(addon, scene)) == [1, 3]


def test_no_audio_file(addon, tmp_path):
    new_scene()
    text = tmp_path / "voice.wav"
    text.write_text("this is no sound")
    with pytest.raises(RuntimeError, match="no recording|no recording at"):
        bpy.ops.autter.add_voice(filepath=str(tmp_path / "none.wav"))
    if WITH_SOUND:
        with pytest.raises(RuntimeError, match="sound"):
            bpy.ops.autter.add_voice(filepath=str(text))
        assert not len(strips_of(addon, bpy.context.scene))


def make_shot(addon, first: int, count: int, path: str):
    shot = addon.bridge.shot
    return shot.Shot(
        first,
        Fraction(24),
        path,
        (shot.Voice(path),),
        np.zeros((count, 18), np.float32),
        np.zeros((count, 18), bool),
        np.zeros((count, 6), np.float32),
        np.zeros((count, 6), bool),
        seed=9,
    )


def test_take_lies_at_its_frame_on_free_channels(addon, movie):
    scene = new_scene()
    strips = addon.compat.strips_of(scene.sequence_editor_create())
    length = {"length": 40} if bpy.app.version >= (5, 0, 0) else {"frame_end": 52}
    strips.new_effect(name="title", type="COLOR", channel=3, frame_start=12, **length)
    picture, sound = addon.sequencer.add_take(scene, movie, make_shot(addon, 31, 24, "p.png"), "Ada", {"seconds": 2})
    assert addon.compat.strip_handles(picture) == (31, 55)
    assert picture.channel > 3 and picture.type == "MOVIE"
    record = json.loads(picture["autter_take"])
    assert (record["actor"], record["seed"], record["frames"], record["frame_start"], record["fps"]) == ("Ada", 9, 24, 31, [24, 1])
    again, _ = addon.sequencer.add_take(scene, movie, make_shot(addon, 31, 24, "p.png"), "Ada", {})
    assert again.channel > picture.channel
    assert (sound is not None) == WITH_SOUND
    if sound is not None:
        assert sound.channel == picture.channel - 1 and addon.compat.strip_handles(sound)[1] <= 55


@needs_sound
def test_the_takes_sound_is_muted_beside_its_voice(addon, movie, tmp_path):
    scene = new_scene()
    _, sound = addon.sequencer.add_take(scene, movie, make_shot(addon, 1, 24, "p.png"), "Ada", {})
    assert not sound.mute
    bpy.ops.autter.add_voice(filepath=str(faces.voice(tmp_path)))
    _, sound = addon.sequencer.add_take(scene, movie, make_shot(addon, 1, 24, "p.png"), "Ada", {})
    assert sound.mute
    assert [strip.name for strip in addon.voices.voice_strips(scene)] == ["voice"]  # a take is no voice


def test_full_sequencer(addon):
    scene = new_scene()
    strips = addon.compat.strips_of(scene.sequence_editor_create())
    for channel in range(1, 129):
        length = {"length": 20} if bpy.app.version >= (5, 0, 0) else {"frame_end": 21}
        strips.new_effect(name=str(channel), type="COLOR", channel=channel, frame_start=1, **length)
    with pytest.raises(addon.bridge.faults.Fault, match="no free channel"):
        addon.sequencer.free_channel(scene, 1, 10)
    assert addon.sequencer.free_channel(scene, 21, 30) == 1


@pytest.mark.skipif("sequencer_scene" not in bpy.types.WorkSpace.bl_rna.properties, reason="this Blender has no sequencer scene")
def test_strips_go_to_the_sequencers_scene(addon, tmp_path):
    scene, edit = new_scene(), bpy.data.scenes.new("Edit")
    edit.render.fps = 24
    bpy.context.workspace.sequencer_scene = edit
    bpy.ops.autter.add_voice(filepath=str(faces.voice(tmp_path)))
    assert len(strips_of(addon, edit)) == 1 and not (scene.sequence_editor and len(strips_of(addon, scene)))
    edit.render.fps = 30
    with pytest.raises(addon.bridge.faults.Fault) as caught:
        addon.voices.pieces(bpy.context, range(1, 97), Fraction(24))
    assert caught.value.code == "frame-rates-differ"


def strip_double(path, start: float, cut: float, end: float, keys: tuple[int, ...] = ()):
    """What the add-on reads of a sound strip, for Blenders without sound (and 4.5 crashes on retiming keys without a window)."""
    sound = SimpleNamespace(filepath=str(path), library=None)
    return SimpleNamespace(
        name="voice", sound=sound, frame_start=start, frame_final_start=start + cut, frame_final_end=end, frame_duration=96,
        retiming_keys=[SimpleNamespace(timeline_frame=frame) for frame in keys],
    )  # fmt: skip


@pytest.mark.parametrize("keys, retimed", [((), False), ((1,), False), ((1, 73), True), ((1, 40, 97), True)])
def test_retimed_voice_is_said(addon, tmp_path, keys, retimed):
    strip = strip_double(faces.voice(tmp_path), 1, 0, 97, keys)
    if not retimed:
        assert addon.voices.piece_of_strip(strip, range(1, 97), Fraction(24)).duration == pytest.approx(4)
        return
    with pytest.raises(addon.bridge.faults.Fault) as caught:
        addon.voices.piece_of_strip(strip, range(1, 97), Fraction(24))
    assert caught.value.code == "voice-retimed" and "voice" in caught.value.sentence


def test_handles_before_the_file_are_silence(addon, tmp_path):
    """A strip that starts before its file does (dragged handle): the voice begins later, at the file's beginning."""
    piece = addon.voices.piece_of_strip(strip_double(faces.voice(tmp_path), 13, -12, 60), range(1, 97), Fraction(24))
    assert (piece.offset, piece.trim_start, piece.duration) == (pytest.approx(0.5), 0, pytest.approx(47 / 24))


def test_offset_and_trim_at_ntsc_rate(addon, tmp_path):
    piece = addon.voices.piece_of_strip(strip_double(faces.voice(tmp_path), 25, 12, 73), range(11, 97), Fraction(24000, 1001))
    assert piece.offset == pytest.approx(26 * 1001 / 24000) and piece.trim_start == pytest.approx(12 * 1001 / 24000)


@needs_sound
def test_packed_voice_is_found(addon, tmp_path):
    scene = new_scene()
    path = faces.voice(tmp_path)
    bpy.ops.autter.add_voice(filepath=str(path))
    (strip,) = strips_of(addon, scene)
    strip.sound.pack()
    content = path.read_bytes()
    path.unlink()
    (piece,) = addon.voices.pieces(bpy.context, range(1, 97), Fraction(24))
    assert open(piece.path, "rb").read() == content and piece.path.endswith(".wav")


@needs_sound
def test_lost_voice_is_said(addon, tmp_path):
    new_scene()
    path = faces.voice(tmp_path)
    bpy.ops.autter.add_voice(filepath=str(path))
    path.unlink()
    with pytest.raises(addon.bridge.faults.Fault) as caught:
        addon.voices.pieces(bpy.context, range(1, 97), Fraction(24))
    assert caught.value.code == "audio-missing" and "voice.wav" in caught.value.sentence


@needs_sound
def test_voices_inside_a_meta_strip_are_cut_by_it(addon, tmp_path):
    scene = new_scene()
    editor = scene.sequence_editor_create()
    strips = addon.compat.strips_of(editor)
    meta = strips.new_meta(name="edit", channel=1, frame_start=1)
    inside = addon.compat.strips_of(meta).new_sound(name="voice", filepath=str(faces.voice(tmp_path)), channel=1, frame_start=13)
    left, right = addon.compat.strip_handles(inside)
    if addon.compat.strip_handles(meta)[1] < right:
        meta.frame_final_end = int(right)
    meta.frame_final_start = 25
    (piece,) = addon.voices.pieces(bpy.context, range(1, 97), Fraction(24))
    assert (piece.offset, piece.trim_start) == (pytest.approx(1.0), pytest.approx(0.5))
    assert piece.duration == pytest.approx((addon.compat.strip_handles(meta)[1] - 25) / 24)
    meta.mute = True
    with pytest.raises(addon.bridge.faults.Fault):
        addon.voices.pieces(bpy.context, range(1, 97), Fraction(24))


@pytest.mark.skipif(not WITH_SOUND or bpy.app.version < (5, 2, 0), reason="no sound, or retiming keys need a window here")
def test_a_retimed_voice_is_heard_as_it_plays(addon, tmp_path, monkeypatch):
    """Twice as fast: Blender writes what it plays, once, and leaves the scene as it was."""
    monkeypatch.setenv("AUTTER_HOME", str(tmp_path / "home"))
    scene = new_scene()
    bpy.ops.autter.add_voice(filepath=str(faces.voice(tmp_path)))
    (strip,) = strips_of(addon, scene)
    other = strips_of(addon, scene).new_sound(name="music", filepath=str(faces.voice(tmp_path, name="music.wav")), channel=9, frame_start=1)
    retime(strip, 48)
    assert addon.compat.is_retimed(strip), [key.timeline_frame for key in strip.retiming_keys]
    span = scene.frame_start, scene.frame_end
    (piece,) = addon.voices.pieces(bpy.context, range(1, 97), Fraction(24))
    assert (scene.frame_start, scene.frame_end) == span and not other.mute and not strip.mute
    with wave.open(piece.path) as file:
        seconds = file.getnframes() / file.getframerate()
    left, right = addon.compat.strip_handles(strip)
    assert right - left < 60 and seconds == pytest.approx((right - left) / 24, abs=0.1)
    assert (piece.offset, piece.trim_start) == (0, 0)
    written = Path(piece.path).stat().st_mtime_ns
    (again,) = addon.voices.pieces(bpy.context, range(13, 97), Fraction(24))
    assert again.path == piece.path and Path(again.path).stat().st_mtime_ns == written
    assert (again.offset, again.duration) == (pytest.approx(-0.5), piece.duration)


def retime(strip, length: int) -> None:
    """Plays the strip's file in so many frames."""
    keys = strip.retiming_keys
    keys.add(timeline_frame=int(strip.frame_final_start))
    keys.add(timeline_frame=int(strip.frame_final_end))
    keys[-1].timeline_frame = int(strip.frame_final_start) + length
